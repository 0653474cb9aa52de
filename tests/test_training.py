"""Training: refusals, interrupts, resuming, and what a full disk leaves behind."""
import math
import os
import random
import re
import resource
import signal
import subprocess
import sys
import threading
import time
import types
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import same_weights

import singan_nb.images
import singan_nb.plans
from singan_nb.all import (
    PHOTOGRAPHS,
    Callback,
    Config,
    ConfigError,
    DeviceError,
    ImageError,
    Interrupted,
    RunError,
    SinGAN,
    SinGANError,
    TensorBoard,
    as_config,
    default_preset,
    load_image,
    pick_device,
    plan_training,
    read_log,
    rmse,
    scale_costs,
    schedule,
    seeded,
    train,
    white_noise,
)
from singan_nb.cli import run_command
from singan_nb.devices import PRECISIONS, computing, pick_precision
from singan_nb.scale import ScaleTrainer


class StopAt(Callback):
    def __init__(self, scale, iteration, act): self.at, self.act = (scale, iteration), act
    def on_iteration(self, watch):
        if (watch.scale, watch.iteration) == self.at: self.act(watch)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_resumed_equals_uninterrupted(tmp_path, dunes, tiny, precision):
    tiny = replace(tiny, precision=precision, critic_steps=2, gp_every=3)
    straight = train(dunes, tiny, progress=False)
    for at in ((0, 1), (0, 6), (1, 5), (2, 2)):
        train(dunes, tiny, tmp_path/"run", resume=True, progress=False, callbacks=[StopAt(*at, lambda watch: watch.stop())])
    resumed = train(dunes, tiny, tmp_path/"run", resume=True, progress=False)
    assert same_weights(straight, resumed) and same_weights(straight, SinGAN.load(tmp_path/"run"))
    assert [row[:2] for row in read_log(tmp_path/"run")] == [(k, i) for k in range(3) for i in range(6)]


def test_same_seed_same_model_other_seed_another(dunes, tiny):
    assert same_weights(train(dunes, tiny, progress=False), train(dunes, tiny, progress=False))
    assert not same_weights(train(dunes, tiny, progress=False), train(dunes, replace(tiny, seed=1), progress=False))


def test_interrupt_keeps_what_is_done(tmp_path, dunes, tiny):
    interrupt = StopAt(1, 3, lambda watch: os.kill(os.getpid(), signal.SIGINT))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="scale 1 .* iteration 3 of 6.*resume=True") as stop:
        train(dunes, tiny, tmp_path/"run", progress=False, callbacks=[interrupt])
    assert signal.getsignal(signal.SIGINT) is before
    assert len(stop.value.model.scales) == 2 and len(SinGAN.load(tmp_path/"run").scales) == 1
    assert same_weights(train(dunes, tiny, progress=False), train(dunes, tiny, tmp_path/"run", resume=True, progress=False))


def test_an_interrupt_and_a_stop_are_two_things(dunes, tiny):
    "A callback that stops the training in the same iteration does not hide a Ctrl-C, and what it writes is a truth value."
    seen = []
    def both(watch):
        os.kill(os.getpid(), signal.SIGINT)
        while not watch.stopped: time.sleep(.001)
        seen.append(watch); watch.stopped = True
    with pytest.raises(Interrupted, match="iteration 3 of 6"): train(dunes, tiny, progress=False, callbacks=[StopAt(1, 3, both)])
    def stop(watch): seen.append(watch); watch.stopped = True
    model = train(dunes, tiny, progress=False, callbacks=[StopAt(1, 3, stop)])
    assert len(model.scales) == 2 and [(watch.stopped, watch.interrupted) for watch in seen] == [(True, True), (True, False)]


def test_trains_in_a_thread(dunes, tiny):
    models = []
    thread = threading.Thread(target=lambda: models.append(train(dunes, tiny, progress=False)))
    thread.start(); thread.join(120)
    assert len(models[0].scales) == 3


