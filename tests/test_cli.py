"""The command as a user runs it: what it writes, what it says, and one line with exit code 2 when something is wrong."""
import io
import json
import locale
import os
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from conftest import TINY, same_weights
from PIL import Image

from singan_nb.animate import BORDERS
from singan_nb.cli import run_command
from singan_nb.commands.options import GROUPS, app, quietness
from singan_nb.commands.train import build_config, shell_line
from singan_nb.config import CHOICES, PRESETS, Config
from singan_nb.files import SinGANError
from singan_nb.images import load_image, resize, save_image
from singan_nb.masks import BLENDS
from singan_nb.models import SinGAN
from singan_nb.progress import progress_bar
from singan_nb.scale import ScaleTrainer
from singan_nb.training import train
from singan_nb.workers import BACKENDS
from singan_nb.zoo import bundled_images

fcntl, pty, termios = (pytest.importorskip(name) for name in ("fcntl", "pty", "termios"))


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


def test_ctrl_c_without_a_folder_says_that_nothing_is_saved(tmp_path, capsys, monkeypatch):
    step = ScaleTrainer.step
    monkeypatch.setattr(ScaleTrainer, "step", lambda trainer: (signal.raise_signal(signal.SIGINT), step(trainer))[1])
    save_image(load_image("dunes")[..., :30, :30], tmp_path/"small.png")
    assert run_command(["superres", str(tmp_path/"small.png"), "--factor", "2", "--iters", "3", "--preset", "class", "--out", str(tmp_path/"large.png")]) == 130
    said = capsys.readouterr().err.splitlines()[-1]
    assert "nothing of it is saved" in said and "--run" in said and ".model" not in said and not (tmp_path/"large.png").exists()


def test_module_and_version(singan):
    assert singan("--version").stdout.strip() == __import__("singan_nb").__version__
    assert "train" in singan("--help").stdout


def test_library_needs_neither_nbdev_nor_notebooks():
    "Importing everything pulls in no development tool."
    code = "import sys; from singan_nb.all import *; import singan_nb.cli; print([m for m in ('nbdev', 'fastcore', 'ipywidgets', 'IPython', 'execnb') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_tiny_model_is_what_the_fixture_says(model):
    assert model.sizes[0][0] == TINY["min_size"] and torch.isfinite(model.image).all()


# what a terminal obeys, quotes, markup, spaces, bytes that are no text: none of it may do anything, in any output
HOSTILE = ["<b>bold", "two\nlines", "\x1b[31mred\x1b]0;title\x07", "it's \"quoted\" $(touch pwned)", "-dash", "[link]%s{0}", "\u202egnp", "\udcff\udcfe", "×σ 名 ñ", "n"*190]


def harmless(text):
    "Can a terminal print this, and no more?"
    return all(line.isprintable() for line in text.splitlines()) and "\x1b" not in text and "\u202e" not in text


@pytest.fixture(scope="module")
def foreign(run, tmp_path_factory):
    "A model whose record is hostile, and a picture under each of the names."
    folder, model = tmp_path_factory.mktemp("foreign"), SinGAN.load(run)
    model.record |= {name.encode(errors="backslashreplace").decode(): name.encode(errors="backslashreplace").decode() for name in HOSTILE}
    model.save(folder/"model.safetensors")
    for name in HOSTILE: save_image(resize(load_image("dunes"), (30, 48)).clamp(-1, 1), folder/f"{name}.png")
    return folder


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_names_do_nothing_in_any_output(foreign, tmp_path, capsys, monkeypatch, name):
    "Each command with the name as a picture, a place, a choice and a record; every line of both streams is looked at."
    monkeypatch.chdir(tmp_path)
    picture, quick = f"{foreign}/{name}.png", ["--preset", "class", "--max-size", "48", "--iters", "1"]
    model, out = str(foreign/"model.safetensors"), f"{tmp_path}/made/{name}"
    mask = torch.zeros(1, 3, 30, 48) - 1; mask[..., 10:20, 10:20] = 1; save_image(mask, "mask.png")
    commands = [(["train", picture, "--out", out, *quick], 0), (["train", "--out", "run", *quick, "--", picture], 0), (["info", model], 0), (["info", model, "--json"], 0),
                (["sample", model, "-n", "1", "--out", out + "s"], 0), (["evaluate", "--", picture, picture], 0), (["paint", model, picture, "--out", out + "p.png"], 0),
                (["edit", model, picture, "mask.png", "--out", out + "e.png"], 0), (["harmonize", model, picture, "mask.png", "--out", out + "h.png"], 0),
                (["retarget", model, "--width", "60", "--out", out + "r.png"], 0), (["animate", model, "--frames", "2", "--out", out + "a.gif"], 0),
                (["train", "--out", "x", "--", name], 2), (["train", "dunes", "--out", "x", "--preset", name], 2), (["train", "dunes", "--out", "x", f"--set={name}=1"], 2), (["info", "--", name], 2),
                (["train", "dunes", "--out", "x", f"--config={name}"], 2), (["sample", model, "--out", "x", f"--device={name}"], 2), (["--" + name], 2), (["--", name], 2)]
    for arguments, code in commands:
        expected = 2 if "\udcff" in name and out in " ".join(arguments) else code                        # no text: refused first
        assert run_command(arguments) == expected, (arguments, capsys.readouterr())
        said = capsys.readouterr()
        assert harmless(said.out) and harmless(said.err), (arguments, said)
        if expected == 2: assert said.err.startswith("error: ") and said.err.count("\n") == 1
    assert not os.path.exists("pwned") and not os.path.exists("x") and not ("\udcff" in name and os.path.exists(out))


