"""Mutation testing: change the code in one place, and see whether a test fails (Cosmic Ray makes the changes).

A mutant that no test notices is a statement of the code that nothing holds. `make test-mutants` draws mutants of each module with a seed, runs the module's
tests with each, then its lesson with those that are left, and writes `results/mutants.json`. Each becomes a line of a record, so that a second run goes on
where the first was stopped; of a module that has changed since, all mutants are new. The golden test takes no part: it notices every change of a number and
says nothing about what the number means.

PyTorch and pytest are imported once; tests and lessons run in forks of this process. Tests that have noticed mutants of a module come first for its
next one, slow ones last.
"""
import argparse
import difflib
import json
import os
import random
import re
import shutil
import signal
import sys
import time
import traceback
import zlib
from collections import Counter
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 90                                                       # seconds for a test, or for a cell of a lesson; whoever needs more hangs
HEAVY = "torch skimage.metrics skimage.transform matplotlib.pyplot PIL.Image safetensors.torch scipy.linalg tqdm.auto".split()
SUITES = {                                                       # tests that concern a module, the quickest first
    "losses": "noise engine training", "wgan": "engine training", "scale": "scale engine noise training", "engine": "scale engine training",
    "passes": "engine sampling training", "sampling": "sampling entry applications", "masks": "sampling applications", "animate": "animate entry",
    "metrics": "metrics evaluate", "config": "training scale",
}
OPERATORS = [                                                    # one change of each kind; the others of Cosmic Ray are like them
    *("AddNot NumberReplacer ReplaceAndWithOr ReplaceOrWithAnd ReplaceTrueWithFalse ReplaceFalseWithTrue ReplaceBreakWithContinue ReplaceContinueWithBreak "
      "ZeroIterationForLoop RemoveDecorator ExceptionReplacer").split(),
    *(f"ReplaceBinaryOperator_{pair}" for pair in "Add_Sub Sub_Add Mul_Div Div_Mul FloorDiv_Mul Mod_Add Pow_Mul".split()),
    *(f"ReplaceComparisonOperator_{pair}" for pair in "Lt_LtE LtE_Lt Gt_GtE GtE_Gt Eq_NotEq NotEq_Eq Is_IsNot IsNot_Is".split()),
    *(f"ReplaceUnaryOperator_{pair}" for pair in "USub_UAdd Delete_Not Delete_USub".split()),
]


def path_of(part, project): return project/"singan_nb"/f"{part.partition(':')[0]}.py"


def mutants(part, project):
    "All mutants of a module, or of some of its lines, in an order that the seed gives."
    first, last = map(int, part.partition(":")[2].split("-")) if ":" in part else (1, 10**6)
    tree, found = get_ast(path_of(part, project).read_text(encoding="utf-8")), []
    for name in OPERATORS:
        operator = get_operator(f"core/{name}")()
        places = [start[0] for node in ast_nodes(tree) for start, _ in operator.mutation_positions(node)]
        found += [dict(part=part, line=line, operator=name, occurrence=number) for number, line in enumerate(places) if first <= line <= last]
    random.Random(part).shuffle(found)
    return found


def changed(mutant, project):
    "The module's text with the change; and the mutant with the rows that differ, and a number that tells this text from others."
    source = path_of(mutant["part"], project).read_text(encoding="utf-8")
    text = mutate_code(source, get_operator(f"core/{mutant['operator']}")(), mutant["occurrence"])
    change = [row for row in difflib.ndiff(source.splitlines(), text.splitlines()) if row[0] in "+-"]
    return text, mutant | dict(change=change, text=zlib.crc32(text.encode()), killer=None, passed=[], seconds=0)


def notebooks_of(path):
    "The notebooks that a module's cells come from."
    return list(dict.fromkeys((path.parent/name).resolve() for name in re.findall(r"^# %% (\S+\.ipynb) ", path.read_text(encoding="utf-8"), re.M)))


def run_lessons(notice, modules, project, first=()):
    "Run the notebooks of modules on what they have exported instead of on their own definitions."
    for notebook in dict.fromkeys(notebook for module in modules for notebook in notebooks_of(project/"singan_nb"/f"{module}.py")):
        notice(notebook.name)
        names = {}
        for path in sorted((project/"singan_nb").glob("*.py")):                  # a lesson may export to several modules
            if notebook in notebooks_of(path): names |= vars(import_module(f"singan_nb.{path.stem}"))
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            signal.alarm(LIMIT)
            if cell["cell_type"] == "code" and "#| export" not in source: exec(compile(source, cell["id"], "exec"), names)


def run_tests(notice, modules, project, first=()):
    "Run the tests of modules until one fails: those in `first`, those that took less than two seconds, the others; or for no module those in `first` alone."
    record = project.parent/"times.json"
    times = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    class Plugin:
        def pytest_collection_modifyitems(self, items):
            items.sort(key=lambda item: (first.index(item.nodeid) if item.nodeid in first else len(first), times.get(item.nodeid, 0) > 2))
        def pytest_runtest_logstart(self, nodeid):
            signal.alarm(LIMIT)
            notice(nodeid)
            times[nodeid] = 0
        def pytest_runtest_logreport(self, report): times[report.nodeid] += report.duration
        def pytest_sessionfinish(self): record.write_text(json.dumps(times), encoding="utf-8")
    notice("import")
    names = dict.fromkeys(name for module in modules for name in SUITES.get(module, module).split())
    files = [f"tests/test_{name}.py" for name in names if (project/"tests"/f"test_{name}.py").exists()] or first
    if pytest.main(["-qx", "-p", "no:cacheprovider", *files], plugins=[Plugin()]): raise AssertionError


