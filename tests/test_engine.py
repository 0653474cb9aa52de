"""The engine against the readable loop, and what only the engine has: windows, folded scales, large images, graphs."""
import ctypes
import gc
import sys
import weakref
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from conftest import untrained
from test_gpu import FP32, TF32, gradient_error, gradients

from singan_nb import passes
from singan_nb.all import Callback, Config, Critic, FastStep, FastTrainer, Frozen, ReadableStep, ScaleTrainer, SinGAN, SinGANError, init_weights, load_image, seeded, train, white_noise
from singan_nb.engine import Replay, keep_memory, side_by_side, window_corner, window_size
from singan_nb.passes import NormActSlope, cast_weights, score_slope
from singan_nb.pyramid import build_pyramid


def trainer(cls, size, model=None, **options):
    real = build_pyramid(load_image("dunes"), [size])[0]
    return cls(model or SinGAN(real), real, 8, **{**dict(lr=1e-6, seed=3), **options})


def both_trained(size, scales, steps=4, **options):
    real = build_pyramid(load_image("dunes"), [size])[0]
    pair = [trainer(cls, size, untrained(real, scales) if scales else None, **options) for cls in (ScaleTrainer, FastTrainer)]
    losses = [torch.stack([each.step() for _ in range(steps)]) for each in pair]
    return pair, losses


@pytest.mark.parametrize("options", [
    {}, dict(penalty="sample"), dict(critic_norm=False), dict(z_star="fixed"), dict(gp_every=2, critic_steps=2),
    dict(reconstruction="zero_image"), dict(reconstruction="literal"), dict(rec_weight=0), dict(gp_weight=0),
    dict(critic_border="zero"), dict(critic_border="reflect", gp_every=2)])
@pytest.mark.parametrize("scales", [0, 2])
def test_the_engine_s_step_is_the_readable_one(scales, options):
    (slow, fast), losses = both_trained((35, 56), scales, **options)
    assert torch.allclose(*losses, rtol=2e-3, atol=2e-5)
    idle = {f"net.{k}.0.bias" for k in range(4)}
    pairs = [(slow.scale.generator.state_dict(), fast.scale.generator.state_dict())]
    pairs.append((dict(slow.critic.named_parameters()), dict(fast.critic.named_parameters())))
    for a, b in pairs:
        for name in a.keys() - idle: assert torch.allclose(a[name].float(), b[name].float(), rtol=1e-3, atol=5e-5), name


@pytest.mark.parametrize("norm, border", [(True, "none"), (False, "none"), (True, "zero"), (True, "reflect")])
def test_slope_is_the_gradient_of_the_score(norm, border):
    critic = init_weights(Critic(8, norm=norm, border=border), seeded(0)).double()
    image = torch.rand(1, 3, 30, 30, dtype=torch.double)
    image.requires_grad_()
    expected, = torch.autograd.grad(critic(image).sum(), image)
    assert torch.allclose(score_slope(critic, image, cast_weights(critic.net, torch.double)), expected, atol=1e-12)


def test_a_window_sees_what_the_whole_scale_sees():
    "With the same noise and the same weights, the generated window is a part of the generated image."
    size, corner = (60, 80), (9, 31)
    real = build_pyramid(load_image("dunes"), [size])[0]
    whole, part = (trainer(FastTrainer, size, untrained(real), crop=crop) for crop in (1000, 32))
    step, windows = whole.arithmetic, part.arithmetic.windows
    assert windows.window == (32, 32) and part.arithmetic.reuse == 4
    windows.move_to(corner)
    base, noise = step.base(whole, 0), step.noise(whole)
    seen = torch.addcmul(base, noise, whole.scale.noise_amp)
    assert torch.equal(part.arithmetic.base(part, 0), windows.cut(base))
    generator = whole.scale.generator.eval()
    (y, x), (h, w) = corner, windows.window
    with torch.no_grad(): image = generator.crop(seen, windows.inner(base))
    with torch.no_grad(): window = generator.crop(windows.cut(seen), windows.inner(windows.cut(base)))
    assert torch.allclose(image[..., y:y+h, x:x+w], window, atol=1e-5)


