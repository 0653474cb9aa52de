"""The benchmark command, and the functions behind it."""
import json
import subprocess
import sys

import torch

from singan_nb.all import Config, FastTrainer, ScaleTrainer, bench_table, pace


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
    measured = pace("dunes", config, "cpu", 2)
    assert abs(measured["expected"] - .5*sum(measured["milliseconds"])) < .1


def test_the_pace_is_that_of_the_arithmetic_that_train_uses():
    "Convolutions may round to TF32 where the precision is tf32, and nowhere else; afterwards it is as before."
    class Spy(FastTrainer):
        def step(self):
            seen.add(torch.backends.cudnn.allow_tf32)
            return super().step()
    before = torch.backends.cudnn.allow_tf32
    for precision, allowed in (("fp32", False), ("tf32", True)):
        seen = set()
        pace("dunes", Config.preset("class", max_size=48, precision=precision), "cpu", 1, trainer=Spy)
        assert seen == {allowed} and torch.backends.cudnn.allow_tf32 == before


def test_the_pace_of_the_readable_trainer():
    assert len(pace("dunes", Config.preset("class", max_size=48), "cpu", 1, trainer=ScaleTrainer)["milliseconds"]) == 2


def test_the_pace_leaves_the_program_s_modes_and_random_numbers_and_takes_any_configuration():
    before = torch.get_rng_state()
    with torch.inference_mode(): found = pace("dunes", dict(max_size=48, width=8), "cpu", 1)
    assert torch.equal(torch.get_rng_state(), before) and len(found["milliseconds"]) == 2


def test_peak_memory_sees_an_allocation():
    "In a process of its own: one that has trained keeps freed memory, and takes 400 MB from there."
    code = ("import torch; from singan_nb.bench import peak_memory, reset_peak; cpu = torch.device('cpu')\n"
            "reset_peak(cpu); before = peak_memory(cpu); torch.ones(100, 2**20)\n"
            "print(None if before is None else peak_memory(cpu) - before)")
    grown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert grown == "None" or 300 < float(grown) < 500


def test_an_empty_table_has_a_head(): assert bench_table([]).count("\n") == 1
