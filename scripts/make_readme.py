"""Write README.md from nbs/index.ipynb: its prose, its code and their text outputs; pictures are linked, not embedded."""
from pathlib import Path

from nbconvert import MarkdownExporter

root = Path(__file__).resolve().parent.parent


def readme() -> str:
    "The README's text, with links that work from the top of the repository."
    exporter = MarkdownExporter()
    exporter.register_preprocessor("nbconvert.preprocessors.TagRemovePreprocessor", enabled=False)
    text, _ = exporter.from_filename(root/"nbs"/"index.ipynb")
    text = text.replace("](images/", "](nbs/images/").replace("](lessons/", "](nbs/lessons/").replace("](practice/", "](nbs/practice/").replace("](../", "](")
    return "<!-- Made from nbs/index.ipynb by `make export`. -->\n" + text.strip() + "\n"


if __name__ == "__main__":
    (root/"README.md").write_text(readme(), encoding="utf-8")
