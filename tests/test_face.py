"""What a Python user meets first: the package's names, `help`, types, and what is installed with it."""
import ast
import doctest
import inspect
import json
import os
import pickle
import pydoc
import re
import subprocess
import sys
import typing
from configparser import ConfigParser
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from test_official import write_official

import singan_nb
import singan_nb.all
from singan_nb import _help
from singan_nb._examples import EXAMPLES
from singan_nb._moved import FORMER

ROOT = Path(__file__).resolve().parent.parent
GATHERED = re.findall(r"^from singan_nb\.([\w.]+) import \*", (ROOT/"singan_nb"/"all.py").read_text(), re.M)
CLASHES = [name for name in singan_nb.__all__ if find_spec(f"singan_nb.{name}")]        # names of a function and of its module


def python(code, *arguments):
    "Run code in a process of its own; what it printed."
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    return done.stdout


def everything():
    "Every public function, class and method of the gathered modules, by name."
    for module in (import_module(f"singan_nb.{name}") for name in GATHERED):
        for name in module.__all__:
            thing = getattr(module, name)
            if getattr(thing, "__module__", None) != module.__name__: continue
            if inspect.isfunction(thing): yield f"{module.__name__}.{name}", thing
            if not inspect.isclass(thing): continue
            for part, member in vars(thing).items():
                member = getattr(member, "__func__", member)
                if inspect.isfunction(member) and not re.match("_(?!_init__)", part): yield f"{module.__name__}.{name}.{part}", member


# the names

def test_importing_the_package_imports_nothing_large():
    said = python("import sys, singan_nb; dir(singan_nb); singan_nb.__all__; singan_nb.__version__; hasattr(singan_nb, 'nothing')\n"
                  "print([m for m in ('torch', 'numpy', 'PIL', 'matplotlib', 'scipy', 'typer') if m in sys.modules])")
    assert said == "[]\n"


def test_a_name_is_imported_when_it_is_used():
    said = python("import sys, singan_nb; print(singan_nb.load_image('dunes').shape[1], 'torch' in sys.modules, singan_nb.train.__name__, singan_nb.metrics.sifid is singan_nb.sifid)")
    assert said == "3 True train True\n"


def test_the_star_brings_the_public_names_and_no_others():
    names = {}
    exec("from singan_nb.all import *", names)
    assert {*names} - {"__builtins__"} == {*singan_nb.__all__}
    assert 28 <= len(singan_nb.__all__) == len(set(singan_nb.__all__)) <= 33


@pytest.mark.parametrize("name", singan_nb.__all__)
def test_every_public_name_exists_and_says_what_it_is(name):
    thing = getattr(singan_nb.all, name)
    assert inspect.isclass(thing) or inspect.isfunction(thing)
    assert len((thing.__doc__ or "").split("\n\n")[0]) > 10
    if name not in CLASHES: assert getattr(singan_nb, name) is thing


