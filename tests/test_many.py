"""Many pictures: failures recorded, resumed as a whole, workers killed; clusters with make test-cluster."""
import csv
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import same_weights

from singan_nb.all import Config, SinGAN, SinGANError, load_image, read_log, save_image, train, train_many
from singan_nb.cli import run_command

NAMES = ("dunes", "boats", "forest")
CLUSTER = pytest.mark.skipif(not os.environ.get("SINGAN_CLUSTER"), reason="needs dask and ray: make test-cluster")


@pytest.fixture
def pictures(tmp_path):
    "Three small pictures, and one that is cut off."
    for name in NAMES: save_image(load_image(name)[..., :60, :90], tmp_path/"pictures"/f"{name}.png")
    (tmp_path/"pictures"/"cut.png").write_bytes((tmp_path/"pictures"/"dunes.png").read_bytes()[:3000])
    return tmp_path/"pictures"


def check_all(runs, pictures, config, names=NAMES):
    "Every picture one row; every log each iteration once; every model that of an undisturbed training; no lock left."
    rows = list(csv.DictReader(open(runs/"summary.csv")))
    assert sorted(row["name"] for row in rows if row["status"] == "trained") == sorted(names)
    for name in names:
        model, log = SinGAN.load(runs/name), read_log(runs/name)
        assert [row[:2] for row in log] == [(k, i) for k in range(len(model.scales)) for i in range(config.iters)]
        assert same_weights(model, train(load_image(pictures/f"{name}.png"), config, progress=False, device="cpu"))
    assert not list(runs.rglob("*.partial")) and not list(runs.rglob(".lock"))


def test_failures_are_rows_and_the_rest_is_trained(tmp_path, pictures, tiny, capsys):
    options = ["--preset", "class", "--max-size", "40", "--iters", "4", "--device", "cpu", "--jobs", "2"]
    assert run_command(["train-many", str(pictures), "--out", str(tmp_path/"runs"), *options]) == 1
    said = capsys.readouterr().out
    assert "3 of 4 trained" in said and "cut.png is damaged" in said
    assert multiprocessing.active_children() == []             # idle workers would keep a forked caller from ending for minutes
    check_all(tmp_path/"runs", pictures, Config.preset("class", max_size=40, iters=4))
    stamps = {name: (tmp_path/"runs"/name/"model.safetensors").stat().st_mtime_ns for name in NAMES}
    (pictures/"cut.png").unlink()
    assert run_command(["train-many", str(pictures), "--out", str(tmp_path/"runs"), *options]) == 0
    assert stamps == {name: (tmp_path/"runs"/name/"model.safetensors").stat().st_mtime_ns for name in NAMES}


def test_refusals_before_anything_is_written(tmp_path, pictures, capsys):
    (tmp_path/"empty").mkdir()
    for places, options, words in ((tmp_path/"empty", [], "no pictures"), (pictures, ["--backend", "slurm"], "loky, dask, ray"), (pictures, ["--jobs", "0"], "at least 1"),
                                   (pictures, ["--iters", "0"], "iters=0"), (pictures, ["--device", "cuda:99"], "not there")):
        assert run_command(["train-many", str(places), "--out", str(tmp_path/"runs"), *options]) == 2
        said = capsys.readouterr().err
        assert words in said and said.count("\n") == 1 and not (tmp_path/"runs").exists()


@pytest.mark.parametrize("backend, package", [("dask", "distributed"), ("ray", "ray")])
def test_a_missing_cluster_package_is_named(pictures, tmp_path, monkeypatch, backend, package):
    monkeypatch.setattr("singan_nb.many.find_spec", lambda name: None)
    with pytest.raises(SinGANError, match=rf"needs the package {package}.*pip install 'singan_nb\[{backend}\]'"):
        train_many(pictures, tmp_path/"runs", backend=backend)


def worker_of(runs, running):
    "The process that trains one of the pictures, once it has written a checkpoint; None if all is over."
    while running():
        for file in (runs/".state").glob("*.json"):
            state = json.loads(file.read_text())
            if "row" not in state and (runs/file.stem/"checkpoint.safetensors").exists(): return state["process"]
        time.sleep(.02)


