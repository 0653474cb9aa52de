"""The benchmark command, and the functions behind it."""
import hashlib
import json
import subprocess
import sys

import pytest
import torch

from singan_nb import bench
from singan_nb.all import Config, ScaleTrainer, SinGANError, bench_all, bench_table, machine_name, measure_all, open_results, pace, save_image
from singan_nb.cli import run_command


def test_bench_measures_resumes_and_prints(singan, tmp_path):
    out = tmp_path/"bench.json"
    command = ("bench", "--out", out, "--presets", "class", "--sizes", 48, "--iters", 3, "--device", "cpu")
    done = singan(*command)
    assert done.returncode == 0, done.stderr
    row, = json.loads(out.read_text())["rows"]
    assert row["seconds"] > 0 and row["sifid"] > 0 and len(row["pace"]["milliseconds"]) == 2
    assert "class" in done.stdout and row["config"]["iters"] == 3
    again = singan(*command, "--json")
    assert json.loads(again.stdout)["rows"] == [row]                       # nothing is measured twice


def test_a_training_beyond_the_budget_is_only_timed(singan, tmp_path):
    out = tmp_path/"bench.json"
    done = singan("bench", "--out", out, "--presets", "paper", "--sizes", 48, "--budget", 0, "--device", "cpu")
    row, = json.loads(out.read_text())["rows"]
    assert done.returncode == 0 and "seconds" not in row and "about" in done.stdout


def test_bench_says_what_is_wrong(singan, tmp_path):
    for options in (("--out", tmp_path/"bench.txt"), ("--out", tmp_path/"b.json", "--presets", "slow"),
                    ("--out", tmp_path/"b.json", "--sizes", "many"), ("--out", tmp_path/"b.json", "--photographs", "dune")):
        done = singan("bench", *options)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr


def test_expected_time_is_the_sum_over_scales():
    config = Config.preset("class", max_size=48, iters=500)
    measured = pace("dunes", config, "cpu", iterations=2)
    assert abs(measured["expected"] - .5*sum(measured["milliseconds"])) < .1


def test_the_pace_is_that_of_the_arithmetic_that_train_uses(monkeypatch):
    "Convolutions may round to TF32 where the precision is tf32, and nowhere else; afterwards it is as before."
    step = ScaleTrainer.step
    monkeypatch.setattr(ScaleTrainer, "step", lambda trainer: (seen.add(torch.backends.cudnn.allow_tf32), step(trainer))[1])
    before = torch.backends.cudnn.allow_tf32
    for precision, allowed in (("fp32", False), ("tf32", True)):
        seen = set()
        pace("dunes", Config.preset("class", max_size=48, precision=precision), "cpu", iterations=1)
        assert seen == {allowed} and torch.backends.cudnn.allow_tf32 == before


def test_the_pace_of_the_readable_trainer():
    assert len(pace("dunes", Config.preset("class", max_size=48), "cpu", iterations=1, trainer=ScaleTrainer)["milliseconds"]) == 2


def test_the_pace_leaves_the_program_s_modes_and_random_numbers_and_takes_any_configuration():
    before = torch.get_rng_state()
    with torch.inference_mode(): found = pace("dunes", dict(max_size=48, width=8), "cpu", iterations=1)
    assert torch.equal(torch.get_rng_state(), before) and len(found["milliseconds"]) == 2


def test_peak_memory_sees_an_allocation():
    "In a process of its own: one that has trained keeps freed memory, and takes 400 MB from there."
    code = ("import torch; from singan_nb.bench import peak_memory, reset_peak; cpu = torch.device('cpu')\n"
            "reset_peak(cpu); before = peak_memory(cpu); torch.ones(100, 2**20)\n"
            "print(None if before is None else peak_memory(cpu) - before)")
    grown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert grown == "None" or 300 < float(grown) < 500


def test_an_empty_table_has_a_head(): assert bench_table([]).count("\n") == 1


