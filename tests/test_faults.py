"""What may go wrong in a night: two processes, NaN, no memory, no space, no permission, a jumping clock, an interrupt anywhere."""
import builtins
import io
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import TINY, flipped, same_weights
from safetensors.torch import load_file

import singan_nb.config
import singan_nb.devices
import singan_nb.files
import singan_nb.images
import singan_nb.runs
import singan_nb.training
from singan_nb.all import (
    Callback,
    Config,
    Diverged,
    Interrupted,
    ModelError,
    OutOfMemory,
    RunBusy,
    RunError,
    SinGAN,
    SinGANError,
    check_onnx,
    export_onnx,
    export_scales,
    load_image,
    locked,
    read_config,
    read_log,
    read_tensors,
    run_folder,
    save_animation,
    step_memory,
    train,
    train_many,
    training_command,
    write_summary,
    write_tensors,
)
from singan_nb.cli import run_command
from singan_nb.explore import Shown, save_shown
from singan_nb.files import atomic_write
from singan_nb.runs import Run

OPTIONS = ["--preset", "class", "--max-size", "48", "--device", "cpu"]


class At(Callback):
    "Do something after an iteration of a scale."
    def __init__(self, scale, iteration, act): self.at, self.act = (scale, iteration), act
    def on_iteration(self, watch):
        if (watch.scale, watch.iteration) == self.at: self.act(watch)


def wait_for(file, process):
    while not file.exists() and process.poll() is None: time.sleep(.02)
    assert file.exists(), process.communicate()


def snapshot(folder): return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file() and file.name != ".lock"}


def test_a_second_process_refuses_and_a_killed_one_blocks_nobody(tmp_path, dunes, capsys):
    run = tmp_path/"run"
    first = subprocess.Popen([sys.executable, "-m", "singan_nb", "train", "dunes", "--out", run, *OPTIONS, "--iters", "100000"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for(run/"checkpoint.safetensors", first)
    before = snapshot(run)
    for options in ([], ["--resume"]):
        assert run_command(["train", "dunes", "--out", str(run), *OPTIONS, "--iters", "100000", *options]) == 2
        said = capsys.readouterr().err
        assert f"in use by process {first.pid} on" in said and said.count("\n") == 1
    assert first.poll() is None and snapshot(run).keys() == before.keys()
    first.send_signal(signal.SIGKILL); first.wait(); first.stderr.close()
    with locked(run): pass                                          # what the dead process held is free
    assert not (run/".lock").exists()


def test_the_lock_is_let_go_after_every_end(tmp_path, dunes, tiny):
    def fail(watch): raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError): train(dunes, tiny, tmp_path/"run", progress=False, callbacks=[At(0, 2, fail)])
    with locked(tmp_path/"run"), pytest.raises(RunBusy): train(dunes, tiny, tmp_path/"run", resume=True, progress=False)
    model = train(dunes, tiny, tmp_path/"run", resume=True, progress=False)
    assert same_weights(model, train(dunes, tiny, progress=False)) and not (tmp_path/"run"/".lock").exists()


@pytest.mark.parametrize("spoil, what", [(lambda watch: watch.trainer.scale.generator.net[0][0].weight.data.fill_(math.nan), "not finite"),
                                         (lambda watch: watch.pending.append(torch.full((4,), math.inf)), "loss is not finite")])
def test_nan_keeps_the_state_before_it(tmp_path, dunes, tiny, spoil, what):
    with pytest.raises(Diverged, match=f"{what} at scale 1, .*state of scale 1, iteration 3 is saved in .*run; try a lower learning rate .lr=0.0001, now 0.0005. or precision='fp32'") as error:
        train(dunes, tiny, tmp_path/"run", progress=False, save_every=0, callbacks=[At(1, 4, spoil)])
    assert "\n" not in str(error.value)
    assert all(torch.isfinite(t.float()).all() for t in load_file(tmp_path/"run"/"checkpoint.safetensors").values())
    assert len(SinGAN.load(tmp_path/"run").scales) == 1
    assert same_weights(train(dunes, tiny, tmp_path/"run", resume=True, progress=False), train(dunes, tiny, progress=False))


def test_a_learning_rate_that_is_too_high(tmp_path, dunes):
    "A real one: twelve layers whose weights grow by 1 in each step overflow 32 bits."
    with pytest.raises(Diverged, match="saved in"):
        train(dunes, Config.preset("class", **{**TINY, "iters": 60, "min_size": 25, "layers": 12, "critic_norm": False, "lr": 1., "precision": "fp32"}), tmp_path/"run", progress=False)


def test_a_full_gpu_is_explained(tmp_path, dunes, tiny):
    "What PyTorch raises, raised at that place."
    def full(watch): raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    for change, scale, words in (({}, 0, "max_size=33 .now 48. takes about half"), (dict(max_size=30), 0, "width=4 .now 8."), (dict(crop=32), 2, "crop=22 .now 32.")):
        config = replace(tiny, **change)
        with pytest.raises(OutOfMemory, match=f"cpu ran out of memory at scale {scale} .* where a step takes about . MB; {words}"):
            train(dunes, config, progress=False, callbacks=[At(scale, 2, full)])
    with pytest.raises(OutOfMemory, match="state of scale 0, iteration 0 is saved in"): train(dunes, tiny, tmp_path/"run", progress=False, callbacks=[At(0, 2, full)])
    assert same_weights(train(dunes, tiny, tmp_path/"run", resume=True, progress=False), train(dunes, tiny, progress=False))


def test_memory_that_the_system_really_refuses(tmp_path):
    "The address space is limited to a little more than the program itself takes; a step at the finest scale needs more."
    code = """if True:
        import resource, sys, torch
        from singan_nb.all import *
        from singan_nb.devices import OutOfMemory
        torch.set_num_threads(1)
        train(load_image("dunes"), Config.preset("class", max_size=40, iters=2), progress=False)
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        limit = int(status["VmSize"].split()[0])*1024 + 60_000_000
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        try: train(load_image("dunes"), Config.preset("class", max_size=300, min_size=187, width=64, iters=2), sys.argv[1], progress=False)
        except OutOfMemory as error: print(error)
    """
    done = subprocess.run([sys.executable, "-c", code, tmp_path/"run"], capture_output=True, text=True, timeout=600)
    assert "cpu ran out of memory at scale" in done.stdout and "takes about half" in done.stdout, done.stdout + done.stderr
    assert not list(tmp_path.rglob("*.partial")) and not list(tmp_path.rglob(".lock"))


def test_the_estimate_of_memory_grows_as_it_should():
    assert step_memory((100, 100), 32) == 2*step_memory((100, 50), 32) == 2*step_memory((100, 100), 16) == 5/3*step_memory((100, 100), 32, 3)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="needs root, to mount a small disk")
