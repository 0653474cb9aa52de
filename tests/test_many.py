"""Many pictures: failures recorded, resumed as a whole, processes killed; clusters with make test-cluster."""
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import unicodedata
import warnings
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from conftest import alive, children, same_weights

from singan_nb import gather, many, workers
from singan_nb.all import (
    Config,
    SinGAN,
    SinGANError,
    load_image,
    picture_files,
    read_log,
    run_names,
    save_image,
    summary_table,
    train,
    train_many,
    write_summary,
)
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


def wait_for(what, seconds=120):
    "The first true value of `what()`."
    end = time.monotonic() + seconds
    while not (value := what()) and time.monotonic() < end: time.sleep(.02)
    return value


def train_tiny(pictures, runs, iters=4, jobs=1, *options):
    "The arguments of a quick command."
    return ["train-many", *map(str, pictures if isinstance(pictures, list) else [pictures]), "--out", str(runs), "--preset", "class", "--max-size", "40", "--iters", str(iters),
            "--device", "cpu", "--jobs", str(jobs), *options]


def test_failures_are_rows_and_the_rest_is_trained(tmp_path, pictures, tiny, capsys):
    options = ["--preset", "class", "--max-size", "40", "--iters", "4", "--device", "cpu", "--jobs", "2"]
    assert run_command(["train-many", str(pictures), "--out", str(tmp_path/"runs"), *options]) == 1
    said = capsys.readouterr().out
    assert "3 of 4 trained" in said and "cut.png is damaged" in said
    assert children(os.getpid()) == []                         # no worker outlives the work
    check_all(tmp_path/"runs", pictures, Config.preset("class", max_size=40, iters=4))
    stamps = {name: (tmp_path/"runs"/name/"model.safetensors").stat().st_mtime_ns for name in NAMES}
    (pictures/"cut.png").unlink()
    assert run_command(["train-many", str(pictures), "--out", str(tmp_path/"runs"), *options]) == 0
    assert stamps == {name: (tmp_path/"runs"/name/"model.safetensors").stat().st_mtime_ns for name in NAMES}


def test_refusals_before_anything_is_written(tmp_path, pictures, capsys):
    (tmp_path/"empty").mkdir(); (tmp_path/"odd"/"summary.csv").mkdir(parents=True)
    assert run_command(["train-many", str(pictures), "--out", str(tmp_path/"odd")]) == 2 and "summary.csv is a folder; remove it" in capsys.readouterr().err
    for places, options, words in ((tmp_path/"empty", [], "no pictures"), (pictures, ["--backend", "slurm"], "local, dask, ray"), (pictures, ["--address", "tcp://host:1"], "for a cluster"), (pictures, ["--jobs", "0"], "at least 1"),
                                   (pictures, ["--iters", "0"], "iters=0"), (pictures, ["--device", "cuda:99"], "not there")):
        assert run_command(["train-many", str(places), "--out", str(tmp_path/"runs"), *options]) == 2
        said = capsys.readouterr().err
        assert words in said and said.count("\n") == 1 and not (tmp_path/"runs").exists()


