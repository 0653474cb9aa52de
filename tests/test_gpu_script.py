"""`scripts/gpu.py`, rehearsed on the CPU: no Jupyter, no pytest and no installed singan_nb; steps that hang and that fail."""
import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from singan_nb.all import Config, SinGAN, SinGANError, bundled_images

ROOT = Path(__file__).resolve().parent.parent
BARE = """
import json, os, sys, time
from importlib.machinery import PathFinder
missing = {"ipywidgets", "anywidget", "nbdev", "fastcore", "pytest", "IPython", "jupyter_core", "onnx", "dask", "ray"}
class Bare(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None): return None if name.split(".")[0] in missing else super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Bare
words = sys.orig_argv
for step, trouble in json.loads(os.environ.get("TROUBLE", "{}")).items():
    if any(word.endswith("gpu_steps.py") for word in words) and step in words:
        if trouble == "hangs": time.sleep(1000)
        if trouble == "fails": print("the driver is gone", file=sys.stderr, flush=True); os._exit(3)
        open(os.path.join(words[words.index("--out") + 1], step + ".json"), "w").write(json.dumps({"rows": [{"value": 7}]})); os._exit(0)
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    "Run Python as on a machine that has torch and little else; packages lie on PYTHONPATH, where editable installs don't work."
    folder = tmp_path_factory.mktemp("bare")
    (folder/"sitecustomize.py").write_text(BARE)
    def run(*arguments, trouble=()):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (folder, Path(torch.__file__).parent.parent))),
                       "TROUBLE": json.dumps(dict(trouble)), "OMP_NUM_THREADS": "1"}
        return subprocess.run([sys._base_executable, *map(str, arguments)], cwd=folder, capture_output=True, text=True, env=environment)
    return run


@pytest.fixture(scope="module")
def rehearse(bare):
    return lambda out, *options, **trouble: bare(ROOT/"scripts"/"gpu.py", "--out", out, "--device", "cpu", "--rehearse", *options, **trouble)


STEPS = ["machine", "smoke", "paper_dunes", "tests", "model_dunes", "bench", "sizes"]          # of a rehearsal


def rows(out, step): return json.loads((out/f"{step}.json").read_text())["rows"]
def states(out): return {step["step"]: step for step in json.loads((out/"summary.json").read_text())["steps"]}


def test_the_packages_are_missing(bare): assert "No module named 'ipywidgets'" in bare("-c", "import ipywidgets").stderr


def test_every_step_leaves_its_result(rehearse, tmp_path):
    out = tmp_path/"gpu"
    done = rehearse(out, "--minutes", 20)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {step["state"] for step in states(out).values()} == {"done"}
    assert list(states(out)) == STEPS
    row, = rows(out, "machine")
    assert row["torch"] == torch.__version__ and row["cpus"] >= 1
    paced, trained = rows(out, "smoke")
    assert paced["expected"] > 0 and trained["sifid"] > 0 and trained["scales"] == len(paced["milliseconds"])
    assert trained["seconds"] > 0 and trained["measuring"] > 0 and 0 < paced["started"] < 100
    row, = rows(out, "model_dunes")
    model = SinGAN.load(out/"models"/"dunes.safetensors")
    assert row["iters"] == model.record["config"]["iters"] == 3 and row["expected"] > 0 and model.record["quality"]["sifid"] == row["sifid"] > 0
    assert model.sizes[-1] == (row["height"], row["width"]) and row["mb"] < .1 and (out/"models"/"dunes.jpg").exists()
    found = rows(out, "bench")
    assert len({(row["preset"], row["graph"], row["precision"]) for row in found}) == len(found) == 12
    assert all(row["expected"] > 0 and min(row["milliseconds"]) > 0 and row["memory"] != 0 for row in found)
    full, = rows(out, "paper_dunes")
    kept, = json.loads((out/"quality_cpu.json").read_text())["rows"]
    assert full["sifid_0"] == kept["starts"][0]["sifid"]["mean"] > 0 and full["diversity_1"] > 0 and kept["preset"] == "paper"
    assert len(list((out/"quality_cpu").glob("dunes_paper_*.jpg"))) == 1
    assert [row["width"] for row in rows(out, "sizes")] == [30, 36] and all(row["seconds"] > 0 for row in rows(out, "sizes"))
    outcomes = {row["test"]: row["outcome"] for row in rows(out, "tests")}
    assert outcomes["test_trains_stops_and_resumes[bf16]"] == "skipped" or torch.cuda.is_available()
    files = {file.relative_to(out).as_posix() for file in out.rglob("*") if file.is_file()}
    files = {file for file in files if not file.startswith("runs/")}
    assert {run.name for run in (out/"runs").iterdir()} == {"dunes_gpu", "dunes_paper_36_3_0"}
    assert set(zipfile.ZipFile(out/"gpu.zip").namelist()) == files - {"gpu.zip"} and max(name.count("/") for name in files) == 1
    assert json.loads((out/"summary.json").read_text())["found"]["models"] == [row]
    text = (out/"summary.md").read_text()
    assert "A rehearsal" in text and "| dunes |" in text and "skipped" in text
    again = rehearse(out)
    assert again.returncode == 0 and "done before: machine" in again.stdout and "after" not in again.stdout


def test_a_step_that_hangs_or_fails_does_not_stop_the_others(rehearse, tmp_path):
    done = rehearse(tmp_path, "--steps", "smoke,bench,sizes", "--minutes", .3, trouble=dict(smoke="hangs", bench="fails", sizes="works").items())
    found = states(tmp_path)
    assert done.returncode == 1 and found["smoke"]["state"] == "killed at its limit", done.stdout + done.stderr
    assert found["smoke"]["limit"] <= found["smoke"]["seconds"] < found["smoke"]["limit"] + 5
    assert found["bench"]["state"] == "failed" and found["bench"]["note"] == "exit code 3: the driver is gone"
    assert found["sizes"]["state"] == "done" and rows(tmp_path, "sizes") == [{"value": 7}]
    assert "## sizes\n\n| value |\n| --- |\n| 7 |" in (tmp_path/"summary.md").read_text()
    assert "logs/bench.txt" in zipfile.ZipFile(tmp_path/"gpu.zip").namelist()


def test_the_time_limit_holds(rehearse, tmp_path):
    begun = time.monotonic()
    done = rehearse(tmp_path, "--minutes", .08, trouble=dict.fromkeys(STEPS, "hangs"))
    assert time.monotonic() - begun < .08*60 + 5 and done.returncode == 1
    assert {step["state"] for step in states(tmp_path).values()} <= {"killed at its limit", "no time left"} and list(states(tmp_path)) == STEPS


def test_without_the_device_it_says_so_and_leaves_nothing(bare, tmp_path):
    done = bare(ROOT/"scripts"/"gpu.py", "--out", tmp_path/"gpu", "--device", "cuda:99")
    assert done.returncode == 2 and done.stderr.startswith("device 'cuda:99' is not there") and done.stderr.count("\n") == 1
    assert not (tmp_path/"gpu").exists()


def test_bad_arguments_are_one_line(rehearse, tmp_path):
    (tmp_path/"mine").mkdir(); (tmp_path/"mine"/"photo.jpg").touch()
    for out, options in ((tmp_path/"mine", ()), (tmp_path/"new", ("--steps", "dance")), (tmp_path/"new", ("--minutes", 0))):
        done = rehearse(out, *options)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path/"new").exists()


def test_there_are_settings_for_every_photograph(monkeypatch):
    monkeypatch.syspath_prepend(ROOT/"scripts")
    from make_pretrained import settings
    assert all(isinstance(settings(photo.name), Config) for photo in bundled_images())


def limits(names, minutes, taken):
    "The limits of steps that each take what they do, killed at their limits, in a run of so many minutes."
    from gpu import time_limit
    left, found = 60*minutes - 5, {}
    for i, name in enumerate(names):
        found[name] = time_limit(name, names[i+1:], left)
        left -= min(found[name], taken.get(name, 1e9))
    return found


def test_nine_minutes_and_four_are_enough_for_paper_on_two_photographs(monkeypatch):
    "The first run has time for both; where they are slower, the second one goes on with them, and has as much as it can."
    monkeypatch.syspath_prepend(ROOT/"scripts")
    from gpu import STEPS as wanted
    names = list(wanted)
    assert names[:4] == ["machine", "smoke", "paper_dunes", "paper_boats"]
    nine = limits(names, 9, dict(machine=7, smoke=28, paper_dunes=170, paper_boats=170))
    assert nine["paper_dunes"] == nine["paper_boats"] == 220 and nine["tests"] == 80
    assert sum(limits(names, 9, {}).values()) <= 9*60
    four = limits(names[2:], 4, dict(paper_dunes=60))
    assert four["paper_dunes"] == 188 and four["paper_boats"] == 140
    assert limits(names, 60, {})["paper_dunes"] > 220                            # where there is more time, each gets its share


def test_a_training_that_was_killed_goes_on_where_it_was(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(ROOT/"scripts")
    import gpu_steps

    from singan_nb.scale import ScaleTrainer
    given = SimpleNamespace(out=tmp_path, device="cpu", seconds=100, until=time.time() + 100, rehearse=True)
    begun = []
    def until(scale):
        def play(trainer, *args):
            begun.append(trainer.number)
            if trainer.number == scale: raise KeyboardInterrupt
            return right(trainer, *args)
        return play
    right = ScaleTrainer.play
    for kind, work in (("paper", gpu_steps.paper), ("model", gpu_steps.model)):
        monkeypatch.setattr(ScaleTrainer, "play", until(1)); begun.clear()
        with pytest.raises(KeyboardInterrupt): work(gpu_steps.Step(f"{kind}_dunes", given), "dunes")
        assert begun == [0, 0, 0, 1]
        monkeypatch.setattr(ScaleTrainer, "play", until(None)); begun.clear()
        step = gpu_steps.Step(f"{kind}_dunes", given)
        work(step, "dunes")
        assert begun == [1, 1, 1] and step.rows[0].get("sifid_0", step.rows[0].get("sifid")) > 0 and "error" not in step.rows[0]


def test_the_time_of_a_model_is_foreseen(monkeypatch):
    """By hand: 6 s to start; 8 scales whose 16 iterations take 8 s, of which 0.64 s are iterations; 1000 iterations of 5 ms in each scale;
    2 s for scores. The meadow has 9 scales of 50000 pixels at the finest, where the dunes have 39250."""
    monkeypatch.syspath_prepend(ROOT/"scripts")
    from gpu_steps import expected_seconds
    from make_pretrained import settings
    rows = [dict(expected=40., iters=1000, milliseconds=[5]*8, height=157, width=250, started=6.), dict(seconds=8., iters=16, scales=8, measuring=2.)]
    expect = lambda name, **changes: expected_seconds(rows, name, settings(name, preset="gpu", **changes))
    assert expect("dunes") == pytest.approx(6 + 8 - .64 + 40 + 4)
    assert expect("meadow") == pytest.approx(6 + 9/8*(8 - .64) + 45 + 4*50000/39250)
    assert expect("boats") == pytest.approx(6 + 10/8*(8 - .64 + 40) + 4)
    assert expect("dunes", iters=500) == pytest.approx(expect("dunes") - 20)
    assert expected_seconds([], "dunes", settings("dunes")) is None and expected_seconds([rows[0], {}], "dunes", settings("dunes")) is None


def test_a_model_that_takes_too_long_is_not_begun(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(ROOT/"scripts")
    import gpu_steps
    rows = [dict(expected=40., iters=1000, height=157, width=250, started=6.), dict(seconds=8., iters=16, scales=8, measuring=2.)]
    (tmp_path/"smoke.json").write_text(json.dumps(dict(rows=rows)))
    step = gpu_steps.Step("model_dunes", SimpleNamespace(out=tmp_path, device="cpu", seconds=50, until=time.time() + 50, rehearse=False))
    with pytest.raises(SinGANError, match="takes about 57 s, and there are 50 s for it"): gpu_steps.model(step, "dunes")
    assert not (tmp_path/"runs").exists()


TESTS = """
import pytest
pytestmark = pytest.mark.skipif(False, reason="never")

