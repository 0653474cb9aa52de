"""Every lesson has what a lesson must have, as far as a script can tell: one test for each criterion and notebook."""
import ast
import html
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LESSONS = sorted((*(ROOT/"nbs"/"lessons").glob("*.ipynb"), *(ROOT/"nbs"/"applications").glob("*.ipynb"),
                  *(ROOT/"nbs"/"practice"/f"{name}.ipynb" for name in ("20_measure", "23_limits", "26_official"))))
every_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)


def read(lesson): return json.loads(lesson.read_text(encoding="utf-8"))["cells"]
def source(cell): return "".join(cell["source"])
def prose(lesson): return [source(cell) for cell in read(lesson) if cell["cell_type"] == "markdown"]
def code(lesson): return [cell for cell in read(lesson) if cell["cell_type"] == "code" and source(cell).strip()]
def shown(lesson): return [cell for cell in code(lesson) if not re.match(r"#\| (?:hide|default_exp .*\Z)", source(cell))]


def opening(lesson):
    "The prose before the first code cell."
    cells = read(lesson)
    first = next(i for i, cell in enumerate(cells) if cell["cell_type"] == "code")
    return "\n".join(map(source, cells[:first]))


def after(lesson, heading):
    "The prose from a heading or a bold word on."
    text = "\n".join(prose(lesson))
    found = re.search(rf"^(#+ {heading}|\*\*{heading})", text, re.M)
    assert found, f"there is no '{heading}'"
    return text[found.start():]


def alts(cell):
    "The alt texts of a code cell's pictures."
    pages = ["".join(output.get("data", {}).get("text/html", "")) for output in cell["outputs"]]
    return [html.unescape(alt) for page in pages for alt in re.findall(r'<img alt="([^"]*)"', page)]


@every_lesson
def test_it_opens_with_question_goals_prerequisites_and_time(lesson):
    text = opening(lesson)
    assert text.startswith("# "), "the first line is the title"
    assert "?" in text, "no key question"
    goals = re.findall(r"^(?:- |\d\. )", text, re.M)
    assert 3 <= len(goals) <= 6, f"{len(goals)} goals"
    assert re.search(r"you need|prerequisite", text, re.I), "no prerequisites"
    time = re.search(r"\*\*Time\*\*.*", text)
    assert time, "no time to run"
    assert re.search(r"\bCPU\b", time[0]) and re.search(r"\bGPU\b", time[0]), "time on a CPU, and on a GPU or 'not measured'"


@every_lesson
def test_formulas_have_a_symbol_table_and_an_assert_near(lesson):
    cells = read(lesson)
    for i, cell in enumerate(cells):
        if cell["cell_type"] == "code" or not re.search(r"^\$\$", source(cell), re.M): continue
        following = [source(c) for c in cells[i:i + 9] if c["cell_type"] == "code"][:4]
        assert any("assert" in each for each in following), f"no assert soon after the formula in: {source(cell)[:60]!r}"
    text = "\n".join(prose(lesson))
    if re.search(r"^\$\$", text, re.M):
        assert re.search(r"^\| *symbol", text, re.M | re.I), "no table of symbols"


@every_lesson
def test_it_asserts(lesson):
    assert sum(source(cell).count("assert ") for cell in code(lesson)) >= 5


@every_lesson
def test_pictures_are_stored_with_a_finding(lesson):
    found = [alt for cell in code(lesson) for alt in alts(cell)]
    assert len(found) >= 2, f"{len(found)} pictures"
    for alt in found: assert len(alt.split()) >= 6, f"says too little: {alt!r}"
    calls = [source(cell) for cell in code(lesson) if re.search(r"^(?:show_images|show_figure)\(", source(cell), re.M)]
    for call in calls: assert "show_figure(" in call or "alt=" in call, f"no alt text: {call[:60]!r}"


@every_lesson
def test_three_exercises_with_folded_solutions_that_are_run(lesson):
    text = after(lesson, "Exercises")
    exercises = re.findall(r"^\d+\. .*?(?=^\d+\. |\Z)", text, re.M | re.S)
    assert len(exercises) >= 3, f"{len(exercises)} exercises"
    for exercise in exercises:
        assert re.search(r"<details><summary>(?:One )?solution", exercise, re.I), f"no folded solution: {exercise[:60]!r}"
    assert len(re.findall(r"<summary>hint", text, re.I)) >= 3, "hints for three of them"
    cells = read(lesson)
    last = max(i for i, cell in enumerate(cells) if cell["cell_type"] == "markdown" and "<details>" in source(cell))
    assert any("assert" in source(cell) for cell in cells[last:] if cell["cell_type"] == "code"), "the solutions are not tested"