@pytest.mark.parametrize("backend, package", [("dask", "distributed"), ("ray", "ray")])
def test_a_missing_cluster_package_is_named(pictures, tmp_path, monkeypatch, backend, package):
    monkeypatch.setattr("singan_nb.workers.find_spec", lambda name: None)
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
    "By its old name, the backend works as before."
    assert "the process died (killed by signal 9" in killed_in_the_middle(tmp_path, pictures, "loky")


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
        work = threading.Thread(target=lambda: rows.extend(train_many(pictures, tmp_path/"runs", config, device="cpu", backend="dask", address=cluster.scheduler_address, save_every=.1, progress=False)))
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
        from singan_nb.config import Config
        if __name__ == "__main__":
            rows = many.train_many({str(pictures)!r}, {str(tmp_path/"runs")!r}, Config.preset("class", max_size=40, iters=60), device="cpu", jobs=2, progress=False)
            print([(row["name"], row["status"], row["error"]) for row in rows])
    """
    patch = tmp_path/"site"; patch.mkdir()
    (patch/"sitecustomize.py").write_text("import os, sys\nif '_work' in ' '.join(sys.orig_argv):\n    import singan_nb.workers as m\n    real = m.load_image\n"
                                          "    m.load_image = lambda file: os._exit(1) if 'boats' in str(file) else real(file)\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=500, env={**os.environ, "PYTHONPATH": f"{patch}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"})
    assert "('dunes', 'trained', '')" in done.stdout and "('forest', 'trained', '')" in done.stdout, done.stdout + done.stderr
    assert "('boats', 'failed', 'the process died 3 times (exit code 1)')" in done.stdout
    assert done.stderr.count("boats: the process died") == 3 and done.stderr.count("died") == 3


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
    card = type("Card", (), {"__init__": lambda self, i: setattr(self, "uuid", f"test-{os.getpid()}-{i}")})
    monkeypatch.setattr(workers, "pick_device", lambda device: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", card)
    with workers.free_device() as first:
        with workers.free_device() as second:
            got = []
            def third():
                with workers.free_device() as device: got.append(device)
            waiting = threading.Thread(target=third); waiting.start()
            time.sleep(.3)
            assert (first, second, got) == ("cuda:0", "cuda:1", [])
        waiting.join(30)
    assert got == ["cuda:1"]
    for file in Path(workers.tempfile.gettempdir()).glob(f"singan-test-{os.getpid()}-*"): file.unlink()


def test_a_worker_that_is_killed_before_it_begins_is_replaced(tmp_path, pictures):
    "The first process of each picture is killed at its start, the second picture's while it imports; the rest of the work goes on."
    (pictures/"cut.png").unlink(); (pictures/"forest.png").unlink()
    process = subprocess.Popen([sys.executable, "-m", "singan_nb", *train_tiny(pictures, tmp_path/"runs", 4, 2)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    first = wait_for(lambda: len(both := children(process.pid)) == 2 and both)
    os.kill(first[0], signal.SIGKILL)
    time.sleep(.5)                                             # somewhere within its start
    os.kill(first[1], signal.SIGKILL)
    said, _ = process.communicate(timeout=500)
    assert process.returncode == 0 and "2 of 2 trained" in said and said.count("the process died (killed by signal 9") == 2, said


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's list of children")
@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_whoever_ends_the_parent_ends_the_workers_and_loses_nothing(tmp_path, pictures, name):
    "A minute between checkpoints: what the workers knew at the end is saved because they ended in order."
    (pictures/"cut.png").unlink(); (pictures/"forest.png").unlink()
    command = [sys.executable, "-m", "singan_nb", *train_tiny(pictures, tmp_path/"runs", 3000, 2, "--save-every", "600")]
    with open(tmp_path/"said", "w") as said: process = subprocess.Popen(command, stdout=said, stderr=said)
    assert wait_for(lambda: len(list((tmp_path/"runs").glob("*/checkpoint.safetensors"))) == 2)
    workers = children(process.pid)
    assert len(workers) == 2
    time.sleep(.5)
    process.send_signal(getattr(signal, name))
    assert process.wait(60) == (-9 if name == "SIGKILL" else 128 + signal.SIGTERM), (tmp_path/"said").read_text()
    assert wait_for(lambda: not any(map(alive, workers)), 60)
    for run in ("boats", "dunes"): assert 0 < len(read_log(tmp_path/"runs"/run)) < 3000       # at the first checkpoint there was no line
    rows = list(csv.DictReader(open(tmp_path/"runs"/"summary.csv"))) if name != "SIGKILL" else []
    assert all(row["status"] == "pending" for row in rows)


def test_the_same_command_finishes_what_a_killed_parent_left(tmp_path, pictures):
    (pictures/"cut.png").unlink(); (pictures/"forest.png").unlink()
    command = [sys.executable, "-m", "singan_nb", *train_tiny(pictures, tmp_path/"runs", 60, 2, "--save-every", "0.1")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert wait_for(lambda: list((tmp_path/"runs").glob("*/checkpoint.safetensors")))
    process.kill(); process.wait()
    assert run_command(train_tiny(pictures, tmp_path/"runs", 60, 2)) == 0                        # at once, beside workers that are ending
    check_all(tmp_path/"runs", pictures, Config.preset("class", max_size=40, iters=60), ("boats", "dunes"))


def test_pictures_of_every_readable_kind_and_what_is_left_out(tmp_path, capsys):
    for name in ("a.PNG", "b.gif", "c.bmp", "d.jfif", "e.ppm", "f.JPE", "g.WebP", ".hidden.png", "._x.jpg", ".DS_Store", "notes.txt", "shot.NEF", "film\x1b[2J.mp4"): (tmp_path/name).write_bytes(b"")
    (tmp_path/"old").mkdir()
    with pytest.warns(UserWarning) as notes: files = picture_files([tmp_path])
    assert [file.name for file in files] == ["a.PNG", "b.gif", "c.bmp", "d.jfif", "e.ppm", "f.JPE", "g.WebP"]
    left = str(notes[0].message)
    assert left == (f"{tmp_path}: left out: 4 files: film\\x1b[2J.mp4 (no picture by its name), notes.txt (no picture by its name), old (a folder), "
                    "shot.NEF (raw data of a camera; develop it first, and save it as TIFF or JPEG)")
    assert [file.name for file in picture_files([f"{tmp_path}/*.N*"])] == ["shot.NEF"]              # what is named is tried
    assert run_command(["evaluate", "dunes", str(tmp_path/"old")]) == 2 and ".bmp" in capsys.readouterr().err
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("notes.txt", "shot.NEF", "film\x1b[2J.mp4"): (tmp_path/name).unlink()
        (tmp_path/"old").rmdir()
        assert len(picture_files([tmp_path])) == 7                                               # nothing to say of hidden files


HOSTILE = ["..png", "...png", ". .png", "CON.png", "con.jpg", "aux.tar.png", "LPT1 .png", "end..png", "end .png", "A.png", "a.png", "a.jpg", "a.png.jpg", "summary.csv.png", "summary.csv",
           ".state.png", ".state", "Caf\u00e9.png", "Cafe\u0301.png", "x"*255, "x"*251 + ".png", "\u2603"*84 + ".png", "\udcff\udcfe.png", "a\nb.png", "a\x1b[31m.png", "a\u202eb.png", "c:d.png",
           "a|b?.png", "=1+1.png", "-rf.png", "<img src=x>.png", "$(touch y).png", "'\".png", " .png", "~.png", "stra\u00dfe.png", "STRASSE.png"]


def test_names_of_runs_stay_in_the_folder_on_every_system():
    files = [Path("p")/name for name in HOSTILE]
    names = run_names(files)
    assert list(names.values()) == files and len({unicodedata.normalize("NFC", name).casefold() for name in names}) == len(files)
    for name in names:
        assert len(name.encode()) <= 220 and name.isprintable() and not re.search(r'[<>:"/\\|?*]', name), name
        assert name[0] not in ". " and name[-1] not in ". " and name.casefold() != "summary.csv", name
        assert not re.fullmatch(r"(con|prn|aux|nul|(com|lpt)\d)", name.split(".")[0].strip().lower()), name
        assert (Path("out")/name).resolve().parent == Path("out").resolve()
    assert [name for name, file in names.items() if file.name in ("a.jpg", "a.png.jpg", "summary.csv.png", "~.png")] == ["a.jpg", "a.png.jpg", "summary.csv.png", "~"]
    assert names == run_names(files) and list(run_names(files[::-1])) == list(names)[::-1]        # the same, whichever comes first
    assert list(run_names([Path("x.png"), Path("./x.png")])) == ["x"] and len(run_names([Path("a/x.png"), Path("b/x.png")])) == 2


def test_one_bad_thing_is_one_row(tmp_path, dunes):
    "Every picture that can be read has a model; everything else is a row; nothing is written outside of the folder of the runs."
    pictures, runs, small = tmp_path/"in"/"pictures", tmp_path/"out"/"runs", dunes[..., :40, :60]
    good = ["a.png", "A.png", "a.jpg", "a.png.jpg", "summary.csv.png", "CON.png", "x"*240 + ".png", "=1+1.png", "line\nbreak.png", os.fsdecode(b"\xff\xfe.png")]
    for name in ("whole", "config", "state", "model", "folder"): save_image(small, pictures/f"{name}.png")
    content = (pictures/"whole.png").read_bytes()
    for name in good: (pictures/name).write_bytes(content)
    (pictures/"..png").write_bytes(content)
    (pictures/"empty.png").touch(); (pictures/"dir.png").mkdir(); (pictures/"gone.png").symlink_to("nowhere")
    os.mkfifo(pictures/"pipe.png")
    (runs/".state"/"folder.json").mkdir(parents=True)
    (runs/".state"/"state.json").write_text('{"row": [')
    for name, file, text in (("config", "config.json", "{"), ("model", "model.safetensors", "")):
        train(load_image(pictures/f"{name}.png"), Config.preset("class", max_size=27, min_size=18, width=4, iters=1), runs/name, device="cpu", progress=False)
        (runs/name/file).write_text(text)
    before = {file for file in tmp_path.rglob("*") if runs not in file.parents}
    config = Config.preset("class", max_size=27, min_size=18, width=4, iters=1)
    code = "import sys, json; from singan_nb.all import *; rows = train_many(%r, %r, Config.preset('class', max_size=27, min_size=18, width=4, iters=1), device='cpu', jobs=3, progress=False); print(json.dumps(rows))"
    done = subprocess.run([sys.executable, "-c", code % ([str(pictures), str(pictures/"..png")], str(runs))], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    rows = {Path(row["picture"]).name: row for row in json.loads(done.stdout.splitlines()[-1])}
    failed = {name: row["error"] for name, row in rows.items() if row["status"] != "trained"}
    assert set(failed) == {"empty.png", "dir.png", "gone.png", "pipe.png", "model.png", "folder.png"}, failed
    for name, words in (("pipe.png", "a pipe or a device"), ("gone.png", "no such file"), ("model.png", "model.safetensors"), ("dir.png", "folder")):
        assert words in failed[name], failed
    assert len(rows) == len(good) + 1 + 5 + 4
    for name, row in rows.items():
        if name not in failed: assert SinGAN.load(runs/row["name"]).record["config"]["iters"] == config.iters
    assert {file for file in tmp_path.rglob("*") if runs not in file.parents} == before
    with open(runs/"summary.csv", encoding="utf-8", newline="") as lines: table = list(csv.DictReader(lines))
    assert len(table) == len(rows) and "'=1+1" in [row["name"] for row in table]
    assert [row["picture"].rpartition("/")[2] for row in table if "udcff" in row["picture"]] == [r"\udcff\udcfe.png"]
    assert all(value.isprintable() and value[:1] not in tuple("=+-@") for row in table for value in row.values())


def test_trained_is_said_only_of_a_whole_model_of_this_picture(tmp_path, pictures, capsys):
    (pictures/"cut.png").unlink()
    runs, command, config = tmp_path/"runs", train_tiny(pictures, tmp_path/"runs", 4, 2), Config.preset("class", max_size=40, iters=4)
    stamps = lambda names: {name: (runs/name/"model.safetensors").stat().st_mtime_ns for name in names}
    assert run_command(command) == 0
    before = stamps(NAMES)
    os.utime(pictures/"dunes.png"); capsys.readouterr()
    assert run_command(command) == 0 and "to train" not in capsys.readouterr().out                # touched, and the same
    whole = (runs/"forest"/"model.safetensors").read_bytes()
    (runs/"forest"/"model.safetensors").write_bytes(whole[:2000])
    assert not many._finished(runs, "forest", pictures/"forest.png", config)
    (runs/"forest"/"model.safetensors").write_bytes(whole)
    assert many._finished(runs, "forest", pictures/"forest.png", config)
    shutil.copy(pictures/"forest.png", pictures/"dunes.png")                                     # replaced
    (runs/"boats"/"model.safetensors").write_bytes(b"")                                          # emptied
    state = json.loads((runs/".state"/"forest.json").read_text()); del state["content"]          # of an older version: verified, not trained again
    (runs/".state"/"forest.json").write_text(json.dumps(state))
    before |= stamps(NAMES)
    assert run_command(command) == 1
    said = capsys.readouterr().out
    assert "3 of 3 pictures to train" in said and "1 of 3 trained" in said
    assert re.search(r"dunes +failed: .*another photograph", said) and re.search(r"boats +failed: .*model.safetensors", said)
    assert stamps(NAMES) == before and "content" in json.loads((runs/".state"/"forest.json").read_text())
    shutil.rmtree(runs/"boats"); shutil.rmtree(runs/"dunes")
    assert run_command(command) == 0 and "3 of 3 trained" in capsys.readouterr().out              # removed runs are trained anew
    assert stamps(["forest"])["forest"] == before["forest"] and same_weights(SinGAN.load(runs/"dunes"), train(load_image(pictures/"forest.png"), config, progress=False, device="cpu"))


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_polite_signals_interrupt_and_are_given_back(name):
    number = getattr(signal, name)
    for before, expected in ((signal.SIG_DFL, KeyboardInterrupt), (signal.SIG_IGN, None)):       # nohup ignores HUP, and so do we
        kept = signal.signal(number, before)
        try:
            with pytest.raises(KeyboardInterrupt) if expected else warnings.catch_warnings(), many._interrupting():
                os.kill(os.getpid(), number); time.sleep(.1)
            assert signal.getsignal(number) == before
        finally: signal.signal(number, kept)


def test_one_at_a_time_has_the_threads_of_train_and_two_share_them(tmp_path, pictures, monkeypatch, capsys):
    "At 40 × 60 pixels of 64 channels a second thread changes the bits; the same number of threads gives the same."
    import joblib
    monkeypatch.setattr(joblib, "cpu_count", lambda: 4)
    config = Config.preset("class", max_size=60, min_size=40, width=64, iters=2, precision="fp32")
    before, models = torch.get_num_threads(), {}
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            models[threads] = train(load_image(pictures/"dunes.png"), config, device="cpu", progress=False)
        assert not same_weights(models[1], models[2])
        for jobs, threads in ((1, 2), (4, 1)):
            train_many(pictures/"dunes.png", tmp_path/f"runs{jobs}", config, device="cpu", jobs=jobs)
            assert f"{jobs} at a time, each on {threads} thread" in capsys.readouterr().out
            assert same_weights(SinGAN.load(tmp_path/f"runs{jobs}"/"dunes"), models[threads])
    finally: torch.set_num_threads(before)


def test_the_summary_is_no_formula_and_no_markup(tmp_path):
    names = ["=cmd|' /C calc'!A0", "+1", "-2", "@SUM(1)", " =1", "<script>", "a|b", "plain"]
    rows = [dict(name=name, status="failed", error="=1+1 \x1b[2J\n[x](javascript:y)", picture="p/\udcff.png") for name in names]
    kept = write_summary(tmp_path, names, dict(zip(names, rows)))
    assert [row["name"] for row in kept] == names and kept[0]["picture"] == "p/\udcff.png"
    with open(tmp_path/"summary.csv", encoding="utf-8", newline="") as lines: table = list(csv.DictReader(lines))
    assert [row["name"] for row in table] == ["'=cmd|' /C calc'!A0", "'+1", "'-2", "'@SUM(1)", "' =1", "<script>", "a|b", "plain"]
    assert table[0]["error"] == r"'=1+1 \x1b[2J\n[x](javascript:y)" and table[0]["picture"] == r"p/\udcff.png"
    lines = summary_table(kept).splitlines()
    assert len(lines) == 2 + len(names) and all(line.count("|") == 7 and line.isprintable() and "<" not in line and "[" not in line for line in lines)
    assert "&#60;script&#62;" in lines[7] and lines[9].startswith("| plain |")


def test_a_name_that_was_given_is_kept_when_the_folder_grows(tmp_path, dunes, capsys):
    "Also that of a picture whose training was only begun, and of one that failed; the new ones find names of their own."
    photos, runs, small = tmp_path/"g", tmp_path/"runs", dunes[..., :40, :60]
    command = ["train-many", str(photos), "--out", str(runs), "--device", "cpu", "--jobs", "1", "--iters", "1", "--max-size", "27", "--set", "min_size=18", "--set", "width=4"]
    save_image(small, photos/"a.png"); (photos/"broken.png").write_bytes(b"")
    assert run_command(command) == 1
    stamp = (runs/"a"/"model.safetensors").stat().st_mtime_ns
    save_image(small, photos/"a.jpg"); save_image(small, photos/"broken.jpg"); (photos/"A.png").write_bytes((photos/"a.png").read_bytes())
    assert run_command(command) == 1
    with open(runs/"summary.csv", encoding="utf-8", newline="") as lines: named = {Path(row["picture"]).name: (row["name"], row["status"]) for row in csv.DictReader(lines)}
    assert named["a.png"] == ("a", "trained") and named["broken.png"] == ("broken", "failed") and named["broken.jpg"] == ("broken.jpg", "trained") and len({name for name, _ in named.values()}) == 5
    assert (runs/"a"/"model.safetensors").stat().st_mtime_ns == stamp and not (runs/"a.png").exists()
    (runs/".state"/"a.jpg.json").write_text("[3]"); (runs/".state"/"lost.json").write_text('{"row": 3, "picture": 4}')      # damaged states name nothing
    before = {file: file.stat().st_mtime_ns for file in runs.rglob("model.safetensors")}
    assert run_command(command) == 1 and {file: file.stat().st_mtime_ns for file in runs.rglob("model.safetensors")} == before
    gather.begin_picture(runs/".state"/"b.json", "session", photos/"b.png")
    assert gather.names_given(runs)[str(photos/"b.png")] == "b" and gather.names_given(tmp_path/"nowhere") == {}


def test_what_the_system_refuses_is_told_in_plain_words():
    picture = Path("p.png")
    assert workers._failed("p", picture, OSError(28, "No space left on device", "runs/p/model.safetensors"))["error"] == "runs/p/model.safetensors: No space left on device"
    assert workers._failed("p", picture, OSError(28, "No space left on device"))["error"] == "writing: No space left on device"
    assert workers._failed("p", picture, OSError("image file is truncated"))["error"] == "image file is truncated"
    assert workers._failed("p", picture, RuntimeError("out of cards"))["error"] == "RuntimeError: out of cards"


def test_the_plan_counts_pictures_in_plain_english():
    assert many._plan(1, 1, "dask", 1) == "1 of 1 picture to train on dask" and many._plan(0, 2, "dask", 1) == "0 of 2 pictures to train on dask"


SMALL = Config.preset("class", max_size=27, min_size=18, width=4, iters=1)


def trained_here(pictures, runs, name, image):
    "A picture and its finished run; what its state file holds."
    save_image(image, pictures/f"{name}.png")
    row = workers.train_one(pictures/f"{name}.png", runs/name, SMALL, device="cpu", session="earlier")
    assert row["status"] == "trained" and many._finished(runs, name, pictures/f"{name}.png", SMALL)
    return json.loads((runs/".state"/f"{name}.json").read_text())


def test_a_row_that_is_not_right_is_no_row(tmp_path, dunes):
    whole = trained_here(tmp_path, tmp_path/"runs", "a", dunes[..., :40, :60])
    state = tmp_path/"runs"/".state"/"a.json"
    assert gather.row_of(whole) == whole["row"] and set(whole["row"]) == set(gather.FIELDS)
    for damage in (dict(seconds=None), dict(rmse="abc"), dict(height=None), dict(scales=True), dict(seconds=10**400), dict(error=[]), dict(status=["trained"]), dict(status="pending"), dict(more=1)):
        state.write_text(json.dumps({**whole, "row": {**whole["row"], **damage}}))
        assert not many._finished(tmp_path/"runs", "a", tmp_path/"a.png", SMALL), damage
        assert [row["status"] for row in write_summary(tmp_path/"runs", ["a"])] == ["pending"], damage
        assert gather.begin_picture(state, "earlier", tmp_path/"a.png") == (1, None), damage
    for field in gather.FIELDS: assert gather.row_of({"row": {key: value for key, value in whole["row"].items() if key != field}}) is None
    failed = workers._failed("a", "a.png", SinGANError("broken"))
    assert gather.row_of({"row": failed}) == failed and gather.row_of({"row": {**failed, "error": 3}}) is None
    state.write_text(json.dumps(whole))
    assert many._finished(tmp_path/"runs", "a", tmp_path/"a.png", SMALL)


def test_a_model_that_was_copied_from_another_run_is_not_this_picture_s(tmp_path, dunes):
    runs = tmp_path/"runs"
    whole, _ = (trained_here(tmp_path, runs, name, dunes[..., at:at + 40, :60]) for name, at in (("a", 0), ("b", 50)))
    own = (runs/"a"/"model.safetensors").read_bytes()
    shutil.copy(runs/"b"/"model.safetensors", runs/"a"/"model.safetensors")
    assert SinGAN.load(runs/"a") and not many._finished(runs, "a", tmp_path/"a.png", SMALL)
    (runs/"a"/"model.safetensors").write_bytes(own)
    assert many._finished(runs, "a", tmp_path/"a.png", SMALL)
    del whole["model"]
    (runs/".state"/"a.json").write_text(json.dumps(whole))                                        # of an older version
    assert many._finished(runs, "a", tmp_path/"a.png", SMALL)


def test_what_lies_among_the_states_stops_and_moves_nothing(tmp_path, dunes):
    "A pipe, names that lead out of the folder or belong to us, a damaged row; and a picture of which a terabyte is said and nothing is there."
    pictures, runs = tmp_path/"in", tmp_path/"deep"/"runs"
    whole = trained_here(pictures, runs, "row", dunes[..., :40, :60])
    for name in ("pipe", "up", "here", "hidden", "ours", "huge"): shutil.copy(pictures/"row.png", pictures/f"{name}.png")
    os.truncate(pictures/"huge.png", 2**40)
    states = runs/".state"
    for stem, name in (("..", "up"), (".", "here"), (".state", "hidden"), ("Summary.csv", "ours")): (states/f"{stem}.json").write_text(json.dumps(dict(picture=str(pictures/f"{name}.png"))))
    os.mkfifo(states/"pipe.json")
    (states/"row.json").write_text(json.dumps({**whole, "row": {**whole["row"], "rmse": "abc"}}))
    options = ["--max-size", "27", "--set", "min_size=18", "--set", "width=4", "--iters", "1", "--preset", "class", "--device", "cpu", "--jobs", "1", "-q"]
    done = subprocess.run([sys.executable, "-m", "singan_nb", "train-many", str(pictures), "--out", str(runs), *options], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and "6 of 7 trained" in done.stdout and "Traceback" not in done.stderr, done.stdout + done.stderr
    assert re.search(r"huge +failed: \S*huge.png is larger than the limit", done.stdout), done.stdout
    assert sorted(file.name for file in runs.iterdir()) == sorted([".state", "summary.csv", "row", "pipe", "up", "here", "hidden", "ours"])
    assert os.listdir(tmp_path/"deep") == ["runs"] and (states/"pipe.json").is_file()
    assert json.loads((states/"row.json").read_text())["row"]["rmse"] == whole["row"]["rmse"]


def test_a_terminal_that_is_closed_is_an_interrupt_and_no_error(tmp_path, pictures, own_signals):
    "HUP comes, and nothing can be written any more: all is saved, and the exit code is that of the signal."
    main, terminal = pytest.importorskip("pty").openpty()
    code = "import fcntl, os, sys, termios; fcntl.ioctl(1, termios.TIOCSCTTY, 0); os.execv(sys.executable, [sys.executable, '-m', 'singan_nb', *sys.argv[1:]])"
    command = [sys.executable, "-c", code, *train_tiny(pictures/"dunes.png", tmp_path/"runs", 3000, 1, "--save-every", "600")]
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True)
    os.close(terminal); os.set_blocking(main, False)
    def trains():
        with suppress(BlockingIOError): os.read(main, 2**16)               # a terminal that nobody reads fills up
        return list((tmp_path/"runs").glob("*/checkpoint.safetensors"))
    assert wait_for(trains)
    time.sleep(.5)
    os.close(main)
    assert process.wait(60) == 128 + signal.SIGHUP
    assert 0 < len(read_log(tmp_path/"runs"/"dunes")) < 3000