def test_callbacks_see_every_step(dunes, tiny):
    seen = []
    class Record(Callback):
        def on_scale_begin(self, watch): seen.append(("begin", watch.scale))
        def on_iteration(self, watch): seen.append(watch.losses["reconstruction"])
        def on_scale_end(self, watch): seen.append(("end", len(watch.preview())))
    train(dunes, tiny, progress=False, callbacks=[Record()])
    assert seen[0] == ("begin", 0) and seen[7] == ("end", 5) and len(seen) == 3*(6 + 2)
    assert all(isinstance(x, float) and x > 0 for x in seen if not isinstance(x, tuple))


def test_finished_run_is_not_trained_again(tmp_path, dunes, tiny):
    model = train(dunes, tiny, tmp_path/"run", progress=False)
    stamp = (tmp_path/"run"/"checkpoint.safetensors").stat().st_mtime_ns
    assert same_weights(model, train(dunes, tiny, tmp_path/"run", resume=True, progress=False))
    assert (tmp_path/"run"/"checkpoint.safetensors").stat().st_mtime_ns == stamp


def test_run_directory_holds_what_the_design_says(tmp_path, dunes, tiny):
    train(dunes, tiny, tmp_path/"run", progress=False)
    assert sorted(p.name for p in (tmp_path/"run").iterdir()) == ["checkpoint.previous.safetensors", "checkpoint.safetensors", "config.json", "image.png", "log.csv", "model.safetensors", "previews"]
    assert (tmp_path/"run"/"log.csv").read_text().startswith("scale,iteration,")


def test_refusals(tmp_path, dunes, tiny):
    train(dunes, replace(tiny, iters=1), tmp_path/"run", progress=False)
    refused = [(RunError, "not empty", dict(out=tmp_path/"run")), (RunError, "other settings .iters was 1 and is 6", dict(out=tmp_path/"run", resume=True)),
               (RunError, "is a file", dict(out=tmp_path/"run"/"config.json")), (DeviceError, "not there", dict(device="cuda:99")), (DeviceError, "not there", dict(device="abacus"))]
    for kind, words, arguments in refused:
        with pytest.raises(kind, match=words): train(dunes, tiny, progress=False, **arguments)
    with pytest.raises(RunError, match="another photograph"): train(load_image("boats"), replace(tiny, iters=1), tmp_path/"run", resume=True, progress=False)
    (tmp_path/"other").mkdir(); (tmp_path/"other"/"letter.txt").write_text("not a run")
    with pytest.raises(RunError, match="no run to go on with"): train(dunes, tiny, tmp_path/"other", resume=True, progress=False)
    assert [file.name for file in (tmp_path/"other").iterdir()] == ["letter.txt"]
    (tmp_path/"run"/"config.json").write_text("{")
    for file in (tmp_path/"run").glob("checkpoint*"): file.unlink()
    with pytest.raises(RunError, match="damaged"): train(dunes, tiny, tmp_path/"run", resume=True, progress=False)


@pytest.mark.parametrize("image, words", [
    (torch.full((1, 3, 50, 50), float("nan")), "NaN"), (torch.zeros(1, 3, 10, 200), "smaller than min_size"), (torch.zeros(1, 3, 1, 200), "smaller than min_size"),
    (torch.zeros(2, 3, 50, 50), "shape"), (torch.zeros(1, 1, 50, 50), "shape"), (torch.full((1, 3, 50, 50), 200.), r"\[-1, 1\]")])
def test_images_that_cannot_be_trained_on(tmp_path, image, words):
    with pytest.raises(SinGANError, match=words): train(image, Config.preset("class"), tmp_path/"run", progress=False)
    assert not (tmp_path/"run").exists()


@pytest.mark.parametrize("field, value", [("iters", 0), ("iters", 1.5), ("lr", float("nan")), ("lr", 0), ("scale_factor", 1.), ("width", -3), ("layers", 1), ("betas", (.5, 1.)),
                                          ("gp_weight", -1), ("penalty", "patch"), ("z_star", "new"), ("precision", "fp8"), ("seed", "x"), ("critic_norm", "no"), ("max_size", 10**6)])
