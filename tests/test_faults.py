"""What may go wrong in a night: two processes, NaN, no memory, no space, no permission, a jumping clock, an interrupt anywhere."""
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from conftest import TINY, same_weights
from safetensors.torch import load_file

import singan_nb.images
from singan_nb.all import (Callback, Config, Diverged, OutOfMemory, RunBusy, RunError, SinGAN, load_image, locked, read_log, step_memory, train,
                           training_command)
from singan_nb.cli import run_command

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


@pytest.mark.parametrize("file, damage", [("checkpoint.safetensors", lambda b: b[:len(b)//2]), ("checkpoint.safetensors", lambda b: b.replace(b'"iteration"', b'"iteratiom"')),
                                          ("checkpoint.safetensors", lambda b: b.replace(b'"g.net', b'"h.net')),
                                          ("log.csv", lambda b: b + b"1,two\n"), ("config.json", lambda b: b"["*10**5), ("model.safetensors", lambda b: b[:-9])])
def test_a_damaged_file_of_a_run_is_named(tmp_path, dunes, tiny, file, damage):
    train(dunes, tiny, tmp_path/"run", progress=False, callbacks=[At(1, 3, lambda watch: watch.stop())])
    path = tmp_path/"run"/file
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises((RunError, singan_nb.all.ModelError), match=f"{file}") as error: train(dunes, tiny, tmp_path/"run", resume=True, progress=False)
    assert "\n" not in str(error.value) and not (tmp_path/"run"/".lock").exists()


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
    assert training_command(replace(Config(), lr=1e-3), "a.png") == "train(load_image('a.png'), Config(lr=0.001), device='auto')"
    assert len(read_log(tmp_path/"a")) == len(read_log(tmp_path/"b"))