def test_a_disk_that_is_really_full(tmp_path):
    "A file system of 200 kB in memory, mounted where only this test sees it; then the same disk with room, and resumed."
    script = f"""set -e
        mkdir {tmp_path}/disk; mount -t tmpfs -o size=200k none {tmp_path}/disk
        set +e; {sys.executable} -m singan_nb train dunes --out {tmp_path}/disk/run {' '.join(OPTIONS)} --iters 3; echo "code $?"; set -e
        find {tmp_path}/disk -name '.*.partial' -o -name .lock | sed 's/^/left: /'
        mount -o remount,size=50m {tmp_path}/disk
        {sys.executable} -m singan_nb train dunes --out {tmp_path}/disk/run {' '.join(OPTIONS)} --iters 3 --resume
        cp -r {tmp_path}/disk/run {tmp_path}/run"""
    done = subprocess.run(["unshare", "-m", "bash", "-c", script], capture_output=True, text=True, timeout=600)
    if "unshare" in done.stderr or "mount:" in done.stderr: pytest.skip(done.stderr.splitlines()[0])
    assert "code 2" in done.stdout and "left:" not in done.stdout, done.stdout + done.stderr
    assert "No space left on device" in done.stderr and done.returncode == 0, done.stderr
    assert same_weights(SinGAN.load(tmp_path/"run"), train(load_image("dunes"), Config.preset("class", max_size=48, iters=3), progress=False, device="cpu"))


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="needs root, to mount a disk")
def test_a_disk_that_may_only_be_read(tmp_path):
    "The folder is named, not a file of ours in it that nobody knows."
    script = f"""set -e
        mkdir {tmp_path}/disk; mount -t tmpfs -o size=1m none {tmp_path}/disk
        mkdir {tmp_path}/disk/run; mount -o remount,ro {tmp_path}/disk; set +e
        {sys.executable} -m singan_nb train dunes --out {tmp_path}/disk/run {' '.join(OPTIONS)} --iters 3; echo "code $?" """
    done = subprocess.run(["unshare", "-m", "bash", "-c", script], capture_output=True, text=True, timeout=600)
    if "unshare" in done.stderr or "mount:" in done.stderr: pytest.skip(done.stderr.splitlines()[0])
    assert "code 2" in done.stdout and done.stderr.splitlines()[-1] == f"error: {tmp_path}/disk/run: Read-only file system; nothing half-written is left there"


