"""What must hold on a CUDA GPU; skipped where there is none."""
import gc
from dataclasses import replace
from statistics import median

import pytest
import torch
from conftest import same_weights

from singan_nb.all import Bases, Callback, Config, FastStep, FastTrainer, ScaleTrainer, SinGAN, build_pyramid, evaluate, in_tiles, load_image, sample, sample_noises, save_image, train
from singan_nb.bench import pace
from singan_nb.devices import _tf32

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


FP32, TF32 = 2e-3, .1        # tolerances for `gradient_error`; tests/test_engine.py shows what they let pass


def gradients(seed, device="cpu", dtype=torch.float32):
    "Of the critic's scores, of its penalty and of the generator's loss: each gradient as one vector, from given noise."
    real = build_pyramid(load_image("dunes"), [(40, 64)])[0].to(device)
    trainer = FastTrainer(SinGAN(real), real, 16, graph=False, seed=seed)
    z, noise = torch.randn(2, 1, 3, 40, 64, generator=torch.Generator().manual_seed(seed)).to(device, dtype)
    for network in (trainer.scale, trainer.critic): network.to(dtype)
    step, windows = trainer.arithmetic, trainer.arithmetic.windows
    step.dtype, windows.view = dtype, [view.to(dtype) for view in windows.view]
    trainer.scale.z_star.copy_(z)
    noise, real, base = windows.pad(noise), real.to(dtype), torch.zeros_like(windows.view[0])
    fake, score = step.fake(trainer.scale, noise, base, []), lambda image: step.score(trainer.critic, image)
    losses = [(score(fake) - score(real), trainer.critic), (step.penalty(trainer, fake.lerp(real, .5).detach()), trainer.critic),
              (trainer.rec_weight*step.reconstruction(trainer.scale, True, []) - score(fake), trainer.scale.generator)]
    each = [torch.autograd.grad(loss, list(network.parameters()), retain_graph=True, allow_unused=True) for loss, network in losses]
    return [torch.cat([slope.flatten() for slope in slopes if slope is not None]).cpu().double() for slopes in each]


def gradient_error(found, seeds=range(1, 6)):
    """The largest relative error of three gradients, beside float64 on the CPU; for each one the median over the seeds.

    An activation so near to zero that rounding changes its sign moves a gradient by half a percent; this happens to a seed now and then.
    A gradient is compared as a whole: that of a single bias can be zero but for rounding.
    """
    errors = [[((a - b).norm()/b.norm()).item() for a, b in zip(found(seed), gradients(seed, dtype=torch.float64))] for seed in seeds]
    return max(map(median, zip(*errors)))


def test_the_same_noise_gives_the_same_picture(model, tmp_path):
    gpu = SinGAN.load(model.save(tmp_path/"model.safetensors"), "cuda")
    noises = sample_noises(model, range(4))
    on_gpu = gpu([noise.cuda() for noise in noises], run=in_tiles(16)).cpu()
    assert (on_gpu - model(noises)).abs().max() < .02                      # TF32 convolutions
    assert (gpu.reconstruct().cpu() - model.reconstruct()).abs().max() < .02


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_trains_stops_and_resumes(dunes, tiny, tmp_path, precision):
    class StopAt(Callback):
        def on_iteration(self, watch):
            if (watch.scale, watch.iteration) == (1, 3): watch.stop()
    tiny = replace(tiny, precision=precision)
    train(dunes, tiny, tmp_path/"run", device="cuda", progress=False, callbacks=[StopAt()])
    model = train(dunes, tiny, tmp_path/"run", resume=True, device="cuda", progress=False)
    assert model.device.type == "cuda" and len(model.scales) == 3
    assert same_weights(model, SinGAN.load(tmp_path/"run", "cuda"))
    assert torch.isfinite(sample(model, 2, size=(40, 200))).all()


def test_nothing_moves_between_devices(model, tmp_path):
    gpu = SinGAN.load(model.save(tmp_path/"model.safetensors"), "cuda")
    assert Bases(gpu, (40, 60))(0).is_cuda and sample(gpu, 1).is_cuda