def test_a_row_belongs_to_a_picture_and_not_to_a_path(tmp_path, dunes, monkeypatch):
    "Another picture under the old path is measured anew, in a folder and a sheet of its own; the package's photographs go by their names, as in old files."
    one, two, out = tmp_path/"n1"/"p.png", tmp_path/"n2"/"p.png", tmp_path/"q.json"
    save_image(dunes[..., :40, :60], one); save_image(dunes[..., 40:80, :60], two)
    folders, config = [], Config.preset("class", max_size=48, iters=3)
    def row(name, config, number, device, run): folders.append(run.name); return dict(starts=[]), [dunes]*7
    monkeypatch.setattr(bench, "quality_row", row)
    monkeypatch.setattr(bench, "bench_row", lambda name, *rest, **_: timed.append(name) or dict(pace=dict(height=1, width=1, expected=2, milliseconds=[3.], memory=None)))
    results, timed, times = open_results(out, "here", "quality"), [], open_results(tmp_path/"b.json", "here", "bench")
    def measure(*names):
        measure_all(out, results, names, configs={("class", 0): config}, number=4, device="cpu", runs=tmp_path/"runs", report=str)
        bench_all(tmp_path/"b.json", times, names, configs=[("class", config)], budget=9, device="cpu", report=str)
    for _ in range(2): measure(str(one), str(two), "dunes")
    marks = [hashlib.sha256(file.read_bytes()).hexdigest()[:8] for file in (one, two)]
    assert folders == [f"p_{marks[0]}_class_48_3_0", f"p_{marks[1]}_class_48_3_0", "dunes_class_48_3_0"] and timed == [str(one), str(two), "dunes"]
    assert sorted(file.name for file in (tmp_path/"q").iterdir()) == sorted([f"p_{mark}_class_48.jpg" for mark in marks] + ["dunes_class_48.jpg"])
    save_image(dunes[..., 80:120, :60], one)
    for _ in range(2): measure(str(one), str(two))
    assert len(folders) == len(timed) == len(results["rows"]) == len(times["rows"]) == 4 and folders[3] not in folders[:3] and timed[3] == str(one)
    assert f"| p_{marks[0]} |" in bench_table(times["rows"]) and f"| p_{marks[1]} |" in bench_table(times["rows"]) and "| dunes |" in bench_table(times["rows"])
    for each in results["rows"] + times["rows"]:
        if each["photograph"] == "dunes": del each["content"]                      # as in a file of an older version
    measure("dunes")
    assert len(folders) == len(timed) == 4
    monkeypatch.chdir(tmp_path); (tmp_path/"dunes").write_bytes(one.read_bytes())  # a file that is called like a photograph of the package
    measure("dunes")
    assert len(folders) == len(timed) == 5


def test_a_results_file_belongs_to_one_command(tmp_path, capsys):
    "The other command refuses it with one line, whichever was first, and leaves it as it was."
    machine = machine_name(torch.device("cpu"))
    for kind, other, field in (("quality", "bench", "starts"), ("bench", "quality", "pace")):
        out = tmp_path/f"{kind}.json"
        out.write_text(json.dumps(dict(format=1, machine=machine, torch="2", rows=[{"photograph": "dunes", field: {}}])))
        before = out.read_text()
        assert open_results(out, machine, kind) == open_results(out, machine) == json.loads(before)
        with pytest.raises(SinGANError, match=f"{kind}.json holds rows that are not from singan {other}; give another file"): open_results(out, machine, other)
        assert run_command([other, "--photographs", "dunes", "--presets", "class", "--seeds", "0", "--iters", "1", "--device", "cpu", "--out", str(out), *(["--sizes", "40"] if other == "bench" else ["-n", "2"])]) == 2
        said = capsys.readouterr().err
        assert f"error: {out} holds rows that are not from singan {other}" in said and "Traceback" not in said and out.read_text() == before
