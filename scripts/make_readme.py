"""Write README.md from nbs/index.ipynb: its prose, its code and their text outputs; pictures are linked, not embedded."""
import re
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

root = Path(__file__).resolve().parent.parent


def readme() -> str:
    "The README's text, with links that work from the top of the repository."
    notebook = nbformat.read(root/"nbs"/"index.ipynb", as_version=4)
    notebook.metadata.language_info = {"name": "python"}           # for the highlighting of its code
    text, _ = MarkdownExporter().from_notebook_node(notebook)
    for place in ("images/", "lessons/", "practice/", "applications/", "try.qmd", "gallery.qmd", "architecture.qmd"):
        text = text.replace(f"]({place}", f"](nbs/{place}")
    text = re.sub(r"\n{3,}", "\n\n", text.replace("](../", "]("))
    return "<!-- Made from nbs/index.ipynb by `make export`. -->\n" + text.strip() + "\n"


if __name__ == "__main__":
    (root/"README.md").write_text(readme(), encoding="utf-8")