@pytest.mark.parametrize("place", ["", "run"])
def test_a_folder_that_may_not_be_written(tmp_path, place):
    "Also for root, without the right to ignore permissions."
    drop = [] if os.geteuid() else ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
    if drop and not shutil.which("setpriv"): pytest.skip("root may write anywhere, and setpriv is missing")
    (tmp_path/place).mkdir(exist_ok=True); (tmp_path/place).chmod(0o500)
    try: done = subprocess.run([*drop, sys.executable, "-m", "singan_nb", "train", "dunes", "--out", tmp_path/"run", *OPTIONS, "--iters", "1"], capture_output=True, text=True, timeout=300)
    finally: (tmp_path/place).chmod(0o700)
    assert done.returncode == 2 and "ermission" in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr, done.stderr
    assert not snapshot(tmp_path)


def test_a_clock_that_jumps(tmp_path, dunes, tiny, monkeypatch):
    "The wall clock goes back an hour, or on a day, at each look; nothing waits, nothing is lost."
    real, jumps = time.time, iter([-3600, 86400, 0, -86400]*10**6)
    monkeypatch.setattr(time, "time", lambda: real() + next(jumps))
    train(dunes, tiny, tmp_path/"run", save_every=0, callbacks=[At(1, 2, lambda watch: watch.stop())])
    model = train(dunes, tiny, tmp_path/"run", resume=True, save_every=0)
    monkeypatch.undo()
    assert same_weights(model, train(dunes, tiny, progress=False)) and all(0 <= s < 600 for s in model.record["seconds"])


def test_an_interrupt_at_every_write(tmp_path, dunes, monkeypatch):
    "Ctrl-C before each flush and each rename of a training, one after the other; what is there is whole, and goes on to the same model."
    tiny = Config.preset("class", **{**TINY, "iters": 2, "max_size": 40})
    straight, places = train(dunes, tiny, progress=False), 0
    os_module, real = singan_nb.images.os, {name: getattr(os, name) for name in ("fsync", "replace")}
    while True:
        run, calls = tmp_path/f"run{places}", [0]
        def interrupting(name, calls=calls, at=places):
            def call(*arguments):
                calls[0] += 1
                if calls[0] == at + 1: os.kill(os.getpid(), signal.SIGINT)
                return real[name](*arguments)
            return call
        for name in real: monkeypatch.setattr(os_module, name, interrupting(name))
        try: train(dunes, tiny, run, progress=False, save_every=0)
        except KeyboardInterrupt: pass
        for name in real: monkeypatch.setattr(os_module, name, real[name])
        if calls[0] <= places: break
        assert not list(run.rglob("*.partial")) and not (run/".lock").exists()
        for file in run.rglob("*.safetensors"): load_file(file)
        for file in run.rglob("*.png"): load_image(file)
        assert same_weights(straight, train(dunes, tiny, run, resume=True, progress=False))
        places += 1
    assert places > 20


def test_what_a_killed_process_left_is_removed_by_the_next_one(tmp_path):
    "Not what another computer, a living process or somebody else may have there; whatever the name of the file."
    write = """if True:
        import os, signal, sys; from singan_nb.images import atomic_write
        with atomic_write(sys.argv[1]) as file:
            file.write_text("a part")
            if len(sys.argv) > 2: print(file, flush=True); os.kill(os.getpid(), signal.SIGKILL)"""
    left = [subprocess.run([sys.executable, "-c", write, tmp_path/name, "kill"], capture_output=True, text=True).stdout.strip() for name in ("sample_000.png", "a [1]*.b.gif")]
    assert list(map(os.path.exists, left)) == [False, True]             # the second has removed what the first one left
    number = Path(left[0]).name.split(".")[-3]
    others = [tmp_path/f".a.{singan_nb.files._computer()}.{os.getpid()}.0.partial", tmp_path/f".a.0a0a0a.{number}.0.partial", tmp_path/".a.partial", tmp_path/"a.partial"]
    for file in others: file.touch()
    subprocess.run([sys.executable, "-c", write, tmp_path/"c.txt"], check=True)
    assert set(tmp_path.iterdir()) == {*others, tmp_path/"c.txt"}


def test_threads_that_write_one_file_do_not_disturb_each_other(tmp_path):
    def write(text):
        for _ in range(50):
            with atomic_write(tmp_path/"a") as file: file.write_text(text)
    with ThreadPoolExecutor(8) as pool: list(pool.map(write, "abcdefgh"))
    assert (tmp_path/"a").read_text() in "abcdefgh" and list(tmp_path.iterdir()) == [tmp_path/"a"]