@pytest.mark.parametrize("encoding", ["ascii", "cp932", "cp1251"])
def test_no_letter_kills_a_command(run, tmp_path, singan, encoding):
    "A pipe that cannot show × or a name from elsewhere."
    save_image(resize(load_image("dunes"), (60, 96)).clamp(-1, 1), tmp_path/"ñ名σ.png")
    env = {"PYTHONIOENCODING": encoding}
    for arguments in (["images"], ["info", run], ["train", tmp_path/"ñ名σ.png", "--out", tmp_path/"σ×ñ名", "--preset", "class", "--max-size", 40, "--iters", 1],
                      ["sample", run, "-n", 1, "--out", tmp_path/"ñ名σ"], ["quality", "--help"], ["retarget", run, "--width", 60, "--out", tmp_path/"ñ名.png"]):
        done = singan(*arguments, env=env, encoding=encoding, errors="replace")      # help is UTF-8 where ASCII would be lost
        assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    done = singan("sample", run, "-n", 1, "--out", tmp_path/"ñ.png"/"名", "--height", 0, env=env, encoding=encoding)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


# the first contact

def test_without_a_command_it_helps(singan):
    bare, short = singan(), singan("-h")
    assert bare.returncode == short.returncode == 0 and bare.stdout == short.stdout and bare.stderr == ""
    places = [bare.stdout.index(group) for group in ("Start here:", "Train:", "Applications:", "Measure:", "More:")]
    assert places == sorted(places) and "--install-completion" in bare.stdout


def test_every_command_is_in_a_group_and_has_an_example(capsys):
    commands = typer.main.get_command(app).commands
    assert {command.rich_help_panel for command in commands.values()} == set(GROUPS)
    for name in commands:
        assert run_command([name, "-h"]) == 0
        example = " ".join(capsys.readouterr().out.split("Example: ")[1].split())
        words = shlex.split(example)
        assert words[:2] == ["singan", name]
        if name not in ("train", "train-many", "paint", "edit", "harmonize", "superres", "import-official", "evaluate"): continue      # the others run without a file of yours
        assert len(words) > 2


def test_help_and_version_do_not_load_torch():
    code = "import sys; from singan_nb.cli import run_command; codes = [run_command(a) for a in (['--help'], ['train', '--help'], ['--version'], ['fly'], [])]; sys.exit(str((codes, [m for m in ('torch', 'numpy', 'PIL') if m in sys.modules])))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == "([0, 0, 0, 2, 0], [])"