def noticed(work, step, *arguments):
    "Run a step in a fork; the lesson or the test that failed in it, or None."
    last, child = work/"last", os.fork()
    if not child:
        code = 1
        try:
            os.setsid()
            with open(work/"output.txt", "wb") as out: os.dup2(out.fileno(), 1), os.dup2(out.fileno(), 2)
            step(last.write_text, *arguments)
            code = 0
        except BaseException: traceback.print_exc()
        finally: os._exit(code)
    try: _, status = os.waitpid(child, 0)
    finally:
        with suppress(ProcessLookupError): os.killpg(child, signal.SIGKILL)     # what tests have started, too
    return None if status == 0 else last.read_text() + " hangs"*(os.WTERMSIG(status) == signal.SIGALRM)


def copied(project, work):
    "A copy of the project, in which modules may change; from now on it is the one that this process and those that tests start import."
    folder = work/"project"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(project, folder, ignore=shutil.ignore_patterns(".venv", ".git", "docs", "demo", "runs", "build", ".*_cache", "__pycache__", ".hypothesis"))
    os.environ |= {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "LESSON_ITERS": "20", "MPLBACKEND": "agg"}
    sys.path.insert(0, str(folder))
    os.chdir(folder)
    for name in HEAVY: import_module(name)
    return folder


def put(path, text):
    "Write a module, and forget what Python has compiled of it: two mutants of one size within a second look alike to it."
    path.write_text(text, encoding="utf-8")
    for old in (path.parent/"__pycache__").glob(f"{path.stem}.*"): old.unlink()


def tried(mutant, text, folder, step, first):
    "The mutant after a step, with who noticed it."
    begun, path = time.monotonic(), path_of(mutant["part"], folder)
    source = path.read_text(encoding="utf-8")
    put(path, text)
    try: killer = noticed(folder, step, [path.stem], folder, first)
    finally: put(path, source)
    return mutant | dict(killer=killer, passed=mutant["passed"] + [step.__name__]*(not killer), seconds=round(mutant["seconds"] + time.monotonic() - begun, 1))


def summary(possible, rows):
    "Counts of a part, and its mutants that nothing noticed."
    rows = [row for row in rows if row["killer"] or row["passed"]]
    alive = sorted((row for row in rows if not row["killer"]), key=lambda row: row["line"])
    return {"possible": possible, "tried": len(rows), "killed": len(rows) - len(alive),
            "survived": [{"line": row["line"], "change": row["change"]} for row in alive]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--modules", nargs="+", default=list(SUITES), help="names, or name:first-last for the mutants of these lines")
    parser.add_argument("--number", type=int, default=24, help="mutants of each module; each module has its first before one has its second")
    parser.add_argument("--tests-only", action="store_true", help="leave the lessons to a later run; they take a minute each")
    parser.add_argument("--again", action="store_true", help="try those once more that nothing noticed, with new tests for example")
    parser.add_argument("--work", type=Path, default=ROOT/"build"/"mutants", help="record and copy; a second run goes on with the record")
    parser.add_argument("--out", type=Path, default=ROOT/"results"/"mutants.json")
    parser.add_argument("--section", default="after", help="of the results; \"before\" is the commit 6f2993d, whose modules were not divided yet")
    parser.add_argument("--project", type=Path, default=ROOT, help="another checkout to take modules and tests from")
    given = parser.parse_args()
    record, folder = given.work.resolve()/"record.jsonl", copied(given.project.resolve(), given.work.resolve())
    every = {part: mutants(part, folder) for part in given.modules}
    drawn = [changed(found[turn], folder) for turn in range(given.number) for found in every.values() if turn < len(found)]
    rows = {mutant["text"]: mutant for _, mutant in drawn}
    if record.exists():
        old = [row for row in map(json.loads, record.read_text(encoding="utf-8").splitlines()) if row["text"] in rows]
        rows |= {row["text"]: row for row in old if row["killer"] or not given.again}
    def killers(parts): return [name for name, _ in Counter(row["killer"] for row in rows.values() if row["killer"] and row["part"] in parts).most_common()]
    try:
        for step in (run_tests, run_lessons)[:1 if given.tests_only else 2]:
            for text, mutant in drawn:
                row = rows[mutant["text"]]
                if row["killer"] or step.__name__ in row["passed"]: continue
                row = rows[mutant["text"]] = tried(row, text, folder, step, killers([row["part"]]))
                print("{part}:{line} {operator}, {seconds} s: {killer}".format(**row), flush=True)
                with record.open("a", encoding="utf-8") as file: file.write(json.dumps(row, ensure_ascii=False) + "\n")
        if failed := noticed(folder, run_tests, [], folder, [name for name in killers(every) if re.search("::.*(?<! hangs)$", name)]):
            sys.exit(f"{failed} fails without a mutant, too; see {folder}/output.txt")
    finally:
        results = json.loads(given.out.read_text(encoding="utf-8")) if given.out.exists() else {}
        results[given.section] = {part: summary(len(found), [row for row in rows.values() if row["part"] == part]) for part, found in every.items()}
        given.out.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__": main()