def test_an_interrupt_from_the_first_moment(tmp_path):
    "Ctrl-C at moments from the program's start to its end: one line or none, no half file, and the same command goes on."
    run, command = tmp_path/"run", [sys.executable, "-m", "singan_nb", "train", "dunes", "--out", tmp_path/"run", *OPTIONS, "--iters", "40", "--resume", "--save-every", "0.1"]
    for wait in (.3, 2., 4.):
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(wait); process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=300)
        assert process.returncode in (0, 130, -2, 1), said
        assert process.returncode in (1, -2) or "Traceback" not in said, said           # Python itself was still starting
        assert not list(tmp_path.rglob("*.partial"))
    assert subprocess.run(list(map(str, command)), capture_output=True, timeout=300).returncode == 0
    assert same_weights(SinGAN.load(run), train(load_image("dunes"), Config.preset("class", max_size=48, iters=40), progress=False, device="cpu"))


@pytest.mark.parametrize("file, damage", [("log.csv", lambda b: b + b"1,two\n"), ("model.safetensors", lambda b: b[:-9]), ("model.safetensors", lambda b: b"")])
def test_a_damaged_file_of_a_run_is_named(stopped, tmp_path, dunes, tiny, file, damage):
    shutil.copytree(stopped, tmp_path/"run")
    path = tmp_path/"run"/file
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises((RunError, ModelError), match=f"{file}") as error: train(dunes, tiny, tmp_path/"run", resume=True, progress=False)
    assert "\n" not in str(error.value) and not (tmp_path/"run"/".lock").exists()


# damage: the run is stopped in the middle of its second scale

@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    run = tmp_path_factory.mktemp("stopped")/"run"
    train(load_image("dunes"), Config.preset("class", **TINY), run, progress=False, device="cpu",
          callbacks=[At(1, 3, lambda watch: watch.stop())])
    return run


@pytest.fixture(scope="module")
def straight(dunes): return train(dunes, Config.preset("class", **TINY), progress=False, device="cpu")


def state(run):
    "All that a resume starts from: settings, weights of the finished scales, checkpoint, log; in canonical form."
    opened = Run(run, read_config(run), load_image(run/"image.png"), resume=True)
    model, checkpoint = opened.restore("cpu", 3)
    rows = opened.read_log(checkpoint)
    return opened.config, [*model.state_dict().values()], checkpoint, rows


@pytest.mark.parametrize("name", ["model.safetensors", "checkpoint.safetensors", "config.json", "log.csv"])
def test_no_flipped_bit_is_accepted_with_another_result(stopped, tmp_path, name):
    "200 each: refused in one line, or the same settings, weights and rows; or the whole checkpoint before it, with a note."
    chance, run, refused, noted = random.Random(name), tmp_path/"run", 0, 0
    config, weights, newest, rows = state(stopped)
    before = read_tensors(stopped/"checkpoint.previous.safetensors")[1]
    whole = (stopped/name).read_bytes()
    shutil.copytree(stopped, run)
    for _ in range(200):
        (run/name).write_bytes(flipped(whole, chance))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try: got = state(run)
            except SinGANError as error: got = None; assert "\n" not in str(error) and str(run) in str(error)
        for file in ("checkpoint.safetensors", "checkpoint.previous.safetensors", "config.json"): shutil.copy(stopped/file, run/file)
        refused += got is None
        if got is None: continue
        assert got[0] == config and all(map(torch.equal, got[1], weights))
        if got[2].iteration == newest.iteration: expected, row_count = newest.tensors, len(rows)
        else: expected, row_count = before, 6; noted += 1; assert "the checkpoint before it is used" in str(said[-1].message)
        assert got[2].tensors.keys() == expected.keys() and all(torch.equal(expected[key], got[2].tensors[key]) for key in expected)
        assert got[3] == rows[:row_count]
    assert (refused if name in ("model.safetensors", "log.csv") else noted if name != "config.json" else 200) > 150