@pytest.fixture
def double(number): return 2*number

@pytest.mark.parametrize("a, b", [(1, 6), (2, 7)])
@pytest.mark.parametrize("c", [10, 20])
def test_sum(a, b, c, double): assert a + b + double in (19, 21) and c in (10, 20)

def test_files(tmp_path, counter):
    assert not list(tmp_path.iterdir()); (tmp_path/"file").touch(); counter.append(1)
def test_once(tmp_path, counter):
    assert not list(tmp_path.iterdir()) and counter == [1]
def test_wrong(double): assert double == 13
@pytest.mark.skipif(True, reason="no GPU")
def test_skipped(): raise AssertionError
"""
CONFTEST = """
import pytest
@pytest.fixture(scope="session")
def counter(): return []
@pytest.fixture
def number(): return 6
"""


def test_tests_run_without_pytest(bare, tmp_path):
    (tmp_path/"conftest.py").write_text(CONFTEST); (tmp_path/"test_some.py").write_text(TESTS)
    done = bare(ROOT/"scripts"/"run_tests.py", tmp_path/"test_some.py")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [f"test_sum[{c}, {a}, {b}]: passed " for c in (10, 20) for a, b in ((1, 6), (2, 7))] + [
        "test_files: passed ", "test_once: passed ", "test_wrong: failed AssertionError: (test_some.py:16: def test_wrong(double): assert double == 13)",
        "test_skipped: skipped no GPU"]