def killed_in_the_middle(tmp_path, pictures, backend, iters=60):
    "Train with two workers in another process, kill a worker once; what the command said."
    (pictures/"cut.png").unlink()
    command = [sys.executable, "-m", "singan_nb", "train-many", pictures, "--out", tmp_path/"runs", "--preset", "class", "--max-size", "40", "--iters", str(iters),
               "--device", "cpu", "--jobs", "2", "--backend", backend, "--save-every", "0.1"]
    with open(tmp_path/"said", "w") as said:
        process = subprocess.Popen(list(map(str, command)), stdout=said, stderr=said)
        worker = worker_of(tmp_path/"runs", lambda: process.poll() is None)
        assert worker is not None, (tmp_path/"said").read_text()
        os.kill(worker, signal.SIGKILL)
        code = process.wait(500)
    assert code == 0, (tmp_path/"said").read_text()
    check_all(tmp_path/"runs", pictures, Config.preset("class", max_size=40, iters=iters))
    states = [json.loads(file.read_text()) for file in (tmp_path/"runs"/".state").iterdir()]
    assert len(states) == 3 and all("row" in state for state in states)
    return (tmp_path/"said").read_text()


def test_a_killed_worker_loses_nothing(tmp_path, pictures):
    assert "a worker process died" in killed_in_the_middle(tmp_path, pictures, "loky")


@CLUSTER
@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_a_killed_worker_of_a_cluster(tmp_path, pictures, backend):
    killed_in_the_middle(tmp_path, pictures, backend, iters=150)


@CLUSTER
def test_a_scheduler_by_its_address(tmp_path, pictures, capsys):
    "A Dask scheduler with two workers, each a process of its own; the one that trains is killed for good."
    from distributed import LocalCluster
    (pictures/"cut.png").unlink()
    config = Config.preset("class", max_size=40, iters=150)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        rows = []
        work = threading.Thread(target=lambda: rows.extend(train_many(pictures, tmp_path/"runs", config, "cpu", "dask", cluster.scheduler_address, save_every=.1, progress=False)))
        work.start()
        os.kill(worker_of(tmp_path/"runs", work.is_alive), signal.SIGKILL)
        work.join(500)
    assert [row["status"] for row in rows] == ["trained"]*3
    check_all(tmp_path/"runs", pictures, config)
    assert run_command(["train-many", str(pictures), "--out", str(tmp_path/"other"), "--backend", "dask", "--address", "tcp://127.0.0.1:1"]) == 2
    assert "no Dask scheduler answers" in capsys.readouterr().err


def test_a_picture_that_kills_its_process_is_given_up(tmp_path, pictures, tiny):
    "The processes of one picture die each time; the others are trained all the same."
    (pictures/"cut.png").unlink()
    code = f"""if True:
        import os, sys, singan_nb.many as many
        from singan_nb.training import Config
        if __name__ == "__main__":
            rows = many.train_many({str(pictures)!r}, {str(tmp_path/"runs")!r}, Config.preset("class", max_size=40, iters=60), "cpu", jobs=2, progress=False)
            print([(row["name"], row["status"], row["error"]) for row in rows])
    """
    patch = tmp_path/"site"; patch.mkdir()
    (patch/"sitecustomize.py").write_text("import os, sys\nif 'loky' in ' '.join(sys.orig_argv):\n    import singan_nb.many as m\n    real = m.load_image\n"
                                          "    m.load_image = lambda file: os._exit(1) if 'boats' in str(file) else real(file)\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=500, env={**os.environ, "PYTHONPATH": f"{patch}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"})
    assert "('dunes', 'trained', '')" in done.stdout and "('forest', 'trained', '')" in done.stdout, done.stdout + done.stderr
    assert "('boats', 'failed', 'the process died 3 times" in done.stdout


def test_two_commands_at_once_train_nothing_twice(tmp_path, pictures):
    (pictures/"cut.png").unlink()
    command = [sys.executable, "-m", "singan_nb", "train-many", pictures, "--out", tmp_path/"runs", "--preset", "class", "--max-size", "40", "--iters", "20", "--device", "cpu", "--jobs", "1"]
    both = [subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
    for process in both:
        said, _ = process.communicate(timeout=500)
        assert process.returncode == 0 and "3 of 3 trained" in said, said
    check_all(tmp_path/"runs", pictures, Config.preset("class", max_size=40, iters=20))


def test_one_gpu_to_a_process(tmp_path, monkeypatch):
    "With two GPUs the second process gets the second one, and the third waits until one is free."
    import torch

    from singan_nb import many
    card = type("Card", (), {"__init__": lambda self, i: setattr(self, "uuid", f"test-{os.getpid()}-{i}")})
    monkeypatch.setattr(many, "pick_device", lambda device: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", card)
    with many.free_device() as first:
        with many.free_device() as second:
            got = []
            def third():
                with many.free_device() as device: got.append(device)
            waiting = threading.Thread(target=third); waiting.start()
            time.sleep(.3)
            assert (first, second, got) == ("cuda:0", "cuda:1", [])
        waiting.join(30)
    assert got == ["cuda:1"]
    for file in Path(many.tempfile.gettempdir()).glob(f"singan-test-{os.getpid()}-*"): file.unlink()
