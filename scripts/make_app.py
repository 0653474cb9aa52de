"""Write the class page: the explorers of 21_explore.ipynb with their headings, without the lesson around them.

usage: python scripts/make_app.py FILE.ipynb
"""
import json
import re
import sys
from pathlib import Path

NOTEBOOK = Path(__file__).resolve().parent.parent/"nbs"/"practice"/"21_explore.ipynb"
MEMORY = 2**31                                                              # of the page's kernel, in bytes
LIMIT = f"""try:                                  # one visitor cannot take the memory of all; there is no such limit on Windows
    import resource
    resource.setrlimit(resource.RLIMIT_DATA, ({MEMORY}, {MEMORY}))
except (ImportError, OSError, ValueError): pass"""
CALL = re.compile(r"^(?:\w+ = )?explore_\w+\(", re.M)                      # a cell that opens an explorer


def class_page(notebook:dict) -> dict:
    "The notebook with its title, and with the heading and the explorer of each section that has one."
    code = lambda source: dict(cell_type="code", id=f"code{len(cells)}", metadata={}, execution_count=None, outputs=[], source=source)
    cells, heading = [], None
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if source.startswith("# "):
            cells += [{**cell, "source": "\n\n".join(source.split("\n\n")[:3])}, code(LIMIT), code("from singan_nb.explore import *")]
        elif source.startswith("## "): heading = cell
        elif cell["cell_type"] == "code" and CALL.search(source) and "#| export" not in source:
            cells += [heading, code(source)]
    return {**notebook, "cells": cells, "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}}


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(class_page(json.loads(NOTEBOOK.read_text(encoding="utf-8")))), encoding="utf-8")
    print(f"wrote {target}")