def test_config_names_what_cannot_work(field, value):
    with pytest.raises(ConfigError, match=field): Config(**{field: value})


def test_constant_colour_trains(tiny):
    "Nothing to learn, and nothing that breaks: a grey wall gives grey walls."
    wall = torch.full((1, 3, 40, 60), .25)
    model = train(wall, replace(tiny, iters=60), progress=False)
    assert all(torch.isfinite(v).all() for v in model.state_dict().values())
    assert rmse(model.reconstruct(), model.image) < .2


@pytest.mark.parametrize("choice", [dict(z_star="fixed"), dict(coarse_noise="rgb"), dict(penalty="sample"), dict(critic_norm=False), dict(critic_border="none"), dict(critic_border="reflect"), dict(reconstruction="literal"), dict(reconstruction="zero_image")])
def test_every_choice_changes_the_result(dunes, tiny, choice):
    a, b = (train(dunes, replace(tiny, max_size=40, **c), progress=False) for c in ({}, choice))
    assert len(a.scales) == len(b.scales) and not torch.equal(a.reconstruct(), b.reconstruct())


def test_starts_from_the_scale_below_when_widths_match(dunes):
    model, real = SinGAN(dunes), torch.zeros(1, 3, 20, 20)
    below = ScaleTrainer(model, real, width=8)
    pair = below.scale.generator, below.critic
    model.scales.append(below.frozen())
    start = lambda width: ScaleTrainer(model, torch.zeros(1, 3, 26, 26), width=width, previous=pair, seed=5).scale.generator
    assert torch.equal(start(8).net[0][0].weight, pair[0].net[0][0].weight)
    assert start(16).net[0][0].weight.shape[0] == 16


def test_steps_of_the_learning_rate(dunes):
    trainer = ScaleTrainer(SinGAN(dunes), torch.zeros(1, 3, 20, 20), width=4, iters=10, lr=1e-3)
    rates = []
    for _ in range(10): trainer.step(); rates.append(trainer.optimizers[0].param_groups[0]["lr"])
    assert rates == [1e-3]*8 + [1e-4]*2


