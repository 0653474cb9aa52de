"""Run a test file where pytest is not installed.

    python scripts/run_tests.py tests/test_gpu.py

Fixtures (also those of conftest.py beside the file), tmp_path, parametrize and skipif work; nothing else of pytest does.
"""
import importlib.util
import inspect
import itertools
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import ModuleType, SimpleNamespace


def stand_in() -> ModuleType:
    "A module that a test file may import as pytest."
    def fixture(function=None, *, scope="function"):
        if function is None: return lambda function: fixture(function, scope=scope)
        function.scope = scope
        return function

    def parametrize(names, values):
        def mark(function):
            cases = [dict(zip(names.replace(" ", "").split(","), value if "," in names else (value,))) for value in values]
            function.cases = [*getattr(function, "cases", []), cases]
            return function
        return mark

    def skipif(condition, reason=""):
        def mark(function):
            function.skip = mark.skip
            return function
        mark.skip = reason if condition else None
        return mark

    module = ModuleType("pytest")
    module.fixture, module.mark = fixture, SimpleNamespace(parametrize=parametrize, skipif=skipif)
    return module


def load(path:Path) -> ModuleType:
    "Import a file by its path, under its own name."
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Fixtures:
    "The values of fixtures by name: some made once, the others for each test."
    def __init__(self, functions:dict): self.functions, self.session, self.own = functions, {}, {}

    def __call__(self, name):
        for values in (self.own, self.session):
            if name in values: return values[name]
        function = self.functions[name]
        values = self.session if function.scope == "session" else self.own
        values[name] = function(**self.arguments(function))
        return values[name]

    def arguments(self, function, given=()) -> dict:
        "What a function asks for by the names of its parameters, as far as it is not given."
        return {name: self(name) for name in inspect.signature(function).parameters if name not in given}


def run_one(function, case, fixtures) -> dict: # outcome, seconds, message
    "Run one test."
    begun, outcome, message = time.monotonic(), "passed", ""
    with tempfile.TemporaryDirectory() as folder:
        fixtures.own = {"tmp_path": Path(folder)}
        try: function(**case, **fixtures.arguments(function, case))
        except Exception as error:
            traceback.print_exc()
            last = traceback.extract_tb(error.__traceback__)[-1]
            message = " ".join(f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno}: {last.line})".split())
            outcome = "failed"
    return dict(outcome=outcome, seconds=round(time.monotonic() - begun, 2), message=message)


def run_file(
    path:Path, # of the tests
    report=lambda rows: None, # called after each test with all rows so far
) -> list: # of dict: test, outcome ("passed", "failed" or "skipped"), seconds, message
    "Run all tests of a file, in its order."
    sys.modules["pytest"] = stand_in()
    sys.path.insert(0, str(path.parent))
    modules = [load(file) for file in (path.parent/"conftest.py", path) if file.exists()]
    names = {name: function for module in modules for name, function in vars(module).items() if inspect.isfunction(function)}
    fixtures = Fixtures({name: function for name, function in names.items() if hasattr(function, "scope")})
    skip_all, rows = getattr(getattr(modules[-1], "pytestmark", None), "skip", None), []
    for name, function in vars(modules[-1]).items():
        if not name.startswith("test_") or not inspect.isfunction(function): continue
        for cases in itertools.product(*getattr(function, "cases", [])):
            case = {key: value for each in cases for key, value in each.items()}
            label = name + (f"[{', '.join(map(str, case.values()))}]" if case else "")
            skip = getattr(function, "skip", None) or skip_all
            done = dict(outcome="skipped", seconds=0., message=skip) if skip else run_one(function, case, fixtures)
            rows.append(dict(test=label) | done)
            report(rows)
    return rows


if __name__ == "__main__":
    found = run_file(Path(sys.argv[1]).resolve(), lambda rows: print("{test}: {outcome} {message}".format(**rows[-1]), flush=True))
    sys.exit(any(row["outcome"] == "failed" for row in found))