@pytest.mark.parametrize("options", [{}, dict(critic_steps=2, gp_every=3), dict(critic_norm=False)])
def test_a_replayed_graph_equals_the_eager_iterations(options):
    "Same weights after 40 iterations: the same operations, in the same order, on the same random numbers."
    real = build_pyramid(load_image("dunes"), [(40, 64)])[0].cuda()
    losses, trainers = [], []
    for graph in (False, True):
        trainer = FastTrainer(SinGAN(real), real, 16, graph=graph, seed=1, lr=1e-5, **options)
        losses.append(torch.stack([trainer.step() for _ in range(40)]))
        trainers.append(trainer)
    assert trainers[0].arithmetic.replay is None and len(trainers[1].arithmetic.replay.graphs) >= 1
    assert torch.allclose(*losses, rtol=1e-2, atol=1e-4)
    assert losses[1].std(0).min() > 0                                      # new noise in each replay
    for a, b in zip(*(trainer.scale.generator.parameters() for trainer in trainers)):
        assert torch.allclose(a, b, rtol=1e-2, atol=1e-4)


def test_a_graph_is_recorded_while_an_older_one_becomes_garbage():
    "Freed by the collector during a recording, it made the recording invalid."
    real, older = build_pyramid(load_image("dunes"), [(25, 40)])[0].cuda(), []
    class Dropping(FastStep):
        def noise(self, trainer):
            if torch.cuda.is_current_stream_capturing() and older: circle = [older.pop()]; circle.append(circle)
            return super().noise(trainer)
    for step in (FastStep, Dropping):
        trainer, before = ScaleTrainer(SinGAN(real), real, 8, step=step()), gc.get_threshold()
        if older: gc.set_threshold(1)                                      # collect all the time
        try: losses = torch.stack([trainer.step() for _ in range(8)])
        finally: gc.set_threshold(*before)
        older.append(trainer)
        assert torch.isfinite(losses).all() and len(trainer.arithmetic.replay.graphs) == 1
        del trainer
    assert len(older) == 1


def test_a_second_training_in_one_process(dunes, tiny):
    "The first one ends by an error, and its trainer lies about as garbage."
    class Fail(Callback):
        def on_iteration(self, watch):
            if watch.scale == 1: watch.trainer.itself = watch.trainer; raise ZeroDivisionError
    config = replace(tiny, iters=12)
    try: train(dunes, config, device="cuda", progress=False, callbacks=[Fail()])
    except ZeroDivisionError: pass
    for _ in range(2): assert torch.isfinite(sample(train(dunes, config, device="cuda", progress=False), 1)).all()


@pytest.mark.parametrize("allowed, tolerance", [(False, FP32), (True, TF32)])
def test_the_gpu_trains_what_the_cpu_trains(allowed, tolerance):
    with _tf32(allowed): assert gradient_error(lambda seed: gradients(seed, "cuda")) < tolerance


def test_bf16_costs_no_quality(dunes):
    "Both precisions come closer to the photograph than another photograph is, and bf16 is no worse by half."
    scores = {}
    for precision in ("fp32", "bf16"):
        model = train(dunes, Config.preset("class", max_size=64, precision=precision), device="cuda", progress=False)
        scores[precision] = evaluate(model.image, sample(model, 50))["sifid"].mean().item()
    assert scores["bf16"] < 1.5*scores["fp32"]


@pytest.mark.parametrize("max_size, ceiling", [(1024, 8), (2048, 12)])
def test_large_images_train_within_a_ceiling(max_size, ceiling, tmp_path):
    "GiB of device memory for a few iterations of every scale."
    large = torch.nn.functional.interpolate(load_image("dunes"), (max_size*3//4, max_size), mode="bilinear")
    save_image(large, tmp_path/"large.png")
    measured = pace(str(tmp_path/"large.png"), Config(max_size=max_size), "cuda", iterations=2)
    assert measured["memory"] < ceiling*1024


def test_a_picture_of_4096_pixels_in_tiles(model, tmp_path):
    gpu = SinGAN.load(model.save(tmp_path/"model.safetensors"), "cuda")
    torch.cuda.reset_peak_memory_stats()
    assert sample(gpu, 1, size=(4096, 4096)).shape == (1, 3, 4096, 4096)
    assert torch.cuda.max_memory_allocated() < 8*2**30