def test_full_disk_leaves_the_last_checkpoint_whole(tmp_path, dunes, tiny, monkeypatch):
    real_fsync, writes = os.fsync, []
    def full(descriptor):
        writes.append(1)
        if len(writes) > 7: raise OSError(28, "No space left on device")
        real_fsync(descriptor)
    monkeypatch.setattr(singan_nb.images.os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as error: train(dunes, tiny, tmp_path/"run", progress=False)
    assert str(tmp_path) in str(error.value.filename)
    monkeypatch.undo()
    assert not list((tmp_path/"run").rglob("*.partial"))
    assert same_weights(train(dunes, tiny, progress=False), train(dunes, tiny, tmp_path/"run", resume=True, progress=False))


def test_a_disk_that_refuses_large_files(tmp_path):
    "A real refusal by the kernel: no file may grow beyond 20 kB."
    def limit(): resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    command = [sys.executable, "-m", "singan_nb", "train", "dunes", "--out", tmp_path/"run", "--preset", "class", "--iters", "2"]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 2 and "File too large" in done.stderr.splitlines()[-1]
    assert not list((tmp_path/"run").rglob("*.partial")) and not (tmp_path/"run"/"checkpoint.safetensors").exists()


def test_presets_are_ordered_by_cost():
    "Passes through windows of all scales, for the dunes: class below fast, fast far below paper, whose values are the defaults."
    def cost(config):
        return sum(scale_costs(config, config.schedule((188, 300)).sizes))*config.iters*(config.critic_steps + config.generator_steps)
    lesson, fast, gpu, paper = (cost(Config.preset(name)) for name in ("class", "fast", "gpu", "paper"))
    assert 1.5*lesson < fast < gpu < paper and 30*fast < paper
    with pytest.raises(ConfigError, match="paper, fast, class"): Config.preset("slow")


PAPER = dict(max_size=250, min_size=25, scale_factor=.75, width=32, max_width=128, layers=5, iters=2000, critic_steps=3, generator_steps=3, lr=5e-4, betas=(.5, .999), gp_weight=.1, gp_every=1,
             penalty="pixel", rec_weight=10., noise_weight=.1, tune_noise=False, z_star="redraw", coarse_noise="grey", reconstruction="image", critic_norm=True, critic_border="none",
             crop=250, precision="auto", seed=0)                             # of the paper, its supplementary material and the official code
CHANGED = {"paper": {}, "fast": dict(iters=300, tune_noise=True, gp_every=4, rec_weight=100., crop=64, max_width=32, critic_border="zero"),
           "class": dict(iters=400, critic_steps=1, generator_steps=1, gp_every=4, rec_weight=100., crop=64, max_width=32, critic_border="zero"),
           "gpu": dict(iters=1000, tune_noise=True, gp_every=4, rec_weight=100., crop=128, max_width=64, critic_border="zero")}


@pytest.mark.parametrize("name", CHANGED)
def test_a_preset_is_the_paper_s_training_with_these_changes(name):
    assert vars(Config.preset(name)) == PAPER | CHANGED[name] and vars(Config()) == PAPER


BOUNDS = dict(max_size=(12, 4096), min_size=(5, 4096), scale_factor=(.1, .95), width=(1, 1024), max_width=(1, 1024), layers=(2, 20), iters=(1, 10**7),
              critic_steps=(1, 100), generator_steps=(1, 100), lr=(1e-8, 1), gp_weight=(0, 1e4), gp_every=(1, 1000), crop=(16, 4096), rec_weight=(0, 1e6),
              noise_weight=(0, 100), seed=(-2**63, 2**64 - 1))


@pytest.mark.parametrize("name", BOUNDS)
def test_a_number_is_taken_up_to_its_bounds_and_not_beyond(name):
    (low, high), others = BOUNDS[name], dict(max_size=4096, min_size=41 if name == "layers" else 5, layers=2)
    below, above = (low - 1, high + 1) if type(PAPER[name]) is int else (math.nextafter(low, -1), math.nextafter(high, 1e9))
    for value in (low, high): assert getattr(Config(**others | {name: value}), name) == value
    for value in (below, above):
        with pytest.raises(ConfigError, match=re.escape(f"{name}={value} is out of range; it must be at least {low} and at most {high}")):
            Config(**others | {name: value})


@pytest.mark.parametrize("size", [(188, 300), (300, 188), (40, 60)])
def test_a_configuration_knows_its_scales(size):
    config = Config(max_size=120, min_size=20, scale_factor=.6)
    assert config.schedule(size) == schedule(size, 120, 20, scale_factor=.6) != schedule(size)


@pytest.mark.parametrize("precision", ["fp16", "half", "FP32", "", None, 32])
def test_a_precision_that_does_not_exist_is_not_32_bits(precision):
    with pytest.raises(ConfigError, match="is unknown; it must be one of auto, fp32, tf32, bf16"): pick_precision(precision, torch.device("cpu"))
    assert all(pick_precision(name, torch.device("cpu")) in ("fp32", "tf32", "bf16") for name in PRECISIONS)


def test_no_device_is_given_the_paper_s_schedule_by_default():
    assert default_preset("cpu") == "fast" and default_preset("auto") in ("fast", "gpu")


def test_the_cost_of_an_iteration_does_not_grow_with_the_image():
    "With windows, the finest scale of a large photograph costs what that of a small one does, within the shape of the window."
    fast = Config.preset("fast", max_size=2000)
    sizes = [schedule((1500, 2000), side, 25, scale_factor=.75).sizes for side in (250, 2000)]
    small, large = (scale_costs(fast, each)[-1] for each in sizes)
    assert .95 < large/small < 1.05 and len(sizes[1]) > len(sizes[0])


def test_a_plan_counts_what_is_left(monkeypatch):
    monkeypatch.setattr(singan_nb.plans, "_seconds_per_unit", lambda *_: 1e-3)
    config = Config.preset("class", max_size=64, iters=100)
    whole, half = (plan_training((188, 300), config, "cpu", begun=begun) for begun in ((0, 0), (2, 50)))
    costs = scale_costs(config, whole.sizes)
    assert whole.seconds == pytest.approx(.1*sum(costs)) and half.seconds == pytest.approx(.1*(sum(costs[2:]) - costs[2]/2))
    assert plan_training((188, 300), config, "cpu", begun=(len(costs), 0)).seconds == 0
    assert str(whole).startswith(f"training {len(costs)} scales from 25×40 to 40×64 pixels, 100 iterations each, on cpu")


def test_a_plan_is_close_to_the_time_that_it_takes(dunes):
    "Measured beside each other in this process; the machine may be busy, so only the order of magnitude is asked for."
    config = Config.preset("class", max_size=48, iters=25)
    planned, begun = plan_training((188, 300), config, "cpu").seconds, time.monotonic()
    train(dunes, config, progress=False, device="cpu")
    assert 1/4 < planned/(time.monotonic() - begun) < 4


def test_a_training_says_first_what_it_will_take(dunes, tiny, capsys):
    train(dunes, tiny, device="cpu")
    assert capsys.readouterr().out.startswith("training 3 scales from 18×29 to 30×48 pixels, 6 iterations each, on cpu")


def test_the_critic_s_border_is_part_of_a_resumed_run(tmp_path, dunes, tiny):
    bordered = replace(tiny, critic_border="none")
    train(dunes, tiny, tmp_path/"run", progress=False)
    with pytest.raises(RunError, match="critic_border was zero and is none"):
        train(dunes, bordered, tmp_path/"run", resume=True, progress=False)


# what people hold, and the state of their program

@pytest.fixture(scope="module")
def brief(): return Config.preset("class", max_size=32, min_size=18, width=4, iters=2, precision="fp32")


@pytest.fixture(scope="module")
def expected(dunes, brief): return train(dunes, brief, progress=False, device="cpu")


@pytest.mark.parametrize("hold", [str, lambda path: path.with_suffix(""), lambda path: load_image("dunes").double(), lambda path: load_image("dunes").requires_grad_()],
                         ids=["path", "name", "float64", "with gradient"])
def test_trains_on_anything_that_holds_a_picture(dunes, brief, expected, hold, tmp_path, monkeypatch):
    path = PHOTOGRAPHS/"dunes.jpg"
    image = hold(path)
    if not torch.is_tensor(image) and not os.path.exists(image): image = "dunes"
    assert same_weights(train(image, brief, progress=False, device="cpu"), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_trains_on_short_floats(dunes, brief, dtype):
    short = dunes.to(dtype)
    assert same_weights(train(short, brief, progress=False, device="cpu"), train(short.float(), brief, progress=False, device="cpu"))


def test_a_preset_or_a_dict_is_a_configuration(dunes, brief):
    assert as_config("class") == Config.preset("class") and as_config(None, "cpu") == Config.preset("fast") and as_config(brief) is brief
    fields = {**vars(brief), "betas": list(brief.betas)}
    assert as_config(fields) == brief
    for wrong, words in (("clas", "'clas' is unknown"), ({"itrs": 3}, "itrs is no hyperparameter"), (7, "not int")):
        with pytest.raises(ConfigError, match=words): train(dunes, wrong, progress=False)
    with pytest.raises(ImageError): train(torch.zeros(2, 3, 30, 30), brief, progress=False)


def modes(): return [torch.get_default_dtype(), torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu"), torch.get_num_threads(),
                     torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark, list(warnings.filters),
                     *(signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)), torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())]


