"""The command as a user runs it: what it writes, what it says, and one line with exit code 2 when something is wrong."""
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from conftest import TINY
from PIL import Image

from singan_nb.all import SinGAN, bundled_images, load_image
from singan_nb.cli import run_command


@pytest.fixture(scope="module")
def run(tmp_path_factory, singan):
    "A run directory made by the command, as a user would; checks what it said."
    folder = tmp_path_factory.mktemp("cli")/"run"
    done = singan("train", "dunes", "--out", folder, "--preset", "class", "--max-size", 48, "--iters", 5)
    assert done.returncode == 0, done.stderr
    assert "30×48" in done.stdout and str(folder/"model.safetensors") in done.stdout and "left" in done.stderr
    return folder


def test_images_lists_all(capsys):
    assert run_command(["images"]) == 0
    said = capsys.readouterr().out
    assert all(photo.name in said and photo.author in said for photo in bundled_images())


def test_sample_writes_pictures(run, tmp_path, capsys):
    assert run_command(["sample", str(run), "-n", "3", "--out", str(tmp_path/"a"), "--seed", "1", "--grid"]) == 0
    assert str(tmp_path/"a") in capsys.readouterr().out
    assert sorted(os.listdir(tmp_path/"a")) == ["grid.png", "sample_000.png", "sample_001.png", "sample_002.png"]
    assert load_image(tmp_path/"a"/"sample_000.png").shape == (1, 3, 30, 48)
    assert run_command(["sample", str(run/"model.safetensors"), "-n", "1", "--out", str(tmp_path/"b"), "--seed", "1"]) == 0
    assert run_command(["sample", str(run), "-n", "1", "--out", str(tmp_path/"c"), "--strip"]) == 0
    assert sorted(os.listdir(tmp_path/"c")) == ["sample_000.png", "strip.png"] and load_image(tmp_path/"c"/"strip.png").shape[-2:] > (160, 3*256)
    assert (tmp_path/"a"/"sample_000.png").read_bytes() == (tmp_path/"b"/"sample_000.png").read_bytes()


@pytest.mark.parametrize("options, size", [(["--width", "100"], (62, 100)), (["--height", "90"], (90, 144)), (["--height", "20", "--width", "130", "--start-scale", "1"], (20, 130))])
def test_sample_sizes(run, tmp_path, options, size):
    assert run_command(["sample", str(run), "-n", "1", "--out", str(tmp_path), *options]) == 0
    assert load_image(tmp_path/"sample_000.png").shape[-2:] == size


def test_info(run, capsys):
    assert run_command(["info", str(run), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert [(s["height"], s["width"]) for s in about["scales"]] == SinGAN.load(run).sizes
    assert about["record"]["config"]["iters"] == 5 and len(about["record"]["seconds"]) == len(about["scales"])
    assert run_command(["info", str(run)]) == 0 and "parameters" in capsys.readouterr().out


def test_resume_needs_no_options_again(run, capsys):
    assert run_command(["train", "dunes", "--out", str(run), "--resume"]) == 0
    assert "5 iterations" in capsys.readouterr().out


def test_resume_refuses_other_options(run, capsys):
    assert run_command(["train", "dunes", "--out", str(run), "--resume", "--iters", "9"]) == 2
    assert "iters was 5 and is 9" in capsys.readouterr().err


def test_transparent_picture_is_noted_once(tmp_path, singan):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60, 4), dtype=np.uint8)).save(tmp_path/"a.png")
    done = singan("train", tmp_path/"a.png", "--out", tmp_path/"run", "--preset", "class", "--max-size", 30, "--iters", 1)
    assert done.returncode == 0 and done.stderr.count("shown on white") == 1 and "Traceback" not in done.stderr


def one_line(capsys, arguments):
    assert run_command([str(a) for a in arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1, said
    return said


def test_bad_images(tmp_path, capsys):
    Image.new("RGB", (300, 1)).save(tmp_path/"thin.png")
    Image.new("RGB", (20, 20)).save(tmp_path/"small.png")
    (tmp_path/"text.png").write_text("hello")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (99, 99, 3), dtype=np.uint8)).save(tmp_path/"cut.jpg")
    (tmp_path/"cut.jpg").write_bytes((tmp_path/"cut.jpg").read_bytes()[:900])
    for name, words in {"thin.png": "1 × 300", "small.png": "smaller than min_size", "text.png": "not a picture", "cut.jpg": "damaged", "": "folder", "none.png": "no such file"}.items():
        assert words in one_line(capsys, ["train", tmp_path/name, "--out", tmp_path/"run"])
    assert not (tmp_path/"run").exists()


