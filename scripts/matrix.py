"""Install the wheel into fresh environments, with the oldest and the newest dependencies, and use it outside the source tree.

    python scripts/matrix.py --out results/matrix.json [--only 3.10-oldest] [--tests tests/test_cli.py ...]

An environment is a Python from 3.10 to 3.13 (from PATH, or pyenv's; those that are not there are skipped and named)
and a set of dependencies: the lower limits of settings.ini, or the newest that pip finds.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = "3.10", "3.11", "3.12", "3.13"
TESTS = ["tests/test_images.py", "tests/test_sampling.py", "tests/test_training.py", "tests/test_cli.py"]
USE = """import sys, singan_nb, torch
from singan_nb.all import *
assert singan_nb.__file__.startswith(sys.prefix), singan_nb.__file__
model = train(load_image("dunes"), Config.preset("class", max_size=40, iters=2), "run", progress=False)
assert sample(SinGAN.load("run"), 2, seed=1).shape == (2, 3, 25, 40) and SinGAN.load("boats").scales
"""
COMMANDS = ["singan --version", "singan images", "singan info run", "singan sample run -n 2 --out pictures", "singan animate run --start-scale 0 --frames 3 --out a.gif",
            "singan train-many pictures --out runs --preset class --max-size 40 --iters 1 --jobs 1", "python -m singan_nb evaluate dunes pictures"]


def run(*words, **options):
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, **options)


def find_python(version):
    "Path of a Python of that version, or None."
    places = [shutil.which(f"python{version}"), *sorted(Path(os.environ.get("PYENV_ROOT", Path.home()/".pyenv")).glob(f"versions/{version}.*/bin/python"))]
    return next((place for place in places if place and run(place, "--version").stdout.startswith(f"Python {version}.")), None)


def requirements():
    settings = ConfigParser(delimiters=["="]); settings.read(ROOT/"settings.ini")
    return settings["DEFAULT"]["requirements"].split()


def build(folder):
    "Wheel and sdist, the wheel made from the sdist."
    done = run(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    if done.returncode: raise SystemExit(done.stdout + done.stderr)
    return next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))


def check(name, python, oldest, package, folder, tests):
    "One environment: installed, pip check, used by Python and by the command, tested; a dict of what happened."
    here, begun = folder/name, time.monotonic()
    shutil.rmtree(here, ignore_errors=True); here.mkdir(parents=True)
    run(python, "-m", "venv", here/"venv", check=True)
    bin = here/"venv"/"bin"
    limits = [need.replace(">=", "==") if oldest else need for need in requirements()]
    steps, environment = {}, {**os.environ, "PATH": f"{bin}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    def step(what, *words, **options):
        done = run(*words, cwd=here, env=environment, **options)
        steps[what] = "ok" if done.returncode == 0 else (done.stdout + done.stderr)[-1500:]
        return done
    step("install", bin/"pip", "install", package, *limits, "pytest", "hypothesis")
    if steps["install"] == "ok":
        step("pip check", bin/"pip", "check")
        step("from Python", bin/"python", "-c", USE)
        for command in COMMANDS: step(command, *command.split())
        shutil.copytree(ROOT/"tests", here/"tests", ignore=shutil.ignore_patterns("__pycache__"))
        done = step("tests", bin/"python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:warnings", *tests)
        steps["tests"] += ": " + (re.findall(r"^.*(?:passed|failed|error).*$", done.stdout, re.M) or ["-"])[-1]
    versions = {row["name"].lower(): row["version"] for row in json.loads(run(bin/"pip", "list", "--format", "json", env=environment).stdout or "[]")}
    kept = {re.split("[<>=]", need)[0]: versions.get(re.split("[<>=]", need)[0]) for need in requirements()}
    good = all(outcome.startswith("ok") for outcome in steps.values())
    return dict(name=name, python=run(bin/"python", "--version").stdout.split()[-1], package=package.name, good=good, seconds=round(time.monotonic() - begun), versions=kept, steps=steps)


def main():
    "Every environment that can be had; the file is written after each."
    parse = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parse.add_argument("--out", type=Path, default=ROOT/"results"/"matrix.json")
    parse.add_argument("--folder", type=Path, default=ROOT/"build"/"matrix", help="where the environments are made; several GB each")
    parse.add_argument("--only", nargs="*", help="names of environments, like 3.10-oldest")
    parse.add_argument("--tests", nargs="*", default=TESTS)
    parse.add_argument("--keep", action="store_true", help="keep the environments")
    given = parse.parse_args()
    wheel, sdist = build(given.folder/"dist")
    rows = json.loads(given.out.read_text())["rows"] if given.out.exists() else []
    for version in PYTHONS:
        python = find_python(version)
        for kind in ("oldest", "newest"):
            name = f"{version}-{kind}"
            if given.only and name not in given.only or kind == "oldest" and version in PYTHONS[2:]: continue       # numpy 1.24 ends with Python 3.11
            if python is None: row = dict(name=name, good=None, steps=dict(python="not on this machine"))
            else: row = check(name, python, kind == "oldest", sdist if version == "3.11" else wheel, given.folder, given.tests)
            rows = [other for other in rows if other["name"] != name] + [row]
            print(name, {True: "good", False: "FAILED", None: "no such Python here"}[row["good"]], {k: v for k, v in row["steps"].items() if not v.startswith("ok")} or row["steps"].get("tests"), flush=True)
            given.out.parent.mkdir(exist_ok=True)
            given.out.write_text(json.dumps(dict(rows=sorted(rows, key=lambda r: r["name"])), indent=1) + "\n")
            if not given.keep: shutil.rmtree(given.folder/name, ignore_errors=True)
    raise SystemExit(any(row["good"] is False for row in rows))


main()
