"""Two more versions of each lesson, from the one source: for predicting in class, and for teaching.

    python scripts/make_versions.py --out build/lessons

`clean` has headings, predictions, exercises and code, without pictures, explanations and solutions;
`teacher` is the lesson with hints and solutions unfolded.
"""
import argparse
import re
from pathlib import Path

import nbformat

NBS = Path(__file__).resolve().parent.parent/"nbs"
HEADING, FOLDED = re.compile(r"^#+ .*", re.M), re.compile(r"\s*<details>.*?</details>", re.S)


def lessons():
    "The notebooks that are lessons."
    return sorted([*(NBS/"lessons").glob("*.ipynb"), *(NBS/"applications").glob("*.ipynb"),
                   *(NBS/"practice"/f"{name}.ipynb" for name in ("20_measure", "23_limits", "26_official"))])


def questions(text):
    "Headings and paragraphs that ask for a prediction; of exercises, everything but what is folded."
    if re.search(r"^#+ Exercises", text, re.M):
        begin = re.search(r"^#+ Exercises", text, re.M).start()
        return "\n\n".join(filter(None, (questions(text[:begin]), FOLDED.sub("", text[begin:]))))
    kept = [HEADING.match(part) or re.search(r"^> .*|\*Predict.*", part, re.S) for part in re.split(r"\n\s*\n", text)]
    return "\n\n".join(match[0] for match in kept if match)


def clean(notebook):
    "Cells without explanations, outputs and solutions."
    cells, solutions = [], False
    for cell in notebook.cells:
        text = cell.source
        if cell.cell_type == "markdown":
            solutions = (solutions or "<summary>Solution" in text) and not re.search(r"^(#+ |\*\*)References", text, re.M)
            text = questions(text)
        elif solutions: continue
        if not text.strip(): continue
        make = nbformat.v4.new_markdown_cell if cell.cell_type == "markdown" else nbformat.v4.new_code_cell
        cells.append(make(text, id=cell.id))
    return cells


def teacher(notebook):
    "All cells, hints and solutions unfolded."
    for cell in notebook.cells:
        if cell.cell_type == "markdown": cell.source = cell.source.replace("<details>", "<details open>")
    return notebook.cells


def write(notebook, cells, path):
    "Write a version as a valid notebook."
    path.parent.mkdir(parents=True, exist_ok=True)
    made = nbformat.v4.new_notebook(cells=cells, metadata=notebook.metadata)
    nbformat.validate(made)
    nbformat.write(made, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of both versions")
    out = parser.parse_args().out
    for path in lessons():
        for version in (clean, teacher):
            notebook = nbformat.read(path, as_version=4)
            write(notebook, version(notebook), out/version.__name__/path.parent.name/path.name)
    print(f"{len(lessons())} lessons in {out/'clean'} and {out/'teacher'}")


if __name__ == "__main__": main()