def test_windows_cover_the_image_and_stay_inside():
    for size in ((188, 250), (1000, 1000), (100, 2000), (2000, 100), (33, 1500)):
        h, w = window = window_size(size, 128)
        assert h <= size[0] and w <= size[1] and h*w <= 128*128 or window == size
        if size[0]*size[1] > 128*128: assert h*w > .95*128*128
        corners = torch.tensor([window_corner(size, window, seeded(i)) for i in range(400)])
        assert corners.min() >= 0 and (corners + torch.tensor(window) <= torch.tensor(size)).all()
        assert (corners.amin(0) == 0).all() and (corners.amax(0) + torch.tensor(window) == torch.tensor(size)).all()


def test_work_of_an_iteration_does_not_grow_with_the_image():
    "Twice the side: the trained window is the same, and a base serves four times as many steps."
    real = build_pyramid(load_image("dunes"), [(160, 256)])[0]
    small, large = (trainer(FastTrainer, size, untrained(real), crop=64) for size in ((80, 128), (160, 256)))
    small, large = small.arithmetic, large.arithmetic
    assert small.windows.window == large.windows.window and large.reuse >= 4*small.reuse
    assert all(view.shape == other.shape for view, other in zip(small.windows.view, large.windows.view))


def test_training_on_windows_resumes(tmp_path, dunes):
    config = Config(max_size=64, iters=6, width=8, critic_steps=1, generator_steps=1, crop=32, precision="fp32")
    straight = train(dunes, config, progress=False)
    class Stop(Callback):
        def on_iteration(self, watch):
            if watch.scale == 2 and watch.iteration == 3: watch.stop()
    train(dunes, config, tmp_path/"run", progress=False, callbacks=[Stop()])
    resumed = train(dunes, config, tmp_path/"run", resume=True, progress=False)
    for (name, a), b in zip(straight.state_dict().items(), resumed.state_dict().values()): assert torch.equal(a, b), name


def test_the_readable_trainer_can_be_asked_for(dunes):
    seen = []
    class See(Callback):
        def on_scale_begin(self, watch): seen.append(type(watch.trainer.arithmetic))
    config = Config(max_size=40, iters=1, width=4, critic_steps=1, generator_steps=1)
    train(dunes, config, progress=False, callbacks=[See()])
    train(dunes, config, progress=False, callbacks=[See()], trainer=ScaleTrainer)
    assert seen == [FastStep, ReadableStep]


def test_folded_scales_leave_the_model_as_it_was():
    model = untrained(build_pyramid(load_image("dunes"), [(35, 56)])[0], 2)
    before = {name: (value.clone(), value.dtype, value.stride()) for name, value in model.state_dict().items()}
    noises = model.draw_noises(seeded(0), n=2)
    assert torch.allclose(model(noises), model(noises, run=Frozen()), atol=1e-5)
    assert (model(noises) - model(noises, run=Frozen(torch.bfloat16))).abs().mean() < .02
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name][0]) and (value.dtype, value.stride()) == before[name][1:], name


@pytest.mark.parametrize("border, windows", [("none", 1), ("zero", 36), ("reflect", 36)])
def test_a_border_lets_the_critic_judge_a_corner(border, windows):
    "Number of scores that depend on the corner pixel; for a mirror image the corner appears in more windows, not in more places."
    critic = init_weights(Critic(8, norm=False, border=border), seeded(0))
    image = torch.rand(1, 3, 30, 30, generator=seeded(1))
    changed = image.clone(); changed[..., 0, 0] += 1
    assert (critic(image) != critic(changed)).sum() == windows
    assert critic(image).shape[-2:] == ((20, 20) if border == "none" else (30, 30))


def test_an_unknown_border_is_refused():
    with pytest.raises(SinGANError, match="border='wrap' is unknown; it must be one of none, zero, reflect"): Critic(8, border="wrap")


