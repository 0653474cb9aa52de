"""The project agrees with itself: modules, README and notebooks, imports that run one way, a wheel that works elsewhere."""
import ast
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/"scripts"))
from module_chain import imported, rooms

NOTEBOOKS = sorted(p for p in (ROOT/"nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
CHAIN = """files zoo colours formats tiff reading images show gan wgan pyramid networks model_file models losses devices scale passes engine config checkpoints runs progress plans training masks sampling paint edit harmonize superres animate retarget metrics bench explore.requests explore.view explore.canvas explore.scales explore.pyramid explore.superres explore.animation explore.critic explore.paint explore.edit explore.training official gather workers many onnx_export commands.options commands.train commands.draw commands.enlarge commands.measure commands.convert cli""".split()


def cells(notebook, kind):
    return [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == kind]


def source(cell): return "".join(cell["source"])


@pytest.fixture(scope="module")
def made_anew(tmp_path_factory):
    "A copy of the project in which everything generated was generated again."
    copy = tmp_path_factory.mktemp("copy")/"project"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".venv", ".git", "demo", "runs", "__pycache__", ".mypy_cache", "*.egg-info", "docs", ".proto"))
    for tool in ("nbdev_export", "nbdev_clean"):
        done = subprocess.run([Path(sys.executable).parent/tool], cwd=copy, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(copy)})
        assert done.returncode == 0, done.stderr
    done = subprocess.run([sys.executable, copy/"scripts"/"make_readme.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return copy


def test_modules_are_exported(made_anew):
    for module in sorted((ROOT/"singan_nb").rglob("*.py")):
        assert module.read_text() == (made_anew/module.relative_to(ROOT)).read_text(), f"{module.name} differs from its notebook: run make export"


def test_notebooks_are_clean(made_anew):
    for notebook in NOTEBOOKS:
        assert json.loads(notebook.read_text()) == json.loads((made_anew/notebook.relative_to(ROOT)).read_text()), f"{notebook.name} has stray metadata: run make export"


def test_readme_is_the_index(made_anew):
    assert (ROOT/"README.md").read_text() == (made_anew/"README.md").read_text(), "README.md differs from nbs/index.ipynb: run make export"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_hold_a_real_run(notebook):
    outputs = [output for cell in cells(notebook, "code") for output in cell["outputs"]]
    reference = notebook.parent.name == "reference"                          # rooms of the code that no lesson teaches; pictures where they help
    assert (outputs or reference) and not any(output["output_type"] == "error" for output in outputs)
    assert not any("Warning" in "".join(output.get("text", "")) for output in outputs if output.get("name") == "stderr")
    html = " ".join("".join(output["data"].get("text/html", "")) for output in outputs if "data" in output) + " ".join(map(source, cells(notebook, "markdown")))
    pictures = re.findall(r'<img [^>]*>|!\[[^\]]*\]', html)
    assert pictures or reference, "a lesson without pictures is not a lesson"
    assert all(re.search(r'alt="[^"]{15,}"', p) if p.startswith("<") else len(p) > 20 for p in pictures)
    assert not any("image/png" in output.get("data", {}) for output in outputs), "show pictures with show_images or show_figure: they carry alt text"


def test_imports_run_one_way():
    there = rooms(ROOT/"singan_nb")
    assert {*there} == {*CHAIN}
    for module, path in there.items():
        for name in imported(module, path.read_text()):
            if name in CHAIN: assert CHAIN.index(name) < CHAIN.index(module), f"{module} imports {name}"


def test_rooms_and_functions_are_small():
    "What is larger holds two ideas. A signature with a comment for each parameter counts."
    for module, path in rooms(ROOT/"singan_nb").items():
        text = path.read_text()
        assert len(text.splitlines()) <= 350, f"{module} has {len(text.splitlines())} lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                lines = node.end_lineno - node.lineno + 1
                assert lines <= 40, f"{module}.{node.name} has {lines} lines"


FOUR_OR_MORE = {                                                 # by position: what PyTorch calls, what a formula orders, what only its own class calls
    "passes.NormAct.forward", "passes.NormActSlope.forward", "metrics.frechet_distance", "files.check_number", "explore.view.slider",
    "scale.ReadableStep.critic", "engine.FastStep.critic", "engine.FastStep.generate", "engine.FastStep.fake", "explore.critic.CriticController.draw", "explore.edit.EditController.draw"}


def test_arguments_beyond_the_third_are_given_by_name():
    for module, path in rooms(ROOT/"singan_nb").items():
        for owner in [tree := ast.parse(path.read_text()), *(node for node in tree.body if isinstance(node, ast.ClassDef))]:
            for node in owner.body:
                if not isinstance(node, ast.FunctionDef) or (node.name.startswith("_") and node.name != "__init__"): continue
                names = [arg.arg for arg in node.args.posonlyargs + node.args.args if arg.arg not in ("self", "cls")]
                path = ".".join([module, *([owner.name] if owner is not tree else []), node.name])
                assert len(names) <= 3 or path in FOUR_OR_MORE, f"{path}{tuple(names)}"


def test_links_lead_somewhere():
    texts = [(p, source(cell)) for p in NOTEBOOKS for cell in cells(p, "markdown")] + [(p, p.read_text()) for p in (ROOT/"README.md", ROOT/"CONTRIBUTING.md")]
    for file, text in texts:
        for link in re.findall(r"\]\(([^)#]+?)\)", text):
            if "://" not in link: assert (file.parent/link).exists(), f"{file.name} links to {link}"


def test_the_readme_s_example_runs(tmp_path, monkeypatch):
    "The Python example as it stands there."
    example, = (source(cell) for cell in cells(ROOT/"nbs"/"index.ipynb", "code"))
    assert example in (ROOT/"README.md").read_text()
    (tmp_path/"images").mkdir(); monkeypatch.chdir(tmp_path)
    exec(example, {})
    assert (tmp_path/"images"/"samples.jpg").exists() and (tmp_path/"images"/"panorama.jpg").exists()


def test_the_readme_s_commands_run(tmp_path, monkeypatch):
    from singan_nb.cli import run_command
    block = re.search(r"## On the command line\n\n((?:    .*\n)+)", (ROOT/"README.md").read_text()).group(1)
    commands = [line.split("#")[0].split() for line in block.strip().splitlines()]
    assert len(commands) == 6 and all(words[0] == "singan" for words in commands)
    monkeypatch.chdir(tmp_path)
    for name in ("photo.jpg", "boats.jpg"): shutil.copy(ROOT/"singan_nb"/"photographs"/"boats.jpg", name)
    for _, *words in commands: assert run_command(words + (["--iters", "2"] if words[0] == "train" else [])) == 0
    assert len(list(Path("samples").iterdir())) == 8


def test_the_wheel_works_outside_the_source_tree(tmp_path):
    project = tmp_path/"project"
    shutil.copytree(ROOT, project, ignore=shutil.ignore_patterns(".venv", ".git", "demo", "runs", "build", ".mypy_cache", "*.egg-info", "nbs", "docs", ".proto"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path/"wheels", project], check=True)
    wheel, = (tmp_path/"wheels").iterdir()
    subprocess.run([*pip, "install", "-q", "--no-deps", "--target", tmp_path/"site", wheel], check=True)
    code = "import singan_nb, sys; from singan_nb.all import *; assert singan_nb.__file__.startswith(sys.argv[1]), singan_nb.__file__; print([load_image(p.name).shape[0] for p in bundled_images()])"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(tmp_path/"site")})
    assert done.stdout.strip() == str([1]*8), done.stderr
    names = subprocess.run([sys.executable, "-m", "zipfile", "-l", wheel], capture_output=True, text=True).stdout
    assert "photographs/GPL-2.txt" in names and "credits.json" in names and "entry_points.txt" in names and "singan_nb/py.typed" in names
    with zipfile.ZipFile(wheel) as archive: said = archive.read(next(name for name in archive.namelist() if name.endswith("/METADATA"))).decode().split("\n\n")[0]
    assert "License-Expression: Apache-2.0 AND GPL-2.0-or-later AND LGPL-3.0-only AND MIT\n" in said and said.count("License-File: ") == 6
    assert 'Requires-Dist: ipywidgets>=8; extra == "explore"' in said and "Requires-Dist: ipywidgets>=8\n" not in said and "Requires-Dist: torch>=2.4\n" in said