class Doubles:
    def __enter__(self): torch.set_default_dtype(torch.float64)
    def __exit__(self, *_): torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, Doubles, lambda: torch.autocast("cpu", torch.bfloat16)], ids=["no_grad", "inference_mode", "float64", "autocast"])
def test_the_modes_of_a_program_change_nothing_and_are_left_as_they_were(dunes, brief, expected, mode):
    with mode():
        before = modes()
        model = train(dunes.clone(), brief, progress=False, device="cpu")
        plan_training((188, 300), replace(brief, iters=20), "cpu")
        assert modes() == before
        assert torch.equal(white_noise((3, 4), rng=seeded(1)), torch.randn(1, 3, 3, 4, generator=seeded(1), dtype=torch.float32))
    assert same_weights(model, expected) and all(v.dtype in (torch.float32, torch.int64, torch.uint8) for v in model.state_dict().values())


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_a_plan_and_a_training_compute_alike(dunes, brief, precision, monkeypatch):
    "The same types, gradients, TF32 and threads in every step, whatever the program has set; they are offered to others as `computing`."
    seen = []
    step = ScaleTrainer.step
    def state(): return [torch.get_default_dtype(), torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), torch.backends.cudnn.allow_tf32, torch.get_num_threads()]
    monkeypatch.setattr(ScaleTrainer, "step", lambda trainer: (seen.append(state()), step(trainer))[1]); monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", precision == "fp32")
    config, counts = replace(brief, precision=precision, iters=20), []
    with torch.no_grad(), Doubles(), torch.autocast("cpu", torch.bfloat16):
        for work in (lambda: plan_training(dunes.shape[-2:], config, "cpu"), lambda: train(dunes, config, progress=False, device="cpu")): work(); counts.append(len(seen))
        with computing(torch.device("cpu"), precision, (18, 29), width=4): seen.append(state())
    assert 0 < counts[0] < counts[1] and all(each == [torch.float32, True, False, precision == "tf32", 1] for each in seen)