def test_a_scale_trained_on_windows_is_normalized_by_whole_images():
    "The first normalization's running mean is the mean over whole images, not over the last windows."
    real = build_pyramid(load_image("dunes"), [(60, 80)])[0]
    windowed = trainer(FastTrainer, (60, 80), untrained(real), crop=32)
    for _ in range(3): windowed.step()
    conv, norm = windowed.scale.generator.net[0][:2]
    recent, scale = norm.running_mean.clone(), windowed.frozen()
    rng = seeded(3, "statistics", windowed.number)
    inputs = [windowed.bases(i) + scale.noise_amp*white_noise((60, 80), rng=rng) for i in range(16)]
    expected = torch.stack([conv(torch.nn.functional.pad(x, [5]*4)).mean((0, 2, 3)) for x in inputs]).mean(0)
    assert torch.allclose(norm.running_mean, expected, rtol=1e-3, atol=1e-8)
    assert (recent - expected).norm() > .5*expected.norm() and norm.momentum == torch.nn.BatchNorm2d(1).momentum
    assert norm.momentum == .1 and not scale.training


def test_a_scale_trained_as_a_whole_keeps_its_running_statistics():
    whole = trainer(FastTrainer, (30, 40))
    for _ in range(3): whole.step()
    before = whole.scale.generator.net[0][1].running_mean.clone()
    assert torch.equal(whole.frozen().generator.net[0][1].running_mean, before)


def test_a_repetition_gives_the_same_bits_with_one_thread_and_with_two():
    "The parts of a step run side by side, and their gradients are added in one order, whichever ends first."
    def trained(threads):
        torch.set_num_threads(threads)
        one = trainer(FastTrainer, (60, 80), untrained(build_pyramid(load_image("dunes"), [(60, 80)])[0]), crop=32,
                      critic_steps=2, generator_steps=2, gp_every=3, critic_border="zero")
        losses = torch.stack([one.step() for _ in range(5)])
        return [losses, *(p.detach().clone() for n in (one.scale.generator, one.critic) for p in n.parameters())]
    before = torch.get_num_threads()
    try: single, double, again = trained(1), trained(2), trained(2)
    finally: torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(double, again))
    assert torch.allclose(single[0], double[0], rtol=1e-3, atol=1e-5)


def test_an_error_in_one_part_is_raised():
    before = torch.get_num_threads(); torch.set_num_threads(2)
    try:
        with pytest.raises(ZeroDivisionError): side_by_side(lambda i: 1/i, [1, 0])
        assert side_by_side(lambda i: 1/i, [1, 2, 4]) == [1, .5, .25]
    finally: torch.set_num_threads(before)


# ---------------------------------------------------------------- graphs, with a stand-in for CUDA

class Graph:
    "A graph that remembers how often it was replayed."
    def __init__(self): self.replays = 0
    def register_generator_state(self, random): pass
    def pool(self): return "pool"
    def replay(self): self.replays += 1


@pytest.fixture
def cuda(monkeypatch):
    "Streams and graphs on the CPU; `recording` is whether a graph is being recorded. What is recorded runs, a replay does not."
    state, stream = SimpleNamespace(recording=False), SimpleNamespace(wait_stream=lambda other: None)
    @contextmanager
    def graph(graph, pool, stream):
        state.recording = True
        try: yield
        finally: state.recording = False
    for name, stand_in in dict(Stream=lambda: stream, current_stream=lambda: stream, stream=lambda stream: nullcontext(), CUDAGraph=Graph,
                               graph=graph).items(): monkeypatch.setattr(torch.cuda, name, stand_in)
    return state


