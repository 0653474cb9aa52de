"""Everything that a GPU should tell, in one command, unattended and within a time limit.

    python scripts/gpu.py --minutes 9 --out runs/gpu

It needs no installation of singan_nb and neither Jupyter nor pytest: torch, numpy, scikit-image, matplotlib,
safetensors, typer, tqdm, filelock and joblib suffice. Each step runs in a process of its own and is killed at its
limit; what a step does not use goes to those after it. All results lie in the folder, and together in its gpu.zip;
summary.md says what was done. Repeat the command to do what was not done yet: a training that was killed goes on from
its folder under runs, which the archive does not hold.
`--device cpu --rehearse` does the same with tiny settings and one photograph, to see whether it would work.
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PHOTOGRAPHS = [row["name"] for row in json.loads((ROOT/"singan_nb"/"photographs"/"credits.json").read_text(encoding="utf-8"))]
# steps by value, each with the seconds that it wants; on one H200 `paper` should take 135 s and a model 53 to 66 s, by the pace of their iterations
STEPS = {"machine": 20, "smoke": 40, "paper_dunes": 220, "paper_boats": 220, "tests": 80, **{f"model_{name}": 100 for name in PHOTOGRAPHS},
         "bench": 110, "sizes": 60}


def written(file:Path, text:str):
    "Write a file, whole or not at all."
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(text, encoding="utf-8"); os.replace(partial, file)


def rows_of(out:Path, step:str) -> list:
    "What a step has found so far."
    file = out/f"{step}.json"
    return json.loads(file.read_text(encoding="utf-8"))["rows"] if file.exists() else []


def cell(value) -> str:
    "A value as a table shows it."
    if isinstance(value, float): return f"{value:.4g}"
    if isinstance(value, list): return " ".join(map(cell, value))
    return str(value).replace("|", "/").replace("\n", " ")


def table(rows:list) -> str: # Markdown
    "Rows as a table, with a column for each name that occurs."
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, ["---"]*len(names), *([cell(row.get(name, "-")) for name in names] for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def summarize(out:Path, about:dict, states:dict):
    "Write summary.json, summary.md, and gpu.zip with all files."
    states = {name: states[name] for name in STEPS if name in states}
    found = {}
    for name in states: found.setdefault("models" if name.startswith("model_") else name, []).extend(rows_of(out, name))
    written(out/"summary.json", json.dumps(about | dict(steps=list(states.values()), found=found), indent=1))
    parts = ["# Results of scripts/gpu.py", "A rehearsal with tiny settings: these figures say nothing." if about["rehearse"] else "",
             "Times are in seconds, those by scale in milliseconds an iteration, memory in MB.", table(list(states.values()))]
    for title, rows in found.items(): parts += [f"## {title}", table(rows)] if rows else []
    written(out/"summary.md", "\n\n".join(part for part in parts if part) + "\n")
    partial = out/".gpu.zip.partial"
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(out.rglob("*")):
            inside = file.relative_to(out)
            if file.is_file() and inside.parts[0] not in ("gpu.zip", "runs") and not file.name.endswith(".partial"): archive.write(file, inside)
    os.replace(partial, out/"gpu.zip")


def kill(process):
    "End a process and those that it started; one that the driver holds is left behind."
    try: os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError): pass
    try: process.wait(5)
    except subprocess.TimeoutExpired: pass


def time_limit(name:str, later:list, left:float) -> float: # seconds
    "What a step wants, but at most four fifths of the seconds that are left; its share of them, with those after it, if that is more."
    return max(min(STEPS[name], .8*left), left*STEPS[name]/sum(STEPS[each] for each in [name, *later]))


def run_step(name:str, limit:float, given) -> dict: # state, seconds, note
    "Run one step for at most `limit` seconds."
    begun, log = time.monotonic(), given.out/"logs"/f"{name}.txt"
    command = [sys.executable, ROOT/"scripts"/"gpu_steps.py", name, "--out", given.out, "--device", given.device,
               "--seconds", limit, "--until", time.time() + limit] + ["--rehearse"]*given.rehearse
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
                   "PYTHONUNBUFFERED": "1", "MPLBACKEND": "Agg", "TQDM_DISABLE": "1"}
    with open(log, "wb") as file:
        process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                                   env=environment, start_new_session=True)
    try: code = process.wait(limit)
    except subprocess.TimeoutExpired: code = None
    finally: kill(process)
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    state = "killed at its limit" if code is None else "failed" if code else "done"
    note = f"logs/{name}.txt says where" if code is None else f"exit code {code}: {lines[-1] if lines else ''}"[:300] if code else ""
    return dict(step=name, state=state, seconds=round(time.monotonic() - begun, 1), limit=round(limit, 1), note=note)


def stop(message):
    "One line, and exit code 2."
    print(message, file=sys.stderr)
    sys.exit(2)


def begin(out:Path, about:dict) -> dict: # states of the steps that an earlier run finished, by name
    "Open a new folder, or one of an earlier run of the same kind."
    file = out/"summary.json"
    if out.is_file() or (out.exists() and not file.exists() and any(each.name != "runs" for each in out.iterdir())):
        stop(f"--out {out} is not an empty folder; give a new one")
    before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else about | dict(steps=[])
    if {name: before[name] for name in about} != about: stop(f"--out {out} holds results of another device or of a rehearsal; give a new one")
    (out/"logs").mkdir(parents=True, exist_ok=True)
    return {state["step"]: state for state in before["steps"] if state["state"] == "done"}


def main():
    begun = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=9, help="time limit for all of it")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rehearse", action="store_true", help="tiny settings and one photograph: does it work?")
    parser.add_argument("--steps", help=f"only these, with commas, even if they are done: {', '.join(STEPS)}")
    given = parser.parse_args()
    others = [f"{kind}_{photograph}" for kind in ("model", "paper") for photograph in PHOTOGRAPHS[1:]]
    names = given.steps.split(",") if given.steps else [name for name in STEPS if not (given.rehearse and name in others)]
    unknown = [name for name in names if name not in STEPS]
    if unknown: stop(f"--steps {unknown[0]} is unknown; there are {', '.join(STEPS)}")
    if not 0 < given.minutes < 10**5: stop(f"--minutes {given.minutes} must be positive")
    fresh, about = not given.out.exists(), dict(device=given.device, rehearse=given.rehearse)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))                       # so that the step's process ends too
    states = begin(given.out, about)
    deadline = begun + 60*given.minutes - min(5, 3*given.minutes)                 # the rest is for killing and for the archive
    if states and not given.steps:
        print(f"done before: {', '.join(states)}")
        names = [name for name in names if name not in states]
    for i, name in enumerate(names):
        left = deadline - time.monotonic()
        limit = time_limit(name, names[i+1:], left)
        states[name] = dict(step=name, state="no time left" if limit < 1 else "running", seconds=0, limit=round(max(0, limit), 1), note="")
        summarize(given.out, about, states)
        if limit < 1: continue
        states[name] = run_step(name, limit, given)
        if name == "machine" and states[name]["note"].startswith("exit code 2: "):
            if fresh: shutil.rmtree(given.out)
            stop(states[name]["note"].removeprefix("exit code 2: "))
        print("{step}: {state} after {seconds} s of at most {limit} s {note}".format(**states[name]).strip(), flush=True)
        summarize(given.out, about, states)
    print(f"== {given.out}/summary.md; all files together in {given.out}/gpu.zip")
    sys.exit(any(states[name]["state"] != "done" for name in names))


if __name__ == "__main__": main()