def test_python_that_is_offered_for_copying_imports_what_it_calls():
    "The site's page, the README, and what explorers show as code: every name that they call there comes by the star, by an import beside it, or belongs to the explorers."
    page = re.search(r'"from singan_nb.all import .*?;\n', (ROOT/"nbs"/"site"/"try.js").read_text(), re.S)[0]
    lines = [line for text in (ROOT/"README.md", ROOT/"nbs"/"index.ipynb") for line in text.read_text().splitlines()]
    trees = [ast.parse(path.read_text()) for path in (ROOT/"singan_nb"/"explore").glob("*.py")]
    shown = [node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    known = {name for module in GATHERED for name in import_module(f"singan_nb.{module}").__all__} - {*singan_nb.__all__}
    called = {name for text in [page, *lines, *(text for text in shown if " = " in text)] for name in re.findall(r"(?<![\w.])(\w+)\(", text)}
    imports = [found for text in [page, *lines, *shown] for found in re.findall(r"from (singan_nb[\w.]*) import (\w+(?:, \w+)*)", text)]
    assert all(hasattr(import_module(module), name) for module, names in imports for name in names.split(", "))
    assert {"page_sample", "plan_enlargement"} <= called & known <= {name for _, names in imports for name in names.split(", ")}


def test_names_beyond_the_star_can_still_be_imported():
    for module in (import_module(f"singan_nb.{name}") for name in GATHERED):
        for name in module.__all__: assert hasattr(singan_nb.all, name), f"{name} of {module.__name__}"
    from singan_nb.all import atomic_write, seeded, white_noise
    assert {"atomic_write", "seeded", "white_noise"}.isdisjoint(singan_nb.__all__) and callable(atomic_write) and callable(seeded) and callable(white_noise)


def test_names_that_left_the_star_are_still_attributes_of_the_package():
    assert len(FORMER) == len(set(FORMER)) and {*FORMER}.isdisjoint(singan_nb.__all__)
    for name in FORMER: assert getattr(singan_nb, name) is getattr(singan_nb.all, name)


def test_what_does_not_exist_is_an_attribute_error():
    for name in ("sampel", "_private", "__wrapped__"):
        with pytest.raises(AttributeError, match=f"no attribute '{name}'"): getattr(singan_nb, name)
    with pytest.raises(ImportError): exec("from singan_nb import sampel")
    assert {*singan_nb.__all__, "__version__"} <= {*dir(singan_nb)} and "sys" not in dir(singan_nb)


def test_names_that_are_a_function_and_a_module():
    assert sorted(CLASHES) == ["animate", "edit", "harmonize", "retarget"]


@pytest.mark.parametrize("first", ["import singan_nb.{0}", "import singan_nb; singan_nb.{0}", "from singan_nb.{0} import {0}"])
def test_they_can_be_called_and_their_modules_used_in_any_order(first):
    "In a process of its own: what comes first decides who sets the attribute."
    code = "\n".join(first.format(name) for name in CLASHES) + f"""
import inspect, sys, singan_nb
for name in {CLASHES}:
    exec(f"import singan_nb.{{name}}; import singan_nb.{{name}} as module; from singan_nb.{{name}} import {{name}} as function; from singan_nb.all import {{name}} as same")
    called = getattr(singan_nb, name)
    assert inspect.isfunction(function) and function is same and module is sys.modules["singan_nb." + name] and module.__all__ and getattr(module, name) is function
    assert callable(called) and inspect.signature(called) == inspect.signature(function) and called.__doc__ == function.__doc__
    try: called(None)
    except (TypeError, AttributeError, ValueError) as problem: assert "module" not in str(problem), problem
print("fine")"""
    assert python(code) == "fine\n"


def test_a_callable_module_calls_its_function(model):
    frames = list(singan_nb.animate(model, frames=2, seed=3))
    assert len(frames) == 2 and frames[0].shape == model.image.shape
    assert pickle.loads(pickle.dumps(singan_nb.animate)) is singan_nb.animate


# help

@pytest.mark.parametrize("name, parts", [
    ("train", ["the photograph: a tensor (1, 3, H, W) in [-1, 1]", "Returns:\n        in evaluation mode", "(paper, section 2)", "Raises `ImageError`", "`Interrupted` on Ctrl-C", "Taught in nbs/lessons/08_training.ipynb"]),
    ("sample", ["start_scale: coarser scales give their reconstruction", "Returns:\n        (n, 3, H, W) in [-1, 1]", "Raises `SinGANError`"]),
    ("load_image", ["source: ", "Returns:\n        image, (1, 3, H, W) in [-1, 1]", "raises `ImageError`"]),
    ("SinGAN.load", ["path: ", "the name of a pretrained model", "Returns:\n        in evaluation mode", "Raises `ModelError`"]),
    ("SinGAN.__init__", ["Parameters:\n        image: (1, 3, H, W), the photograph at the finest size"]),
    ("Config", ["max_size: longer side of the finest scale, in pixels", "gp_weight: λ, weight of the gradient penalty"]),
    ("animate", ["alpha: pull back to the reconstruction"]),
])
def test_help_shows_parameters_shapes_errors_and_source(name, parts):
    thing = singan_nb
    for part in name.split("."): thing = getattr(thing, part)
    text = pydoc.plain(pydoc.render_doc(thing))
    for part in parts: assert part in text


def test_explaining_again_changes_nothing():
    docs = {name: thing.__doc__ for name, thing in everything()}
    for name in GATHERED: _help.explain_module(sys.modules[f"singan_nb.{name}"])
    assert {name: thing.__doc__ for name, thing in everything()} == docs and sum("Parameters:" in (doc or "") for doc in docs.values()) > 150


SIGNATURES = {
    "def f(a, b): # both\n    pass": {"return": "both"},
    "def f(\n    a:int, # one\n    b:dict={'x': (1, 2)}, # two\n    *rest, # three\n    key=lambda x, y: x, # four\n    **more # five\n) -> list: # of it\n    'doc' # no\n": {
        "a": "one", "b": "two", "rest": "three", "key": "four", "more": "five", "return": "of it"},
    "@decorate(1, # not this\n    2)\ndef f(\n    # above, on\n    # two lines\n    a, # and beside\n    b='#',\n    c=1, d=2, # of both\n):\n    return a # nor this": {"a": "above, on two lines and beside", "c, d": "of both"},
    "def f(model, seed=0, *, x=1, # x\n      y=2): pass": {"model, seed, x": "x"},
    "def f(): return 1": {},
}


@pytest.mark.parametrize("source", SIGNATURES)
def test_comments_are_found_where_they_stand(source, tmp_path):
    path = tmp_path/"module.py"; path.write_text(source)
    names = {"decorate": lambda *_: lambda f: f}
    exec(compile(source, path, "exec"), names)
    assert _help.comments(names["f"]) == SIGNATURES[source]


def test_source_that_has_changed_is_no_error(tmp_path):
    path = tmp_path/"module.py"; path.write_text("x = (")
    names = {}
    exec(compile("\n\ndef f(a): 'doc'", path, "exec"), names)
    _help.explain_function(names["f"])
    assert names["f"].__doc__ == "doc"


def test_docstrings_of_the_command_line_stay():
    from singan_nb import cli, commands
    rooms = [cli, *(module for name, module in sys.modules.items() if name.startswith(f"{commands.__name__}."))]
    said = [getattr(room, name).__doc__ or "" for room in rooms for name in room.__all__]
    assert "Draw samples as PNG files." in said and not any("Parameters:" in doc for doc in said)


@pytest.mark.parametrize("name", singan_nb.__all__)
@pytest.mark.filterwarnings("ignore:as a mask")
def test_the_example_of_each_public_name_runs(name, tmp_path, monkeypatch):
    "As it stands in `help`, after the star alone."
    monkeypatch.chdir(tmp_path)
    if name == "import_official": write_official(tmp_path/"TrainedModels"/"balloons")
    names = {}
    exec("from singan_nb.all import *", names)
    example = doctest.DocTestParser().get_doctest(EXAMPLES[name], names, name, None, 0)
    assert example.examples and doctest.DocTestRunner().run(example).failed == 0
    shown = inspect.cleandoc(getattr(singan_nb.all, name).__doc__)
    assert "Example, after `from singan_nb.all import *`:\n    >>> " in shown and all(line in shown for line in EXAMPLES[name].splitlines())


def test_what_raises_says_so():
    "The docstring of every public function and method that raises an error itself. The commands' docstrings are the help of the command line."
    for path in (ROOT/"singan_nb").rglob("*.py"):
        if path.name[0] == "_" or path.name == "cli.py" or path.parent.name == "commands": continue
        tree = ast.parse(path.read_text())
        for node in [each for owner in (tree, *(node for node in tree.body if isinstance(node, ast.ClassDef))) for each in owner.body]:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"): continue
            inner = {each for below in ast.walk(node) if isinstance(below, (ast.FunctionDef, ast.Lambda)) and below is not node for each in ast.walk(below)}
            raised = {ast.unparse(each.exc).split("(")[0] for each in ast.walk(node) if isinstance(each, ast.Raise) and each.exc is not None and each not in inner}
            assert "aise" in (ast.get_docstring(node) or "") or raised <= {"NotImplementedError", "AttributeError"}, f"{path.name}: {node.name} raises {', '.join(raised)}"


# types

def test_none_stands_only_where_the_annotation_has_it():
    wrong = [f"{name}({parameter.name})" for name, thing in everything() for parameter in inspect.signature(thing).parameters.values()
             if parameter.default is None and parameter.annotation not in (parameter.empty, typing.Any) and type(None) not in typing.get_args(parameter.annotation)]
    assert not wrong


@pytest.mark.parametrize("name", [name for name in singan_nb.__all__ if inspect.isfunction(getattr(singan_nb.all, name))])
def test_every_parameter_of_a_public_function_is_explained(name):
    function = getattr(singan_nb.all, name)
    explained = {each for names in re.findall(r"^    ([\w, ]+): ", function.__doc__, re.M) for each in names.split(", ")}
    assert {*inspect.signature(function).parameters} <= explained


# what is installed

def settings():
    config = ConfigParser(delimiters=["="]); config.read(ROOT/"settings.ini", encoding="utf-8")
    return config["DEFAULT"]


def needed(names):
    "The distributions that pip installs for requirements: those, and what they require here."
    found, left = set(), [*names]
    while left:
        name = canonicalize_name(left.pop())
        if name in found: continue
        found.add(name)
        try: requirements = map(Requirement, metadata.requires(name) or [])
        except metadata.PackageNotFoundError: continue
        left += [need.name for need in requirements if need.marker is None or need.marker.evaluate({"extra": ""})]
    return found


ALONE = """import json, sys
class Without:
    def __init__(self, finder): self.finder = finder
    def __getattr__(self, name): return getattr(self.finder, name)
    def find_spec(self, name, *where): return None if name.split(".")[0] in refused else self.finder.find_spec(name, *where)
refused = set(json.loads(sys.argv[1]))
sys.meta_path[:] = map(Without, sys.meta_path)
import singan_nb
from singan_nb.all import *
from singan_nb.cli import run_command
assert run_command(["train", "dunes", "--out", sys.argv[2] + "/run", "--preset", "class", "--max-size", "40", "--iters", "1"]) == 0
assert run_command(["sample", sys.argv[2] + "/run", "-n", "1", "--out", sys.argv[2] + "/samples"]) == 0
try: import singan_nb.explore
except ImportError as problem: print("explorers:", problem)
"""


def test_the_package_without_extras_trains_and_samples(tmp_path):
    "A process that finds only what `pip install singan_nb` installs."
    kept = needed(Requirement(need).name for need in settings()["requirements"].split())
    refused = [name for name, owners in metadata.packages_distributions().items() if not any(canonicalize_name(owner) in kept | {"singan-nb"} for owner in owners)]
    assert {"ipywidgets", "anywidget", "nbdev", "fastcore", "IPython", "pytest"} <= {*refused} and {"torch", "numpy", "scipy", "PIL"}.isdisjoint(refused)
    assert "explorers:" in python(ALONE, json.dumps(refused), tmp_path).splitlines()[-1]
    assert (tmp_path/"run"/"model.safetensors").exists() and len(list((tmp_path/"samples").iterdir())) == 1


def test_extras():
    extras = {name.removesuffix("_requirements"): needs for name, needs in settings().items() if name.endswith("_requirements")}
    assert {*extras} == {"explore", "video", "heif", "tensorboard", "onnx", "dask", "ray"}
    assert not any(word in settings()["requirements"] for word in ("ipywidgets", "anywidget")) and "ipywidgets" in extras["explore"] and "anywidget" in extras["explore"]
    installed = re.findall(r"-e '?\.\[([\w,]+)\]", (ROOT/"Makefile").read_text() + (ROOT/"requirements"/"dev.txt").read_text())
    assert all("explore" in each.split(",") for each in installed if "ray" not in each) and {*extras} == {name for each in installed for name in each.split(",")}


def test_every_import_is_declared():
    "What the modules import by name is a requirement, or belongs to an extra."
    owners, declared = metadata.packages_distributions(), {canonicalize_name(Requirement(need).name) for name, needs in settings().items() if name.endswith("requirements") for need in needs.split()}
    declared |= {"ipython", "dask"}                              # come with ipywidgets and distributed
    for path in (ROOT/"singan_nb").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for top in {name.split(".")[0] for name in names} - {*sys.stdlib_module_names, "singan_nb"}:
                assert declared & {canonicalize_name(owner) for owner in owners.get(top, [top])}, f"{path.name} imports {top}"


def test_the_licence_expression_names_what_the_package_holds():
    "The code's, the photographs', and that of the stem of Inception-V3. SPDX calls LGPL-3.0 LGPL-3.0-only today."
    expression = re.search(r'^license = "(.*)"$', (ROOT/"pyproject.toml").read_text(), re.M)[1]
    photographs = {photo["licence"] for photo in json.loads((ROOT/"singan_nb"/"photographs"/"credits.json").read_text(encoding="utf-8"))}
    assert "MIT License" in (ROOT/"singan_nb"/"inception"/"LICENSE.txt").read_text()
    assert {*expression.split(" AND ")} == {"Apache-2.0", "MIT"} | {{"LGPL-3.0": "LGPL-3.0-only"}.get(name, name) for name in photographs}
    for name in photographs: assert (ROOT/"singan_nb"/"photographs"/f"{name.split('.')[0]}.txt").exists()


def test_help_names_the_notebook_of_each_cell():
    "A lesson may export to a module that has a notebook of its own; what comes from the lesson is taught there."
    from singan_nb import files, networks
    assert networks.Generator.__doc__.endswith("Taught in nbs/lessons/04_models.ipynb.") and files.as_path.__doc__.endswith("Explained in nbs/reference/001_files.ipynb.")