@every_lesson
def test_two_self_checks(lesson):
    text = "\n".join(source(cell) for cell in code(lesson))
    checks = set(re.findall(r"^def (check_\w+)\((?:answer|\w+)\b", text, re.M)) - {"check_image"}
    checks = [name for name in checks if len(re.findall(rf"\b{name}\(", text)) >= 2]
    assert len(checks) >= 2, f"self-checks that are also called: {sorted(checks)}"


@every_lesson
def test_it_ends_with_recap_limits_and_references(lesson):
    recap = after(lesson, "Recap")
    header = re.search(r"^\|.*\|$", recap, re.M)
    assert header and all(word in header[0].lower() for word in ("idea", "formula", "function", "picture")), "recap: idea, formula, function, picture"
    assert re.search(r"not shown", recap, re.I), "nothing on what was not shown"
    references = after(lesson, "References")
    assert re.search(r"\b(?:19|20)\d\d\b", references), "references without a year"
    assert re.search(r"section|equation|algorithm|§|#\d", references, re.I), "references without a section or equation"


def functions(cell):
    "The functions and methods of an exported cell; empty for any other cell."
    if "#| export" not in source(cell): return []
    return [node for node in ast.walk(ast.parse(source(cell))) if isinstance(node, ast.FunctionDef)]


def parameters(function):
    "Lines of a signature, which has a comment for each parameter."
    return function.body[0].lineno - function.lineno


@every_lesson
def test_cells_are_short(lesson):
    "Signatures, one documented parameter to a line, do not count; an exported class may be longer, but no body of its methods."
    for cell in code(lesson):
        lines = [line for line in source(cell).strip().splitlines() if not line.startswith("#|")]
        for function in functions(cell):
            length = function.end_lineno - function.body[0].lineno + 1
            assert length <= 30, f"{length} lines: {function.name}"
        length = len(lines) - sum(map(parameters, functions(cell)))
        has_class = "#| export" in source(cell) and re.search("^class ", source(cell), re.M)
        assert has_class or length <= 20, f"{length} lines: {lines[0]!r}"
        for line in lines:
            if "#| export" not in source(cell): assert len(line) <= 112, f"{len(line)} characters: {line[:60]!r}"


@every_lesson
def test_at_least_as_many_prose_as_code_cells(lesson):
    shown_code = shown(lesson)
    assert len(prose(lesson)) >= len(shown_code), f"{len(prose(lesson))} prose cells, {len(shown_code)} code cells"


@every_lesson
def test_it_was_run_top_to_bottom(lesson):
    "nbdev_clean removes the counts, so that runs do not differ; where there are any, they ascend from 1."
    counts = [cell["execution_count"] for cell in code(lesson)]
    assert counts == list(range(1, len(counts) + 1)) or not any(counts), f"execution counts {counts}"
    for cell in code(lesson):
        speaks = re.search(r"^(?:print|show_images|show_figure|Markdown)\(", source(cell), re.M) and "#| hide" not in source(cell)
        assert cell["outputs"] or not speaks, f"not run since it was changed: {source(cell)[:60]!r}"


@every_lesson
def test_it_says_nothing_on_stderr(lesson):
    outputs = [output for cell in code(lesson) for output in cell["outputs"]]
    assert not any(output["output_type"] == "error" for output in outputs)
    loud = ["".join(output["text"]) for output in outputs if output.get("name") == "stderr"]
    assert not loud, loud[0][:200]
    assert not any("Warning" in "".join(output.get("text", "")) for output in outputs)


@every_lesson
def test_it_draws_with_seeds(lesson):
    text = "\n".join(source(cell) for cell in code(lesson))
    for call in re.findall(r"torch\.(?:randn?|randint|randperm|normal|bernoulli)\((?:[^()]|\([^()]*(?:\([^()]*\))?[^()]*\))*\)", text):
        assert "generator=" in call or "torch.manual_seed(" in text, f"not seeded: {call}"
    assert not re.search(r"np\.random\.(?!default_rng|Generator|RandomState)\w+\(", text), "NumPy's global random state"


EXPLORERS = {"03_pyramid": "pyramid", "06_scale": "critic", "08_training": "training", "09_sampling": "scales", "10_paint": "paint",
             "11_edit": "edit", "12_harmonize": "edit", "13_superres": "superres", "14_animate": "animation"}


@pytest.mark.parametrize("name, explorer", EXPLORERS.items())
def test_it_has_its_explorer_with_a_picture_for_readers_without_a_kernel(name, explorer):
    lesson = next(path for path in LESSONS if path.stem == name)
    cells = [cell for cell in code(lesson) if re.search(rf"^explore_{explorer}\(", source(cell), re.M)]
    assert len(cells) == 1 and len(alts(cells[0])) == 1, f"explore_{explorer} is not called, or was not run"