@pytest.mark.parametrize("patterns, recorded", [(((1,),), [4]), (((1, 0), (0, 1)), [4, 5]), (((1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)), [5, 6, 7, 8])])
def test_patterns_run_eagerly_before_they_are_recorded(cuda, patterns, recorded):
    "At least three iterations before the first recording, and one of each pattern; then nothing runs but replays."
    replay, played = Replay(rng=None), []
    def play(bases, weights):
        played.append((iteration, weights, cuda.recording))
        return torch.tensor(float(iteration))
    for iteration in range(1, 13):
        weights = patterns[(iteration - 1) % len(patterns)]
        assert replay(play, [torch.zeros(1)], weights) == (iteration if iteration < recorded[0] else
                                                           next(i for i in recorded if (i - iteration) % len(patterns) == 0))
    assert [i for i, _, recording in played if not recording] == [*range(1, recorded[0])]
    assert [i for i, _, recording in played if recording] == recorded
    assert sum(graph.replays for graph, _ in replay.graphs.values()) == 13 - recorded[0]


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_rests_while_a_graph_is_recorded(cuda, enabled):
    "Freeing an older graph then would make the recording invalid. Afterwards the collector is as before, also after an error."
    replay, seen = Replay(rng=None, eager=0), []
    def play(bases, weights):
        seen.append((cuda.recording, gc.isenabled()))
        if cuda.recording and len(seen) == 2: raise ZeroDivisionError
        return torch.zeros(4)
    (gc.enable if enabled else gc.disable)()
    try:
        replay(play, [torch.zeros(1)], [1])
        with pytest.raises(ZeroDivisionError): replay(play, [torch.zeros(1)], [1])
        assert gc.isenabled() == enabled and not replay.graphs
        replay(play, [torch.zeros(1)], [1])
        assert gc.isenabled() == enabled and len(replay.graphs) == 1
    finally: gc.enable()
    assert seen == [(False, enabled), (True, False), (True, False)]


@pytest.mark.parametrize("platform, wanted", [("linux", {-3: 1 << 30, -1: 1 << 30, -2: 1 << 26}), ("darwin", {})])
def test_freed_memory_is_kept_for_the_next_step(monkeypatch, platform, wanted):
    "The parameters are M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_TOP_PAD of malloc.h."
    asked = {}
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=asked.__setitem__))
    keep_memory()
    assert asked == wanted


def test_a_trainer_and_its_graphs_are_freed_without_the_collector(cuda):
    one = trainer(FastTrainer, (30, 40))
    replay = one.arithmetic.replay = Replay(one.rng)
    for _ in range(5): one.step()
    held = [weakref.ref(each) for each in (one, replay, *(graph for graph, _ in replay.graphs.values()))]
    del replay
    gc.disable()
    try:
        del one
        assert len(held) == 3 and all(each() is None for each in held)
    finally: gc.enable()


# ---------------------------------------------------------------- what tests/test_gpu.py compares, and how closely

def rounded(x): # float32 with the 10 bits after the point that TF32 has
    return ((x.detach().contiguous().view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


class Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x): return rounded(x)
    @staticmethod
    def backward(ctx, slope): return slope


class RoundSlope(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x): return x.clone()
    @staticmethod
    def backward(ctx, slope): return rounded(slope)


def as_tf32(convolution):
    "The factors of a convolution rounded, in both directions."
    def tf32(x, weight, bias=None):
        if x.dtype != torch.float32: return convolution(x, weight, bias)
        y = RoundSlope.apply(convolution(Round.apply(x), Round.apply(weight)))
        return y if bias is None else y + bias.view(1, -1, 1, 1)
    return tf32


def test_float32_meets_the_tolerance_of_the_gpu_s_test_by_far(): assert 0 < gradient_error(gradients) < FP32/20


def test_tf32_is_seen_and_allowed(monkeypatch):
    for name in ("conv2d", "conv_transpose2d"): monkeypatch.setattr(F, name, as_tf32(getattr(F, name)))
    assert 5*FP32 < gradient_error(gradients, range(1, 4)) < TF32/2


def without(index, backward=NormActSlope.backward):
    "`NormActSlope` with one of its derivatives left out."
    def wrong(ctx, v): return tuple(slope*0 if i == index else slope for i, slope in enumerate(backward(ctx, v)))
    return staticmethod(wrong)


@pytest.mark.parametrize("what, name, value", [(NormActSlope, "backward", without(1)), (NormActSlope, "backward", without(3)), (passes, "LEAK", .21)])
def test_a_wrong_formula_is_seen(monkeypatch, what, name, value):
    right = {seed: gradients(seed, dtype=torch.float64) for seed in (1, 2, 3)}
    monkeypatch.setattr(what, name, value)
    wrong = {seed: gradients(seed, dtype=torch.float64) for seed in right}
    for seed in right: assert max(((a - b).norm()/b.norm()).item() for a, b in zip(wrong[seed], right[seed])) > 10*FP32
