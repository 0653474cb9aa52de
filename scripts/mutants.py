"""Mutation testing: change the code in one place, and see whether a test fails (Cosmic Ray makes the changes).

A mutant that no test notices is a statement of the code that nothing holds. `make test-mutants` draws some mutants of each module with a seed, runs the
tests of that module, then its lesson, and writes `results/mutants.json`; a second run goes on where the first was stopped. The golden test takes no part:
it notices every change of a number and says nothing about what the number means.
"""
import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import toml
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import WorkerOutcome, WorkResult

ROOT = Path(__file__).resolve().parent.parent
SUITES = {                                                       # tests that concern a module, the quickest first
    "losses": "noise engine training", "wgan": "engine training", "scale": "scale engine noise training", "engine": "scale engine training",
    "passes": "engine sampling training", "sampling": "sampling entry applications", "masks": "sampling applications", "animate": "animate entry",
    "metrics": "metrics evaluate", "config": "training scale",
}
OPERATORS = {                                                    # one change of each kind; the others of Cosmic Ray are like them
    *(f"core/{name}" for name in ("AddNot", "NumberReplacer", "ReplaceAndWithOr", "ReplaceOrWithAnd", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue",
                                  "ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ZeroIterationForLoop", "RemoveDecorator", "ExceptionReplacer")),
    *(f"core/ReplaceBinaryOperator_{pair}" for pair in ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Mul", "Mod_Add", "Pow_Mul")),
    *(f"core/ReplaceComparisonOperator_{pair}" for pair in ("Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is")),
    *(f"core/ReplaceUnaryOperator_{pair}" for pair in ("USub_UAdd", "Delete_Not", "Delete_USub")),
}


def notebooks_of(path):
    "The notebooks that a module's cells come from."
    return list(dict.fromkeys((path.parent/name).resolve() for name in re.findall(r"^# %% (\S+\.ipynb) ", path.read_text(encoding="utf-8"), re.M)))


def run_lessons(module, project):
    "Run the notebooks of a module on what they have exported instead of on their own definitions."
    os.chdir(project)
    for notebook in notebooks_of(project/"singan_nb"/f"{module}.py"):
        names = {}
        for path in sorted((project/"singan_nb").glob("*.py")):                  # a lesson may export to several modules
            if notebook in notebooks_of(path): names |= vars(import_module(f"singan_nb.{path.stem}"))
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "code" and "#| export" not in source: exec(compile(source, cell["id"], "exec"), names)


def cosmic_ray(*arguments, folder):
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "LESSON_ITERS": "20", "MPLBACKEND": "agg"}
    subprocess.run([Path(sys.executable).parent/"cosmic-ray", *map(str, arguments)], cwd=folder, env=environment, check=True)


def prepared(module, project, work, number):
    "A copy of the project with a session of Cosmic Ray, in which all mutants but `number` are skipped."
    folder, session = work/module, work/f"{module}.sqlite"
    if session.exists(): return folder, session
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(project, folder, ignore=shutil.ignore_patterns(".venv", ".git", "docs", "demo", "runs", "build", ".*_cache", "__pycache__", ".hypothesis"))
    tests = " ".join(f"tests/test_{name}.py" for name in SUITES[module].split())
    script = folder/"mutant.sh"
    script.write_text(f"set -e\n{sys.executable} -m pytest -q -x -p no:cacheprovider {tests}\n{sys.executable} {Path(__file__)} --lesson {module} --project {folder}\n")
    config = {"module-path": f"singan_nb/{module}.py", "timeout": 900., "excluded-modules": [], "test-command": f"bash {script}", "distributor": {"name": "local"}}
    (folder/"cosmic.toml").write_text(toml.dumps({"cosmic-ray": config}))
    cosmic_ray("init", folder/"cosmic.toml", session, folder=folder)
    with use_db(session) as base:
        items = sorted(base.work_items, key=lambda item: (item.mutations[0].start_pos, item.mutations[0].operator_name, item.mutations[0].occurrence))
        possible = [item for item in items if item.mutations[0].operator_name in OPERATORS]
        chosen = {item.job_id for item in random.Random(module).sample(possible, min(number, len(possible)))}
        base.set_multiple_results([item.job_id for item in items if item.job_id not in chosen], WorkResult(WorkerOutcome.SKIPPED, output=f"{len(possible)} possible"))
    return folder, session


def outcome(session):
    "Counts, and the mutants that nothing noticed."
    with use_db(session, WorkDB.Mode.open) as base:
        done = [(item.mutations[0], result) for item, result in base.completed_work_items if result.worker_outcome != WorkerOutcome.SKIPPED]
        possible = next((int(result.output.split()[0]) for _, result in base.results if result.worker_outcome == WorkerOutcome.SKIPPED), len(done))
    alive = [(mutation, result) for mutation, result in done if result.test_outcome == "survived"]
    return {"possible": possible, "tried": len(done), "killed": len(done) - len(alive),
            "survived": [{"line": mutation.start_pos[0], "of": mutation.definition_name, "change": [row for row in result.diff.splitlines() if row[:1] in "+-" and row[:3] not in ("+++", "---")]}
                         for mutation, result in sorted(alive, key=lambda pair: pair[0].start_pos)]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--modules", nargs="+", default=list(SUITES), choices=list(SUITES))
    parser.add_argument("--number", type=int, default=24, help="mutants of each module")
    parser.add_argument("--jobs", type=int, default=2, help="modules at the same time")
    parser.add_argument("--work", type=Path, default=ROOT/"build"/"mutants", help="copies and sessions; a second run goes on with them")
    parser.add_argument("--out", type=Path, default=ROOT/"results"/"mutants.json")
    parser.add_argument("--project", type=Path, default=ROOT, help=argparse.SUPPRESS)
    parser.add_argument("--lesson", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.lesson: return run_lessons(given.lesson, given.project)
    given.work.mkdir(parents=True, exist_ok=True)
    def run(module):
        folder, session = prepared(module, given.project.resolve(), given.work.resolve(), given.number)
        cosmic_ray("exec", folder/"cosmic.toml", session, folder=folder)
        found = outcome(session)
        print(f"{module}: {found['killed']} of {found['tried']} killed, {found['possible']} possible", flush=True)
        return found
    with ThreadPoolExecutor(given.jobs) as pool: found = dict(zip(given.modules, pool.map(run, given.modules)))
    given.out.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__": main()