def test_the_shell_is_told_commands_and_choices(singan):
    def offered(line, number): return singan(env={"_SINGAN_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(number)}).stdout.split()
    assert offered("singan tr", 1) == ["train", "train-many"] and offered("singan train --preset ", 3) == ["paper", "fast", "class", "gpu"]


@pytest.mark.parametrize("option, field", [("--preset", None), ("--z-star", "z_star"), ("--precision", "precision")])
def test_choices_are_those_of_the_library(option, field, capsys):
    choices = PRESETS if field is None else CHOICES[field]
    assert run_command(["train", "--help"]) == 0 and f"[{'|'.join(choices)}]" in capsys.readouterr().out
    assert f"must be one of {', '.join(choices)}" in one_line(capsys, ["train", "dunes", "--out", "x", option, "none"])


def test_blends_borders_and_backends_are_those_of_the_library(capsys):
    for command, choices in (("edit", BLENDS), ("animate", BORDERS), ("train-many", BACKENDS)):
        assert run_command([command, "--help"]) == 0 and f"[{'|'.join(choices)}]" in capsys.readouterr().out


def test_quiet_and_verbose(tmp_path, capfd):
    train = ["train", "dunes", "--preset", "class", "--max-size", "40", "--iters", "1", "--out"]
    assert run_command([*train, str(tmp_path/"a"), "-q"]) == 0 and capfd.readouterr() == ("", "")
    assert run_command(["-q", *train, str(tmp_path/"b")]) == 0 and capfd.readouterr() == ("", "")
    assert run_command([*train, str(tmp_path/"c"), "-v"]) == 0 and "gp_every=4" in capfd.readouterr().err
    assert run_command(["info", str(tmp_path/"a"), "-q"]) == 0 and "1 scales" in capfd.readouterr().out           # the result itself
    assert run_command([*train, str(tmp_path/"c"), "-v"]) == 2 and "Traceback" in capfd.readouterr().err
    assert run_command([*train, str(tmp_path/"c")]) == 2 and "Traceback" not in capfd.readouterr().err


# settings

TEXTS = {int: "17", float: "0.25", bool: "true", str: "x", tuple: "0.25,0.75"}


@pytest.mark.parametrize("name", Config.__dataclass_fields__)
def test_every_field_can_be_set(name):
    value = {"layers": 4, "scale_factor": .5, "min_size": 30, "max_size": 300, **{key: choices[-1] for key, choices in CHOICES.items()}}.get(name)
    kind = type(getattr(Config, name))
    text = TEXTS[kind] if value is None else str(value)
    made = getattr(build_config({}, [f"{name}={text}"], preset="paper"), name)
    assert type(made) is kind and made == ({int: 17, float: .25, bool: True, tuple: (.25, .75)}[kind] if value is None else value)


def test_options_before_set_before_the_file_before_the_preset(tmp_path):
    (tmp_path/"run.toml").write_text('preset = "gpu"\nlr = 0.01\niters = 3\nmax_size = 60\nbetas = [0.25, 0.75]\n')
    made = build_config(dict(max_size=70, seed=None), ["iters=4", "max_size=80"], tmp_path/"run.toml")
    assert made == Config.preset("gpu", lr=.01, iters=4, max_size=70, betas=(.25, .75))
    assert build_config({}, None, tmp_path/"run.toml", preset="class") == Config.preset("class", lr=.01, iters=3, max_size=60, betas=(.25, .75))


@pytest.mark.parametrize("text, options, words", [
    ("", ["--set", "lr="], "lr=''"), ("", ["--set", "lt=1"], "lt is no hyperparameter"), ("", ["--set", "lr=9"], "out of range"), ("", ["--set", "iters=1.5"], "whole number"), ("", ["--set", "tune_noise=maybe"], "True or False"),
    ("lr = ", [], "no TOML"), ("lt = 1", [], "lt is no hyperparameter"), ("[lr]\na = 1", [], "lr={'a': 1}"), ("betas = ['a', 'b']", [], "two numbers of at least 0 and below 1"), ("preset = 'quick'", [], "quick"), (b"\xff", [], "no TOML"), (None, [], "no such file")])
def test_bad_settings(tmp_path, capsys, text, options, words):
    file = tmp_path/"run.toml"
    if text is not None: file.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert words in one_line(capsys, ["train", "dunes", "--out", tmp_path/"run", "--config", file, *options]) and not (tmp_path/"run").exists()


@pytest.mark.parametrize("name", ["-dash.png", "it's $(x).png"])
def test_the_command_that_is_printed_and_recorded_can_be_pasted(tmp_path, capsys, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    save_image(resize(load_image("dunes"), (30, 48)).clamp(-1, 1), name)
    assert run_command(["train", "--preset", "class", "--max-size", "48", "--iters", "2", "--set", "lr=1e-3", "--set", "betas=0.4,0.9", "--out", "-r u'n", "--", name]) == 0
    line = capsys.readouterr().out.split("now: ")[1].strip()
    assert run_command(["sample", "-n", "1", *shlex.split(line)[2:]]) == 0 and os.path.exists("-r u'n/samples/sample_000.png")
    recorded = SinGAN.load("-r u'n").record["command"]
    assert run_command(shlex.split(recorded.replace("RUN", "again"))[1:]) == 0
    assert same_weights(SinGAN.load("again"), SinGAN.load("-r u'n"))


# before the work

def test_what_will_be_drawn_is_said_first(run, tmp_path, capsys):
    assert run_command(["sample", str(run), "-n", "2", "--width", "60", "--out", str(tmp_path/"a")]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "drawing 2 pictures of 38×60 pixels on cpu"
    assert run_command(["animate", str(run), "--frames", "3", "--out", str(tmp_path/"a.gif")]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "drawing 3 frames of 30×48 pixels on cpu"


def test_what_memory_will_not_do_is_refused(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("singan_nb.devices.free_memory", lambda device: 1e8)
    big = ["train", "dunes", "--out", tmp_path/"run", "--preset", "paper", "--max-size", 300]
    assert "0.1 GB free" in one_line(capsys, big) and not (tmp_path/"run").exists()
    assert "GB free" in one_line(capsys, ["superres", "dunes", "--out", tmp_path/"large.png"]) and os.listdir(tmp_path) == []
    assert "GB free" in one_line(capsys, ["sample", run, "--width", 20000, "--out", tmp_path/"out"]) and os.listdir(tmp_path) == []
    assert run_command(["train", "dunes", "--out", str(tmp_path/"run"), "--preset", "class", "--max-size", "40", "--iters", "1", "--yes"]) == 0


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), torch.cuda.OutOfMemoryError("CUDA out of memory")])
def test_memory_that_runs_out_is_a_line(run, tmp_path, capsys, monkeypatch, error):
    def full(*given, **options): raise error
    monkeypatch.setattr(SinGAN, "load", full)
    for command in (["sample", run, "--out", tmp_path/"a"], ["animate", run, "--out", tmp_path/"a.gif"]): assert "memory does not suffice" in one_line(capsys, command)


def test_a_photograph_too_large_to_train_on_names_no_option_that_superres_lacks(tmp_path, capsys):
    Image.new("RGB", (4200, 30)).save(tmp_path/"long.png")
    said = one_line(capsys, ["superres", tmp_path/"long.png", "--out", tmp_path/"x.png"])
    assert "4096" in said and "max_size" not in said and "max-size" not in said
    assert "--run" in one_line(capsys, ["superres", "dunes", "--resume", "--out", tmp_path/"x.png"])


def test_the_encoder_is_asked_for_before_anything_else(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    assert "imageio-ffmpeg" in one_line(capsys, ["animate", "no such model", "--out", tmp_path/"a.mp4"])


def test_samples_of_two_models_do_not_lie_in_one_folder(run, tmp_path, capsys):
    sample = lambda *options: ["sample", str(run), "--out", str(tmp_path/"s"), *options]
    assert run_command(sample("-n", "3", "--grid")) == 0 and run_command(sample("-n", "3", "--grid")) == 0       # the same command may be repeated
    capsys.readouterr()
    (tmp_path/"s"/"mine.png").write_bytes(b"")
    assert "--overwrite" in one_line(capsys, sample("-n", "2")) and len(os.listdir(tmp_path/"s")) == 5
    assert run_command(sample("-n", "2", "--overwrite")) == 0
    assert sorted(os.listdir(tmp_path/"s")) == ["mine.png", "sample_000.png", "sample_001.png"]


@pytest.mark.parametrize("seed", [-1, 2**32, 2**64, -2**70])
def test_seeds_of_any_size(run, tmp_path, seed):
    assert run_command(["paint", str(run), "dunes", "--quantize", "--scale", "1", "--seed", str(seed), "--out", str(tmp_path/"a.png")]) == 0 if seed in (-1, 2**32) else True
    assert run_command(["sample", str(run), "-n", "1", "--seed", str(seed), "--out", str(tmp_path/"s")]) == 0


def test_a_folder_named_like_a_bundled_model(run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("dunes")
    assert run_command(["info", "dunes"]) == 0
    said = capsys.readouterr()
    assert "bundled one is used" in said.err and len(said.out) > 0
    assert "no model.safetensors" in one_line(capsys, ["info", "./dunes"])
    assert run_command(["train", "dunes", "--out", "a", "--preset", "class", "--max-size", "40", "--iters", "1"]) == 0
    shutil.copy(run/"model.safetensors", "dunes"); capsys.readouterr()
    assert run_command(["info", "dunes"]) == 0
    said = capsys.readouterr()
    assert "the one in this folder is used" in said.err and "30 × 48" in said.out


# progress

def test_the_time_left_is_seen_at_80_columns(tmp_path, dunes, own_signals):
    screen = at_a_terminal(["train", "dunes", "--out", str(tmp_path/"run"), "--max-size", "60", "--iters", "100000", "--preset", "class"], until=b"left, scale", columns=80)
    lines = [line for line in screen.decode().replace("\n", "\r").split("\r") if "left" in line]
    assert lines and all(len(line) <= 80 and "iteration" in line for line in lines)


def at_a_terminal(arguments, until, columns):
    "What a command writes to a terminal of so many columns until it says something; the terminal is then closed. Its exit code must be that of HUP."
    main, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen([sys.executable, "-m", "singan_nb", *arguments], stdin=end, stdout=end, stderr=end, start_new_session=True,
                               preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    os.close(end); seen = b""
    try:
        while until not in seen: seen += os.read(main, 4096)
        time.sleep(1); seen += os.read(main, 65536)
        os.close(main)
        assert process.wait(60) == 129
    finally: process.kill()
    return seen


def test_a_log_gets_a_line_a_minute(monkeypatch, capsys):
    now = [1000.]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0]); monkeypatch.setattr("tqdm.std.tqdm.monitor_interval", 0)
    bar = progress_bar(total=600, unit="picture")
    for _ in range(600): now[0] += 1; bar.update()
    bar.close()
    said = capsys.readouterr().err
    assert 10 <= said.count("\n") <= 12 and "\r" not in said and "100%" in said.splitlines()[-1]


# leaving things as they were

def process_state():
    return dict(filters=list(warnings.filters), showwarning=warnings.showwarning, threads=torch.get_num_threads(), dtype=torch.get_default_dtype(), locale=locale.setlocale(locale.LC_ALL), grad=torch.is_grad_enabled(),
                signals={name: signal.getsignal(getattr(signal, name)) for name in ("SIGINT", "SIGTERM", "SIGHUP")}, streams=(sys.stdout.errors, sys.stderr.errors), quiet=quietness.get(), alive=threading.active_count(), given=(id(sys.stdout), id(sys.stderr)),
                environment={name: value for name, value in os.environ.items() if name != "TORCHINDUCTOR_CACHE_DIR"}, folder=os.getcwd(), recursion=sys.getrecursionlimit(), hook=sys.excepthook, tf32=torch.backends.cudnn.allow_tf32)


@pytest.mark.parametrize("arguments, code", [
    (["sample", "RUN", "-n", "2", "--out", "OUT", "-q"], 0), (["train", "dunes", "--out", "OUT", "--preset", "class", "--max-size", "40", "--iters", "1", "-v"], 0), (["train", "dunes", "--out", "OUT", "--iters", "0"], 2), (["fly"], 2), ([], 0), (["edit", "RUN", "RUN", "RUN", "--out", "x.png"], 2), ("broken", None), ("left", None), ("halfway", None), ("stopped", 130), ("gone", 141)])
def test_the_process_is_left_as_it_was(run, tmp_path, monkeypatch, own_signals, arguments, code):
    "However a command ends, and whatever it does to warnings, streams and signals; one that ends halfway has begun a bar, whose thread tqdm began."
    error = {"broken": ZeroDivisionError, "left": SystemExit, "halfway": ZeroDivisionError, "stopped": KeyboardInterrupt, "gone": BrokenPipeError}.get(str(arguments))
    def fail(*given, **options):
        torch.set_default_dtype(torch.float32); warnings.simplefilter("ignore"); warnings.showwarning = print
        sys.stderr.reconfigure(errors="ignore"); signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise error
    words = ["info", "RUN"] if error else arguments
    if arguments == "halfway": words = ["train", "dunes", "--out", "OUT", "--preset", "class", "--max-size", "40", "--iters", "2"]; monkeypatch.setattr(ScaleTrainer, "step", fail)
    elif error: monkeypatch.setattr(SinGAN, "load", fail)
    words = [word.replace("RUN", str(run)).replace("OUT", str(tmp_path/"out")) for word in words]
    before = process_state()
    if code is None:
        with pytest.raises(error): run_command(words)
    else: assert run_command(words) == code
    assert process_state() == before


def test_a_closed_stream_leaves_the_other_one_as_it_was(run, monkeypatch):
    "Closed before the command, or while it runs."
    open_one, closed = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    monkeypatch.setattr(sys, "stdout", open_one); monkeypatch.setattr(sys, "stderr", closed)
    level = quietness.set(False)
    try:
        def stop(*given, **options): closed.close(); raise BrokenPipeError
        monkeypatch.setattr(SinGAN, "load", stop)
        before = warnings.showwarning, list(warnings.filters)
        assert run_command(["info", str(run)]) == 141 and closed.closed
        assert run_command(["--version"]) == 0 and open_one.errors == "strict" and quietness.get() is False
        assert before == (warnings.showwarning, list(warnings.filters))
    finally: quietness.reset(level)


def test_warnings_are_given_back_where_python_keeps_them_by_context(monkeypatch):
    "There `catch_warnings` gives back the filters alone."
    class Filters(warnings.catch_warnings):
        def __exit__(self, *ended): shows = warnings.showwarning; super().__exit__(*ended); warnings.showwarning = shows
    monkeypatch.setattr(warnings, "catch_warnings", Filters)
    before = warnings.showwarning
    assert run_command(["fly"]) == 2 and warnings.showwarning is before


def test_the_first_command_of_a_process_leaves_it_as_it_was(run, tmp_path):
    "Later ones find what the first one left; PyTorch's own name in the environment is PyTorch's."
    code = """if True:
        import sys; sys.path.insert(0, sys.argv.pop(1))
        from test_cli import process_state, run_command
        before = process_state()
        for line in ("fly", f"sample {sys.argv[1]} -n 1 --out {sys.argv[2]}/samples", f"train dunes --out {sys.argv[2]}/run --preset class --max-size 40 --iters 1"):
            print(run_command(line.split()), file=sys.stderr)
            after = process_state()
            assert after == before, {name: (before[name], after[name]) for name in before if before[name] != after[name]}"""
    done = subprocess.run([sys.executable, "-c", code, os.path.dirname(__file__), run, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0 and [line for line in done.stderr.splitlines() if line.isdigit()] == ["2", "0", "0"], done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_term_and_hup_save_as_ctrl_c_does(tmp_path, number, own_signals):
    "Stopped in the middle, gone on with: the same bits as without the stop."
    options = ["--preset", "class", "--max-size", "40", "--min-size", "20", "--iters", "150", "--device", "cpu"]
    command = [sys.executable, "-m", "singan_nb", "train", "dunes", "--out", str(tmp_path/"run"), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not (tmp_path/"run"/"checkpoint.safetensors").exists() and process.poll() is None: time.sleep(.02)
    time.sleep(.5); process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number and "all of it is saved" in said and "--resume" in said.splitlines()[-1] and "Traceback" not in said
    assert subprocess.run([*command, "--resume"], capture_output=True).returncode == 0
    whole = train(load_image("dunes"), Config.preset("class", max_size=40, min_size=20, iters=150), device="cpu", progress=False)
    assert same_weights(SinGAN.load(tmp_path/"run"), whole)


def test_nohup_is_respected(tmp_path):
    "A signal that was ignored before stays ignored."
    code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); from singan_nb.cli import _signals_stop\nwith _signals_stop() as came: signal.raise_signal(signal.SIGHUP); assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN\nprint(came)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_a_reader_that_leaves_ends_the_command_silently(run):
    done = subprocess.run(f"{shlex.quote(sys.executable)} -m singan_nb images | true; exit ${{PIPESTATUS[0]}}", shell=True, executable="/bin/bash", capture_output=True, text=True)
    assert done.returncode in (0, 141) and done.stderr == ""


def test_older_samples_never_lie_among_new_ones(tmp_path, capsys, monkeypatch):
    "A second command that is stopped in the middle leaves its own pictures alone, not a mixture."
    draw = lambda seed: run_command(["sample", "dunes", "-n", "4", "--height", "20", "--seed", str(seed), "--out", str(tmp_path/"s")])
    assert draw(1) == 0
    first = (tmp_path/"s"/"sample_003.png").read_bytes()
    capsys.readouterr()
    saved = []
    def stop(image, path):
        if len(saved) == 2: raise KeyboardInterrupt
        saved.append(path); return save_image(image, path)
    monkeypatch.setattr("singan_nb.images.save_image", stop)
    assert draw(2) == 130 and sorted(os.listdir(tmp_path/"s")) == ["sample_000.png", "sample_001.png"]
    assert "4 older pictures" in capsys.readouterr().err
    monkeypatch.undo()
    assert draw(1) == 0 and (tmp_path/"s"/"sample_003.png").read_bytes() == first
    (tmp_path/"file").write_text(""); capsys.readouterr()
    assert "is a file; give a folder" in one_line(capsys, ["sample", "dunes", "--out", tmp_path/"file"])


def test_a_picture_too_long_for_its_format_is_refused_before_the_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(ScaleTrainer, "step", lambda trainer: pytest.fail("it trains"))
    save_image(load_image("dunes")[..., :30, :300].repeat(1, 1, 1, 4), tmp_path/"strip.png")
    for command in (["retarget", "dunes", "--width", 17000], ["superres", tmp_path/"strip.png", "--factor", 15]):
        assert "at most 16383" in one_line(capsys, [*command, "--out", tmp_path/"x.webp"])
    assert os.listdir(tmp_path) == ["strip.png"]


@pytest.mark.parametrize("options, words", [
    (["--set", "lr"], "FIELD=VALUE"), (["--set", "=1"], "FIELD=VALUE"), (["--set", "of=3"], "of is no hyperparameter"), (["--set", "preset=3"], "preset '3' is unknown"),
    (["--config", "."], "is a folder"), (["--save-every", "nan"], "at least 0"), (["--save-every", "-1"], "at least 0")])
def test_settings_that_are_none(tmp_path, capsys, options, words):
    assert words in one_line(capsys, ["train", "dunes", "--out", tmp_path/"run", *options]) and os.listdir(tmp_path) == []


def test_a_preset_among_the_settings(tmp_path):
    (tmp_path/"run.toml").write_bytes(b"\xef\xbb\xbfpreset = 'paper'\nlr = 0.001\n")                 # as Notepad writes it
    assert build_config({}, ["preset=class", "iters=7"], tmp_path/"run.toml") == Config.preset("class", lr=.001, iters=7)
    (tmp_path/"deep.toml").write_text("x = " + "["*5000)
    with pytest.raises(SinGANError, match="is no TOML"): build_config({}, None, tmp_path/"deep.toml")
    (tmp_path/"list.toml").write_text("preset = ['class']")
    with pytest.raises(SinGANError, match="preset"): build_config({}, None, tmp_path/"list.toml")
    os.mkfifo(tmp_path/"pipe.toml")
    for file in (Path(os.devnull), tmp_path/"pipe.toml"):                                        # a pipe may never end
        with pytest.raises(SinGANError, match="not a file but a pipe or a device; give a file"): build_config({}, None, file)


@pytest.mark.parametrize("name", ["a b", "it's", "nl\nx", "esc\x1b[31m", "back\\slash\t'q'", "by\udcff", "ü\x85", "x\u200b1"])
def test_a_proposed_line_runs_in_a_shell(name):
    line = shell_line("sample", "--out", f"{name}/s", names=[name])
    assert line.isprintable()
    words = subprocess.run(["bash", "-c", "printf '%s\\0' " + line], capture_output=True, check=True).stdout.split(b"\0")[:-1]
    assert words == [b"singan", b"sample", os.fsencode(name), b"--out", os.fsencode(f"{name}/s")]


def test_a_closed_stream_is_no_fault(tmp_path):
    for closing in (">&-", "2>&-", ">&- 2>&-"):
        done = subprocess.run(["bash", "-c", f'exec "$0" -m singan_nb sample dunes -n 2 --height 20 --out "$1" {closing}', sys.executable, str(tmp_path/"s")])
        assert done.returncode == 0 and len(os.listdir(tmp_path/"s")) == 2


def test_what_is_given_in_the_place_of_something_else(tmp_path, capsys):
    save_image(load_image("dunes")[..., :30, :30], tmp_path/"a.png")
    assert "is a picture, where a model comes first" in one_line(capsys, ["paint", tmp_path/"a.png", tmp_path/"a.png", "--out", tmp_path/"b.png"])
    (tmp_path/"run").mkdir(); (tmp_path/"run"/"config.json").write_text("{}"); shutil.copy(tmp_path/"a.png", tmp_path/"run"/"image.png")
    assert "is a run folder" in one_line(capsys, ["evaluate", tmp_path/"a.png", tmp_path/"run"])
    assert "nothing is to be measured" in one_line(capsys, ["quality", "--out", tmp_path/"q.json", "--presets", ","])
    assert "where a folder is needed" in one_line(capsys, ["quality", "--out", tmp_path/"a.png"/"q.json", "--photographs", "dunes"])
    assert "--benchmark compares" in one_line(capsys, ["superres", "--benchmark", tmp_path, "--out", tmp_path/"o", "--strength", ".2"])
    save_image(torch.ones(1, 3, 30, 30), tmp_path/"mask.png")
    assert "inject" not in one_line(capsys, ["edit", "dunes", tmp_path/"a.png", tmp_path/"mask.png", "--out", tmp_path/"c.png"])


def test_to_go_on_with_nothing_is_said(tmp_path, capsys):
    assert run_command(["train", "dunes", "--out", str(tmp_path/"TYPO"), "--resume", "--preset", "class", "--iters", "1", "--max-size", "40"]) == 0
    said = capsys.readouterr()
    assert "holds no run to go on with" in said.err and "1 scale;" in said.out
    (tmp_path/"TYPO"/"image.png").write_bytes(b"broken")
    assert "the run's photograph" in one_line(capsys, ["train", "dunes", "--out", tmp_path/"TYPO", "--resume"])


def test_a_model_without_scales_draws_nothing(tmp_path, capsys):
    "It can be looked into; every command that would draw says in one line what it lacks."
    file = SinGAN(load_image("dunes")[..., :20, :30]).save(tmp_path/"empty.safetensors")
    save_image(load_image("dunes")[..., :20, :30], tmp_path/"a.png")
    assert run_command(["info", str(file)]) == 0 and "0 scales" in capsys.readouterr().out
    picture, out = tmp_path/"a.png", ["--out", tmp_path/"o.png"]
    for command in (["sample", file, "--out", tmp_path/"o"], ["retarget", file, "--width", 40, *out], ["animate", file, "--out", tmp_path/"o.gif"], ["paint", file, picture, *out],
                    ["edit", file, picture, picture, *out], ["harmonize", file, picture, picture, *out], ["evaluate", picture, "--model", file], ["export-onnx", file, "--out", tmp_path/"o.onnx"]):
        assert "the model has no scale" in one_line(capsys, command), command
    assert sorted(os.listdir(tmp_path)) == ["a.png", "empty.safetensors"]


def test_a_tilde_is_a_home_or_a_name(run, tmp_path, capsys, monkeypatch):
    "~ alone is the home folder; a user who is not there, and ./~, are names of folders here."
    monkeypatch.chdir(tmp_path); monkeypatch.setenv("HOME", str(tmp_path/"home"))
    for out, place in (("~/a", "home/a"), ("./~", "~"), ("./~/b", "~/b"), ("~nobody-of-that-name", "~nobody-of-that-name"), ("~nobody-of-that-name/c", "~nobody-of-that-name/c")):
        assert run_command(["sample", str(run), "-n", "1", "--out", out]) == 0
        assert (tmp_path/place/"sample_000.png").exists(), place
    assert run_command(["train", "dunes", "--out", "./~/run", "--preset", "class", "--max-size", "40", "--iters", "1"]) == 0
    assert (tmp_path/"~"/"run"/"model.safetensors").exists() and sorted(os.listdir(tmp_path)) == ["home", "~", "~nobody-of-that-name"]
    capsys.readouterr()
    assert "is empty" in one_line(capsys, ["train", "dunes", "--out", ""])