@pytest.mark.parametrize("options, words", [
    (["--iters", 0], "iters=0"), (["--max-size", -5], "max_size=-5"), (["--max-size", 20], "min_size"), (["--iters", "many"], "many"), (["--min-size", 9], "receptive field"), (["--z-star", "free"], "redraw, fixed"), (["--preset", "quick"], "paper, fast, class"),
    (["--device", "cuda:42"], "is not there"), (["--device", "abacus"], "is not there"), (["--precision", "fp8"], "auto, fp32, tf32, bf16"), (["--nonsense"], "nonsense")])
def test_bad_options(tmp_path, capsys, options, words):
    assert words in one_line(capsys, ["train", "dunes", "--out", tmp_path/"run", *options])
    assert not (tmp_path/"run").exists()


@pytest.mark.parametrize("options, words", [(["-n", 0], "at least 1"), (["-n", -3], "at least 1"), (["--start-scale", 9], "does not exist"), (["--height", 0], "--height 0"), (["--width", -7], "--width -7"), (["--height", 10**6], "at most")])
def test_bad_samples(run, tmp_path, capsys, options, words):
    assert words in one_line(capsys, ["sample", run, "--out", tmp_path/"out", *options])
    assert not (tmp_path/"out").exists()


def test_bad_models(run, tmp_path, capsys):
    whole = (run/"model.safetensors").read_bytes()
    (tmp_path/"cut.safetensors").write_bytes(whole[:len(whole)//3])
    (tmp_path/"new.safetensors").write_bytes(whole.replace(b'"format_version":"1"', b'"format_version":"7"'))
    for name, words in {"cut.safetensors": "no whole", "new.safetensors": "format version 7", "": "no model.safetensors", "none": "no such"}.items():
        for command in (["info", tmp_path/name], ["sample", tmp_path/name, "--out", tmp_path/"out"]): assert words in one_line(capsys, command)


def test_places_where_nothing_can_be_written(run, tmp_path, capsys):
    (tmp_path/"file").write_text("")
    assert str(tmp_path/"file") in one_line(capsys, ["sample", run, "--out", tmp_path/"file"/"out"])
    assert "file" in one_line(capsys, ["train", "dunes", "--out", tmp_path/"file"])
    assert "run" in one_line(capsys, ["train", "dunes", "--out", "/proc/run"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission(run, tmp_path, capsys):
    tmp_path.chmod(0o500)
    try: assert "ermission" in one_line(capsys, ["sample", run, "--out", tmp_path/"out"])
    finally: tmp_path.chmod(0o700)


def test_missing_arguments(capsys):
    assert "--out" in one_line(capsys, ["train", "dunes"])
    assert "IMAGE" in one_line(capsys, ["train"]).upper()
    assert "fly" in one_line(capsys, ["fly"])


def test_ctrl_c_says_how_to_go_on(tmp_path):
    command = [sys.executable, "-m", "singan_nb", "train", "dunes", "--out", str(tmp_path/"run"), "--preset", "class", "--iters", "100000"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not (tmp_path/"run"/"checkpoint.safetensors").exists() and process.poll() is None: time.sleep(.05)
    time.sleep(.5); process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "--resume" in said.splitlines()[-1] and "Traceback" not in said


def test_module_and_version(singan):
    assert singan("--version").stdout.strip() == __import__("singan_nb").__version__
    assert "train" in singan("--help").stdout


def test_library_needs_neither_nbdev_nor_notebooks():
    "Importing everything pulls in no development tool."
    code = "import sys; from singan_nb.all import *; import singan_nb.cli; print([m for m in ('nbdev', 'fastcore', 'ipywidgets', 'IPython', 'execnb') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_tiny_model_is_what_the_fixture_says(model):
    assert model.sizes[0][0] == TINY["min_size"] and torch.isfinite(model.image).all()