def test_a_training_that_fails_leaves_the_modes_too(dunes, brief):
    def fail(watch): raise ZeroDivisionError
    before = modes()
    with pytest.raises(ZeroDivisionError): train(dunes, brief, progress=False, device="cpu", callbacks=[StopAt(0, 1, fail)])
    assert modes() == before


@pytest.mark.parametrize("one", [np.int64(1), np.uint8(1), torch.tensor(1), True])
def test_one_is_one(one):
    "A seed from NumPy or PyTorch names the same stream, in a configuration too."
    assert torch.equal(seeded(one, "a", one).get_state(), seeded(1, "a", 1).get_state())
    if one is not True: assert Config(seed=one) == Config(seed=1) and type(Config(seed=one).seed) is int
    with pytest.raises(SinGANError, match="whole number"): seeded(1.5)


def test_a_stream_of_numbers_is_the_one_that_it_always_was(): assert torch.randint(1000, (4,), generator=seeded(3, "words", 2)).tolist() == [720, 116, 557, 563]


def test_callbacks_are_told_the_end_however_it_comes(dunes, brief):
    ends = []
    class End(Callback):
        def on_end(self, watch): ends.append(watch.iteration)
    train(dunes, brief, progress=False, callbacks=[End()])
    def fail(watch): raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError): train(dunes, brief, progress=False, callbacks=[End(), StopAt(0, 1, fail)])
    assert ends == [2, 1]


def test_tensorboard(dunes, brief, tmp_path, monkeypatch):
    "Its writer is told every second iteration, and the pictures of each scale; without the package there is one line."
    told = []
    class SummaryWriter:
        def __init__(self, folder): told.append(folder)
        def __getattr__(self, name): return lambda *arguments: told.append((name, *arguments))
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=SummaryWriter))
    model = train(dunes, brief, tmp_path/"run", progress=False, callbacks=[TensorBoard(tmp_path/"curves", every=2)])
    rows = read_log(tmp_path/"run")
    assert told[0] == str(tmp_path/"curves") and told[-1] == ("close",)
    assert told[1] == ("add_scalar", "scale 0/distance", rows[1][2], 2)
    pictures = [each for each in told if each[0] == "add_image"]
    assert [each[1] for each in pictures] == ["photograph", "reconstruction", "sample"]*len(model.scales) and all(0 <= each[2].min() and each[2].max() <= 1 for each in pictures)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SinGANError, match=r"pip install 'singan_nb\[tensorboard\]'"): TensorBoard(tmp_path/"curves")


