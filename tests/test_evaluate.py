"""`singan evaluate` and `singan quality` as a user runs them."""
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import torch

from singan_nb import bench
from singan_nb.cli import run_command
from singan_nb.config import Config
from singan_nb.images import load_image, resize, save_image
from singan_nb.metrics import diversity, sifid, swd
from singan_nb.pyramid import finest_size
from singan_nb.training import train


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    "A folder with three fakes of 60 × 96, among other files, and a run."
    folder = tmp_path_factory.mktemp("evaluate")
    for name in ("forest", "boats", "lake"): save_image(resize(load_image(name), (60, 96)), folder/"fakes"/f"{name}.png")
    (folder/"fakes"/"notes.txt").write_text("no picture")
    train(load_image("dunes"), Config.preset("class", max_size=48, iters=2), folder/"run", device="cpu", progress=False)
    return folder


def run(capsys, *arguments):
    "Standard output of a command that works."
    assert run_command([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def test_table_says_mean_spread_and_count(folder, capsys):
    said = run(capsys, "evaluate", "dunes", folder/"fakes")
    real = resize(load_image("dunes"), (60, 96)).clamp(-1, 1)
    fakes = [load_image(folder/"fakes"/f"{name}.png") for name in ("boats", "forest", "lake")]
    lines = {line[:12].strip(): line[12:].split() for line in said.splitlines() if not line.startswith("note")}
    assert lines["SIFID (64)"] == [f"{sifid(real, fakes).mean():.4f}", f"{sifid(real, fakes).std():.4f}", "3"]
    assert lines["SWD"] == [f"{swd(real, fakes).mean():.4f}", f"{swd(real, fakes).std():.4f}", "3"]
    assert lines["diversity"][0] == f"{diversity(real, fakes):.4f}"
    assert "188×300" in said and "60×96" in said and "shrunk" in said


def test_json_holds_every_fake(folder, capsys):
    report = json.loads(run(capsys, "evaluate", "dunes", f"{folder}/fakes/*o*.png", "--json", "--layer", 192))
    assert [os.path.basename(fake["name"]) for fake in report["fakes"]] == ["boats.png", "forest.png"]
    assert report["sifid"]["mean"] == pytest.approx(np.mean([fake["sifid"] for fake in report["fakes"]]))
    assert report["layer"] == 192 and report["sifid"]["count"] == 2 and (report["height"], report["width"]) == (60, 96)


def test_the_photograph_itself_is_perfect(folder, capsys):
    report = json.loads(run(capsys, "evaluate", folder/"fakes"/"lake.png", folder/"fakes"/"lake.png", "--json"))
    assert report["sifid"]["mean"] < 1e-3 and report["swd"]["mean"] == 0
    assert report["sifid"]["spread"] is None and report["diversity"] is None and "at least 2" in report["notes"][0]


def test_different_sizes_are_measured_and_said(folder, tmp_path, capsys):
    save_image(resize(load_image("moss"), (50, 50)), tmp_path/"moss.png")
    said = run(capsys, "evaluate", "dunes", folder/"fakes", tmp_path/"moss.png")
    assert "2 sizes" in said and "no diversity" in said and said.splitlines()[1].split()[-1] == "4"


def test_sheets_are_no_samples(folder, tmp_path, capsys):
    "What `sample` writes beside the samples is left out and named; a file that is given by its name counts."
    for name in ("forest", "boats"): save_image(load_image(folder/"fakes"/f"{name}.png"), tmp_path/f"{name}.png")
    for name in ("grid", "strip", "boats_strip"): save_image(load_image("lake"), tmp_path/f"{name}.png")
    report = json.loads(run(capsys, "evaluate", "dunes", tmp_path, "--json"))
    assert [os.path.basename(fake["name"]) for fake in report["fakes"]] == ["boats.png", "forest.png"]
    assert report["notes"][0].startswith("left out boats_strip.png, grid.png, strip.png")
    assert "left out" in run(capsys, "evaluate", "dunes", f"{tmp_path}/*.png")
    assert len(json.loads(run(capsys, "evaluate", "dunes", tmp_path/"grid.png", tmp_path/"boats.png", "--json"))["fakes"]) == 2
    assert run_command(["evaluate", "dunes", f"{tmp_path}/*strip.png"]) == 2 and "no samples" in capsys.readouterr().err


def test_samples_of_a_model(folder, capsys):
    report = json.loads(run(capsys, "evaluate", "dunes", "--model", folder/"run", "-n", 5, "--json", "--device", "cpu"))
    assert report["swd"]["count"] == 5 and report["diversity"] > 0
    again = json.loads(run(capsys, "evaluate", "dunes", "--model", folder/"run", "-n", 5, "--json", "--device", "cpu"))
    assert again == report


@pytest.fixture(scope="module")
def bad(folder):
    "Pictures that cannot be measured."
    where = folder/"bad"
    where.mkdir()
    (where/"text.png").write_text("this is no picture")
    (where/"cut.png").write_bytes((folder/"fakes"/"lake.png").read_bytes()[:2000])
    save_image(torch.zeros(1, 3, 1, 1), where/"pixel.png")
    for channels in (5, 6): tifffile.imwrite(where/f"channels{channels}.tif", np.zeros((20, 20, channels), np.uint8), photometric="minisblack", planarconfig="contig")
    (where/"empty").mkdir()
    (where/"weights.pth").write_text("these are no weights")
    return where


@pytest.mark.parametrize("arguments, says", [
    ("dunes", "no fakes"), ("dunes BAD/empty", "no pictures"), ("dunes BAD/*.gif", "no pictures"), ("dunes BAD/nothing.png", "no such file"),
    ("dunes BAD/text.png", "text.png"), ("dunes BAD/cut.png", "cut.png"), ("BAD/text.png forest.png", "text.png"), ("nowhere BAD/pixel.png", "nowhere"),
    ("dunes BAD/pixel.png", "1×1"), ("BAD/pixel.png BAD/pixel.png", "1×1"), ("dunes BAD/channels6.tif", "channels6.tif"), ("dunes BAD/channels5.tif", "channels5.tif"),
    ("dunes FAKES --layer 7", "layer=7"), ("dunes FAKES --weights BAD/nowhere.pth", "no such file"), ("dunes FAKES --weights BAD/weights.pth", "weights.pth"),
    ("dunes FAKES --model RUN", "not both"), ("dunes --model BAD/nothing", "nothing"), ("dunes --model RUN -n 0", "n=0"), ("dunes --model RUN --start-scale 9", "9"),
    ("dunes FAKES --device tpu", "tpu"), ("", "real"),
])
def test_bad_input_is_one_line_and_exit_2(folder, bad, capsys, arguments, says):
    line = arguments.replace("BAD", str(bad)).replace("FAKES", str(folder/"fakes")).replace("RUN", str(folder/"run"))
    assert run_command(["evaluate", *line.split()]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and says in said.err


def test_bad_input_in_a_process_of_its_own(bad):
    done = subprocess.run([sys.executable, "-m", "singan_nb", "evaluate", "dunes", str(bad/"text.png")], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1


# quality

@pytest.fixture(scope="module")
def results(tmp_path_factory):
    "A results file of one photograph and two seeds."
    out = tmp_path_factory.mktemp("quality")/"results.json"
    assert run_command(QUALITY + ["--out", str(out), "--seeds", "0,1"]) == 0
    return out


QUALITY = "quality --photographs dunes --presets class -n 3 --iters 2 --device cpu".split()


def test_quality_writes_what_it_measured(results):
    kept = json.loads(results.read_text())
    assert kept["machine"] and [(row["photograph"], row["preset"], row["seed"], row["iters"], row["number"]) for row in kept["rows"]] == [("dunes", "class", seed, 2, 3) for seed in (0, 1)]
    for row in kept["rows"]:
        assert row["seconds"] > 0 and 0 < row["rmse"] < 1 and (row["height"], row["width"]) == finest_size((188, 300), Config.preset("class").max_size) and row["other_sifid"] > 1
        start_0, start_1 = row["starts"]
        assert min(start_0["diversity"], start_1["diversity"]) > 0 and start_0["diversity"] != start_1["diversity"]
        assert start_0["sifid"]["count"] == 3
        assert start_0["worst_sifid"] >= start_0["sifid"]["mean"]
    assert kept["rows"][0]["starts"] != kept["rows"][1]["starts"]
    assert [path.name for path in results.with_suffix("").iterdir()] == ["dunes_class_250.jpg"]
    assert load_image(results.with_suffix("")/"dunes_class_250.jpg").shape[-1] > 700


def test_quality_repeats_the_measurement(results, tmp_path):
    "The same seed gives the same numbers, but for the time."
    assert run_command(QUALITY + ["--out", str(tmp_path/"again.json"), "--seeds", "1"]) == 0
    again, before = json.loads((tmp_path/"again.json").read_text())["rows"][0], json.loads(results.read_text())["rows"][1]
    assert {**again, "seconds": 0} == {**before, "seconds": 0}


def test_quality_goes_on_where_it_was(results, monkeypatch, capsys):
    trained, before = [], results.read_text()
    monkeypatch.setattr(bench, "train", lambda image, config, **rest: trained.append(config.seed) or train(image, config, progress=False, **rest))
    assert run_command(QUALITY + ["--out", str(results), "--seeds", "0,1"]) == 0
    assert trained == [] and results.read_text() == before
    assert run_command(QUALITY + ["--out", str(results), "--seeds", "1,2"]) == 0
    assert trained == [2] and [row["seed"] for row in json.loads(results.read_text())["rows"]] == [0, 1, 2]


def test_quality_trains_at_another_size_in_folders_that_resume(tmp_path, monkeypatch):
    "With --runs a training lies in a folder, and a repeated command goes on there; the numbers stay."
    small = QUALITY + ["--seeds", "0", "--max-size", "40"]
    assert run_command(small + ["--out", str(tmp_path/"a.json")]) == 0
    assert run_command(small + ["--out", str(tmp_path/"b.json"), "--runs", str(tmp_path/"runs")]) == 0
    assert [path.name for path in (tmp_path/"runs").iterdir()] == ["dunes_class_40_2_0"]
    monkeypatch.setattr(bench, "train", lambda *given, **rest: train(*given, **rest | dict(callbacks=[NoTraining()])))
    assert run_command(small + ["--out", str(tmp_path/"c.json"), "--runs", str(tmp_path/"runs")]) == 0
    a, b, c = ({**json.loads((tmp_path/f"{name}.json").read_text())["rows"][0], "seconds": 0} for name in "abc")
    assert a == b == c and (a["max_size"], a["width"]) == (40, 40)
    monkeypatch.undo()
    other = small + ["--iters", "3", "--out", str(tmp_path/"d.json"), "--runs", str(tmp_path/"runs")]      # of its own folder
    assert run_command(other) == 0 and len(list((tmp_path/"runs").iterdir())) == 2


class NoTraining:
    def on_iteration(self, watch): raise AssertionError("this was trained before")


def test_quality_keeps_what_was_measured_before_a_failure(results, tmp_path, monkeypatch):
    def broken(name, config, *rest, **options):
        if config.seed: raise RuntimeError("the machine is gone")
        return dict(seconds=1), [load_image(name)]*7
    monkeypatch.setattr(bench, "quality_row", broken)
    with pytest.raises(RuntimeError): run_command(QUALITY + ["--out", str(tmp_path/"r.json"), "--seeds", "0,1"])
    assert [row["seed"] for row in json.loads((tmp_path/"r.json").read_text())["rows"]] == [0]


@pytest.mark.parametrize("arguments, says", [
    ("--out r.txt", ".json"), ("--out r.json --seeds one", "'one'"), ("--out r.json --presets best", "best"), ("--out r.json --photographs dunes,nowhere", "nowhere"),
    ("--out r.json -n 1", "too few"), ("--out damaged.json", "no results file"), ("--out elsewhere.json", "another file"),
])
def test_quality_refuses_before_it_trains(tmp_path, capsys, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path/"damaged.json").write_text("{")
    (tmp_path/"elsewhere.json").write_text(json.dumps(dict(format=1, machine="another machine", torch="2", rows=[])))
    before = sorted(os.listdir(tmp_path))
    assert run_command(["quality", "--device", "cpu", *arguments.split()]) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and says in said.err and sorted(os.listdir(tmp_path)) == before