@pytest.mark.parametrize("name, damage", [("checkpoint.safetensors", lambda b: b[:len(b)//2]), ("checkpoint.safetensors", lambda b: b""), ("config.json", lambda b: b"["*10**5),
                                          ("config.json", lambda b: b.replace(b'"iters": 6', b'"iters": 7')), ("checkpoint.safetensors", None), ("log.csv", None)])
def test_a_damaged_newest_file_costs_no_run(stopped, straight, tmp_path, dunes, tiny, name, damage):
    "What is damaged or gone is replaced by what the run holds a second time; the result has the bits of a training in one piece."
    run = tmp_path/"run"
    shutil.copytree(stopped, run)
    if damage is None: (run/name).unlink()
    else: (run/name).write_bytes(damage((run/name).read_bytes()))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert same_weights(train(dunes, read_config(run) or tiny, run, resume=True, progress=False, device="cpu"), straight)
    assert (len(said) > 0) == (not (damage is None and name.startswith("checkpoint")))        # a kill between two names is no damage
    assert json.loads((run/"config.json").read_text())["iters"] == 6


def test_the_checkpoint_before_the_end_of_a_scale_finishes_it_again(tmp_path, straight, dunes, tiny, monkeypatch):
    "Killed right after a model was saved, and the newest checkpoint is damaged: the last scale goes back into training."
    run = tmp_path/"run"
    class Killed(BaseException): pass
    def die(self, watch): raise Killed
    monkeypatch.setattr(Run, "preview", lambda self, watch: die(self, watch) if len(watch.model.scales) == 2 else None)
    with pytest.raises(Killed): train(dunes, tiny, run, progress=False, device="cpu", save_every=0)
    monkeypatch.undo()
    assert len(SinGAN.load(run).scales) == 2
    shutil.copytree(run, tmp_path/"whole")
    (run/"checkpoint.safetensors").write_bytes(b"")
    with pytest.warns(UserWarning, match="before it is used"): model = train(dunes, tiny, run, resume=True, progress=False, device="cpu")
    assert same_weights(model, straight)
    assert same_weights(train(dunes, tiny, tmp_path/"whole", resume=True, progress=False, device="cpu"), straight)
    assert sorted(file.name for file in (tmp_path/"whole"/"previews").iterdir()) == ["scale_01.png", "scale_02.png"]      # the lost one too


@pytest.mark.parametrize("change, words", [(lambda image, config: (image.flip(-1), config), "another photograph than"), (lambda image, config: (image, replace(config, seed=1)), "other settings than"),
                                           (lambda image, config: (image.flip(-1), replace(config, lr=1e-3)), "another photograph and other settings than")])
def test_the_model_of_another_run_is_not_taken_for_its_own(tmp_path, dunes, tiny, change, words):
    "Whole, and with a right checksum: copied over by mistake, into a finished run and into one that is not."
    train(dunes, tiny, tmp_path/"run", progress=False, device="cpu")
    model = train(*change(dunes, tiny), progress=False, device="cpu")
    for scales in (3, 1):
        model.scales = model.scales[:scales]
        model.save(tmp_path/"run"/"model.safetensors")
        with pytest.raises(RunError, match=f"model.safetensors is a model of {words} the run; copy the right one back"): train(dunes, tiny, tmp_path/"run", resume=True, progress=False, device="cpu")


def test_a_checkpoint_that_may_not_be_read_is_neither_damaged_nor_thrown_away(stopped, tmp_path, dunes, tiny, monkeypatch):
    run = shutil.copytree(stopped, tmp_path/"run")
    before = snapshot(run)
    monkeypatch.setattr(os, "access", lambda file, mode: Path(file).name != "checkpoint.safetensors")
    with pytest.raises(RunError, match="checkpoint.safetensors may not be read; check its permissions$"): train(dunes, tiny, run, resume=True, progress=False, device="cpu")
    assert snapshot(run) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with a name")
def test_a_pipe_in_a_run_is_not_waited_for(stopped, tmp_path):
    code = """if True:
        import os, shutil, sys
        from conftest import TINY
        from singan_nb.all import *
        for name in ("config.json", "log.csv", ".owner", "model.safetensors", "checkpoint.safetensors", "image.png"):
            run = shutil.copytree(sys.argv[1], os.path.join(sys.argv[2], name))
            file = os.path.join(run, name)
            if os.path.exists(file): os.unlink(file)
            os.mkfifo(file)
            try: train(load_image("dunes"), Config.preset("class", **TINY), run, resume=True, progress=False, device="cpu"); print(name, "goes on")
            except (SinGANError, OSError) as error: print(name, str(error).replace("\\n", "|"))"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code, stopped, tmp_path], capture_output=True, text=True, timeout=300, env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])})
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert [name for name, words in said.items() if words == "goes on"] == [".owner", "checkpoint.safetensors"], done.stdout + done.stderr       # the checkpoint before it is used
    assert len(said) == 6 and all("pipe" in words or "no regular file" in words for name, words in said.items() if words != "goes on"), said


def test_a_run_of_an_older_version_goes_on(stopped, straight, tmp_path, dunes, tiny):
    "Files without checksums, second settings, and the checkpoint before."
    run = tmp_path/"run"
    shutil.copytree(stopped, run); (run/"checkpoint.previous.safetensors").unlink()
    for name in ("model.safetensors", "checkpoint.safetensors"):
        metadata, tensors = read_tensors(run/name)
        for key in ("checksum", "config", "log", "computed"): metadata.pop(key, None)
        (run/name).write_bytes(singan_nb.model_file.save(tensors, metadata))
    with pytest.warns(UserWarning, match="has no checksum"): assert same_weights(train(dunes, tiny, run, resume=True, progress=False, device="cpu"), straight)


def test_two_damaged_checkpoints_are_refused_and_a_missing_model_too(stopped, tmp_path, dunes, tiny):
    for names, words in ((("checkpoint.safetensors", "checkpoint.previous.safetensors"), "checkpoint.safetensors .* no other checkpoint"), (("model.safetensors",), "model.safetensors is missing or too old")):
        run = tmp_path/names[0]
        shutil.copytree(stopped, run)
        for name in names: (run/name).write_bytes(b"") if name.startswith("check") else (run/name).unlink()
        with pytest.raises(RunError, match=words): train(dunes, tiny, run, resume=True, progress=False, device="cpu")


def changed_file(model, file, change):
    "A model file whose description or tensors were changed, with a right checksum."
    metadata, tensors = read_tensors(model.save(file))
    about = json.loads(metadata["about"])
    change(about, tensors)
    return write_tensors(file, tensors, {**metadata, "about": json.dumps(about)})


@pytest.mark.parametrize("change, words", [
    (lambda about, t: t["scales.0.generator.net.0.1.running_var"].fill_(-1), "running_var is negative"),
    (lambda about, t: t["scales.1.generator.net.2.0.weight"].fill_(1e38), "weight holds 1e.38"),
    (lambda about, t: t["scales.1.noise_amp"].fill_(1e38), "noise_amp holds"), (lambda about, t: t["scales.1.noise_amp"].fill_(-1), "noise_amp is negative"),
    (lambda about, t: t["scales.1.noise_amp"].fill_(math.nan), "not finite"), (lambda about, t: about.update(reach=[[1.], None, None]), "reach is"),
    (lambda about, t: about.update(reach=[None, [], None]), "reach is"), (lambda about, t: about.update(reach=[None, [1., 1e9], None]), "reach is"),
    (lambda about, t: about.update(reach=[None, [1e-300, 1.], None]), "reach is"), (lambda about, t: about["sizes"].__setitem__(-1, [1, 1]), "smaller than the one below"),
    (lambda about, t: about.update(grey_noise="no"), "grey_noise is no")])
def test_numbers_that_no_training_gives_are_refused(model, tmp_path, change, words):
    with pytest.raises(ModelError, match=f"damaged.*{words}"): SinGAN.load(changed_file(model, tmp_path/"m.safetensors", change))


# Windows

class Windows:
    "Its rules: nobody reads, writes, renames or removes a file that is locked, but through the handle that locked it."
    def __init__(self, patch):
        self.locked, self.patch = set(), patch
        for module, name in ((builtins, "open"), (io, "open"), (os, "unlink"), (os, "remove"), (os, "replace"), (os, "rename")): self.guard(module, name)
        lock = singan_nb.runs.FileLock
        class Lock(lock):
            def _acquire(mine):
                super()._acquire()
                if mine.is_locked: self.locked.add(os.path.realpath(mine.lock_file))
            def _release(mine):
                self.locked.discard(os.path.realpath(mine.lock_file))
                super()._release()
        patch.setattr(singan_nb.runs, "FileLock", Lock); patch.setattr(singan_nb.runs, "_WINDOWS", True)

    def guard(self, module, name):
        real = getattr(module, name)
        def refusing(*paths, **options):
            for path in paths[:2 if name in ("replace", "rename") else 1]:
                if not isinstance(path, int) and os.path.realpath(path) in self.locked: raise PermissionError(13, "Permission denied", str(path))
            return real(*paths, **options)
        self.patch.setattr(module, name, refusing)


@pytest.fixture
def windows(monkeypatch): return Windows(monkeypatch)


def test_a_run_under_the_rules_of_windows(windows, tmp_path, dunes, tiny, straight):
    "Open, train, busy, stop, resume; the lock's file is never touched while it is held, and gone afterwards."
    run = tmp_path/"run"
    def look(watch):
        assert str((run/".lock").resolve()) in windows.locked
        with pytest.raises(PermissionError): open(run/".lock").close()
        with pytest.raises(RunBusy, match=f"in use by process {os.getpid()} on"), locked(run): pass
        watch.stop()
    train(dunes, tiny, run, progress=False, device="cpu", callbacks=[At(1, 3, look)])
    assert not windows.locked and not (run/".lock").exists() and not (run/".owner").exists()
    assert same_weights(train(dunes, tiny, run, resume=True, progress=False, device="cpu"), straight)
    assert not windows.locked and not (run/".lock").exists()


@pytest.mark.parametrize("name", ["CON", "nul.txt", "com1", "LPT9.run", "run.", "run ", "a:b", "what?", "a/aux/b"])
def test_names_that_windows_has_not(windows, tmp_path, dunes, tiny, name):
    with pytest.raises(RunError, match="on Windows; give another folder"): train(dunes, tiny, tmp_path/name, progress=False)
    assert not any(tmp_path.iterdir())


def test_names_that_any_system_has(tmp_path, dunes, tiny, monkeypatch):
    "The home folder, and elsewhere than on Windows what is forbidden there; a name that is no text can be read again."
    monkeypatch.setenv("HOME", str(tmp_path)); monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert run_folder("~/CON") == tmp_path/"CON" and run_folder("~no such user/x") == Path("~no such user/x")
    train(dunes, replace(tiny, iters=1), "~/run", progress=False)
    assert len(SinGAN.load("~/run").scales) == 3 and len(read_log("~/run")) == 3 and read_config("~/run").iters == 1
    monkeypatch.chdir(tmp_path)
    model = SinGAN.load("~/run")
    save_animation([dunes], "~/film.gif"); model.save("~/model.safetensors"); export_onnx(model, "~/model.onnx"); export_scales(model, "~/scales"); check_onnx("~/model.onnx", model)
    save_shown(Shown(dunes, None, "", ""), "~/shown", "a")
    rows = train_many("~/run/image.png", "~/many", dict(vars(tiny), iters=1), jobs=1, progress=False)
    write_summary("~/many", ["image"])
    assert [row["status"] for row in rows] == ["trained"] and not (tmp_path/"~").exists()
    assert {"film.gif", "model.safetensors", "model.onnx", "scales", "shown", "many"} <= {file.name for file in tmp_path.iterdir()}
    strange = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    try: os.mkdir(strange)
    except (OSError, ValueError): pytest.skip("this system has no such names")
    assert same_weights(train(dunes, replace(tiny, iters=1), strange, progress=False), SinGAN.load(strange))


# a run folder that vanishes, signals

@pytest.mark.parametrize("lost", ["", "config.json", "image.png", "model.safetensors"])
def test_a_run_that_loses_its_files_stops_and_says_so(tmp_path, dunes, tiny, lost):
    "Nothing is written into what is left, and nobody says that it is saved."
    run = tmp_path/"run"
    def lose(watch): shutil.rmtree(run) if not lost else (run/lost).unlink()
    with pytest.raises(RunError, match="has lost .*nothing can be saved") as error:
        train(dunes, tiny, run, progress=False, save_every=0, callbacks=[At(1, 2, lose)])
    assert "\n" not in str(error.value) and not (run/".lock").exists() and (lost or not (run/"checkpoint.safetensors").exists())


def test_a_run_that_is_put_in_the_place_of_another_one_is_left_alone(tmp_path, dunes, tiny):
    "Two folders are renamed while one of them trains; the other one is held by somebody."
    run, other = tmp_path/"run", tmp_path/"other"
    train(dunes.flip(-1), tiny, other, progress=False, device="cpu")
    (other/".owner").write_text("process 7 on another"); (other/".lock").touch()
    before = snapshot(other)
    def swap(watch): run.rename(tmp_path/"moved"); other.rename(run)
    with pytest.raises(RunError, match="run is another folder now than when the training began, so nothing is saved there"):
        train(dunes, tiny, run, progress=False, device="cpu", save_every=0, callbacks=[At(1, 2, swap)])
    assert {run/file.relative_to(other): content for file, content in before.items()} == snapshot(run) and (run/".lock").exists()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_other_requests_to_end_save_as_an_interrupt_does(tmp_path, dunes, tiny, straight, name, own_signals):
    number = getattr(signal, name, None)
    if number is None: pytest.skip("this system does not have it")
    with pytest.raises(Interrupted, match="all of it is saved"):
        train(dunes, tiny, tmp_path/"run", progress=False, device="cpu", callbacks=[At(1, 2, lambda watch: os.kill(os.getpid(), number))])
    assert signal.getsignal(number) == signal.SIG_DFL
    assert same_weights(train(dunes, tiny, tmp_path/"run", resume=True, progress=False, device="cpu"), straight)
    mine = []
    before = signal.signal(number, lambda *_: mine.append(1))                     # a program's own use of a signal stays its own
    try: train(dunes, tiny, progress=False, callbacks=[At(1, 2, lambda watch: os.kill(os.getpid(), number))])
    finally: signal.signal(number, before)
    assert mine == [1]


# what it was computed with

def test_a_resume_under_other_circumstances_is_said_and_kept(stopped, tmp_path, dunes, tiny, monkeypatch):
    run = tmp_path/"run"
    shutil.copytree(stopped, run)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "ABACUS")
    for module in (singan_nb.devices, singan_nb.config): monkeypatch.setattr(module, "pick_precision", lambda *_: "bf16")
    with pytest.warns(UserWarning, match="computed with .*now ABACUS.: its weights may not be those"):
        train(dunes, tiny, run, resume=True, progress=False, device="cpu", callbacks=[At(2, 1, lambda watch: watch.stop())])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = train(dunes, tiny, run, resume=True, progress=False, device="cpu")        # the same again: nothing to say
    first, second = model.record["computed"]
    assert first["from"] == [0, 0] and second["from"] == [1, 3] and second["cpu"] == "ABACUS" != first["cpu"]
    assert {"threads", "precision", "torch", "device"} <= first.keys() and second["precision"] == "bf16"
    assert model.record["precision"] == ("bf16" if first["precision"] == "bf16" else f"{first['precision']}, then bf16")


def test_circumstances_are_kept_without_a_checkpoint_and_know_the_processor(stopped, tmp_path, dunes, tiny, monkeypatch):
    "The model remembers them too; a limit to oneDNN's instructions changes bits that PyTorch's own word does not tell; older runs know less."
    run = shutil.copytree(stopped, tmp_path/"run")
    for file in run.glob("checkpoint*"): file.unlink()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    limited = singan_nb.devices._processor()
    monkeypatch.setattr(singan_nb.devices, "_processor", lambda: limited)
    assert limited.endswith(", at most SSE41")
    with pytest.warns(UserWarning, match="computed with processor .*at most SSE41.: its weights may not"): model = train(dunes, tiny, run, resume=True, progress=False, device="cpu")
    assert [part["from"] for part in model.record["computed"]] == [[0, 0], [1, 0]]
    now = singan_nb.devices.circumstances(tiny, torch.device("cpu"))
    older = {name: value for name, value in now.items() if name != "processor"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert singan_nb.training._computed([older], now, (0, 0)) == [older]


def test_a_run_in_one_piece_has_one_entry(straight): assert [part["from"] for part in straight.record["computed"]] == [[0, 0]]


# reproducibility

@pytest.fixture(scope="module")
def trained_in_processes(tmp_path_factory):
    "The same training in processes of their own with 1, 1 and 2 threads; the scale is large enough for two of them."
    code = """if True:
        import sys
        from singan_nb.all import *
        model = train(load_image("dunes"), Config.preset("class", max_size=64, min_size=40, width=32, iters=2, precision="fp32"), progress=False, device="cpu")
        model.save(sys.argv[1])
        assert model.record["device"] == "cpu, " + sys.argv[2] + " threads", model.record["device"]
    """
    models = []
    for i, threads in enumerate("112"):
        file = tmp_path_factory.mktemp("bits")/f"{i}.safetensors"
        subprocess.run([sys.executable, "-c", code, file, threads], check=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads})
        models.append(SinGAN.load(file))
    return models


def test_the_same_bits_in_every_process(trained_in_processes):
    assert same_weights(*trained_in_processes[:2])


def test_other_thread_counts_agree_closely(trained_in_processes):
    "Two threads add in another order than one: the same to within rounding, and only where a scale is large enough for two."
    one, _, two = trained_in_processes
    assert torch.allclose(one.reconstruct(), two.reconstruct(), atol=1e-3)


def test_a_model_knows_what_made_it(tmp_path, capsys):
    "The command that info prints makes the same model, bit for bit."
    assert run_command(["train", "dunes", "--out", str(tmp_path/"a"), *OPTIONS, "--iters", "3", "--seed", "5", "--min-size", "15", "--z-star", "fixed"]) == 0
    capsys.readouterr()
    assert run_command(["info", str(tmp_path/"a"), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)["record"]
    assert (record["config"]["seed"], record["config"]["min_size"], record["config"]["z_star"]) == (5, 15, "fixed") and {"torch", "singan_nb", "numpy", "python", "precision", "device"} <= record.keys()
    assert run_command(["info", str(tmp_path/"a")]) == 0 and f"command: {record['command']}" in capsys.readouterr().out
    words = record["command"].replace("RUN", str(tmp_path/"b")).split()
    assert words[0] == "singan" and run_command(words[1:]) == 0
    assert same_weights(SinGAN.load(tmp_path/"a"), SinGAN.load(tmp_path/"b"))
    assert training_command(replace(Config(), lr=1e-3), "a.png") == "singan train a.png --out RUN --preset paper --set lr=0.001 --device auto"
    assert training_command(replace(Config(), lr=1e-3)) == "train(image, Config(lr=0.001), device='auto')"
    assert len(read_log(tmp_path/"a")) == len(read_log(tmp_path/"b"))