def test_a_real_tensorboard(dunes, brief, tmp_path):
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(dunes, brief, tmp_path/"run", progress=False, callbacks=[TensorBoard(tmp_path/"curves", every=1)])
    curves = reading.EventAccumulator(str(tmp_path/"curves")).Reload()
    values = [event.value for event in curves.Scalars("scale 0/reconstruction")]
    assert values == pytest.approx([row[5] for row in read_log(tmp_path/"run") if row[0] == 0]) and "sample" in curves.Tags()["images"]


@pytest.mark.parametrize("version, here, picked", [("2.7.1", True, "cpu"), ("2.8.0", True, "mps"), ("2.13.0+cpu", True, "mps"), ("2.7.1", False, "cpu")])
def test_the_gpu_of_a_mac_needs_a_pytorch_that_resizes_there(monkeypatch, version, here, picked):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: here)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch, "__version__", version)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert pick_device("auto").type == picked
    assert [str(each.message) for each in said] == ([f"this Mac's GPU needs PyTorch 2.8 or newer, and this is {version}: the CPU is used"] if here and picked == "cpu" else [])
    if not here or picked == "cpu":
        with pytest.raises(DeviceError, match="2.8 or newer" if here else "not there"): pick_device("mps")
    else: assert pick_device("mps").type == "mps"


@pytest.mark.parametrize("size", [None, 3, "ab", (float("nan"), 30), (30.5, 40), (30, 40, 3), (0, 30), (-30, 40)])
def test_a_size_that_gives_no_pyramid(size):
    for call in (schedule, plan_training):
        with pytest.raises(SinGANError, match="must be two whole numbers|at least 1 × 1 pixels"): call(size)
    assert schedule(np.array([100, 150])) == schedule(torch.Size([100, 150])) == schedule((100, 150))


def test_callbacks_in_every_form(dunes, brief):
    "One alone, none, and a generator of them; a class and what has no method are refused before the training."
    heard = []
    class Hear(Callback):
        def on_end(self, watch): heard.append(self)
    one = Hear()
    for given in (one, [one], (each for each in (one,)), None): train(dunes, brief, callbacks=given, progress=False)
    assert heard == [one]*3
    for wrong, words in ((Hear, "Hear is a class; give Hear.. as callback"), ([Hear], "Hear is a class"), ("bar", "none of the methods on_scale_begin"), (3, "none of the methods"), ([one, None], "none of the methods")):
        with pytest.raises(SinGANError, match=words) as refused: train(dunes, brief, callbacks=wrong, progress=False)
        assert "\n" not in str(refused.value)
    assert len(heard) == 3


def test_what_holds_no_configuration_is_one_line():
    for wrong in (["class"], None, 3, {}):
        with pytest.raises(ConfigError, match="is unknown; it must be one of paper, fast"): Config.preset(wrong)
    for wrong in (None, 3, "class", [("iters", 3)]):
        with pytest.raises(ConfigError, match="fields must be a dict of hyperparameters"): Config.of(wrong)


def test_a_second_training_in_a_folder_is_told_how_to_go_on(tmp_path, dunes, brief, capsys):
    "In the words of Python, and on the command line in those of options."
    train(dunes, brief, tmp_path/"run", progress=False)
    with pytest.raises(RunError, match="run is not empty; go on with resume=True, or give a new folder"): train(dunes, brief, tmp_path/"run", progress=False)
    assert run_command(["train", "dunes", "--out", str(tmp_path/"run"), "--preset", "class"]) == 2
    assert "run is not empty; go on with --resume, or give a new folder" in capsys.readouterr().err
