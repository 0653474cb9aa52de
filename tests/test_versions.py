"""The clean and the teacher's version of the lessons, made from the one source."""
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    out = tmp_path_factory.mktemp("versions")
    subprocess.run([sys.executable, ROOT/"scripts"/"make_versions.py", "--out", out], check=True, capture_output=True)
    return out


def cells(path, kind): return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]
def prose(path): return "\n".join(cell.source for cell in cells(path, "markdown"))
def lesson(path): return ROOT/"nbs"/path.parent.name/path.name


def test_clean_lessons_ask_and_do_not_answer(versions):
    paths = sorted((versions/"clean").rglob("*.ipynb"))
    assert len(paths) >= 19
    for path in paths:
        text, whole = prose(path), prose(lesson(path))
        assert "<details>" not in text and "What happened" not in text, path.name
        assert text.count("*Predict") == whole.count("*Predict") >= 2, path.name
        assert len(cells(path, "code")) > 5 and not any(cell.outputs for cell in cells(path, "code"))


def test_teachers_lessons_show_every_solution(versions):
    for path in sorted((versions/"teacher").rglob("*.ipynb")):
        text, whole = prose(path), prose(lesson(path))
        assert text.count("<details open>") == whole.count("<details>") >= 3 and "<details>" not in text, path.name
        assert [cell.outputs for cell in cells(path, "code")] == [cell.outputs for cell in cells(lesson(path), "code")]
