"""Sampling: seeds, sizes, start scales, tiles, memory."""
import copy
import gc
import math
import os
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from singan_nb import devices
from singan_nb.all import (
    ModelError,
    OutOfMemory,
    SinGAN,
    SinGANError,
    animate,
    edit,
    enlarge_by_passes,
    export_onnx,
    harmonize,
    import_official,
    in_tiles,
    inject,
    inject_everywhere,
    load_image,
    model_path,
    open_results,
    page_sample,
    paint_to_image,
    plan_enlargement,
    read_log,
    read_tensors,
    retarget,
    sample,
    sample_batches,
    sample_noises,
    sampling_memory,
    save_animation,
    train,
    train_many,
)


def test_a_sample_depends_on_seed_and_number_alone(model):
    eight = sample(model, 8, seed=1)
    assert torch.allclose(sample(model, 8, seed=1, batch=3), eight, atol=1e-5)
    assert torch.allclose(sample(model, 5, seed=1), eight[:5], atol=1e-5)
    assert torch.equal(sample(model, 8, seed=1), eight)
    assert not torch.allclose(sample(model, 1, seed=2), eight[:1], atol=1e-2)


@pytest.mark.parametrize("size", [(16, 16), (30, 48), (31, 200), (101, 17), (1, 1), (5, 300)])
@pytest.mark.parametrize("start_scale", [0, 1, 2])
def test_any_size_from_any_scale(model, size, start_scale):
    images = sample(model, 2, size=size, start_scale=start_scale)
    assert images.shape == (2, 3, *size) and torch.isfinite(images).all() and images.abs().max() <= 1


def test_start_scale_keeps_what_the_coarser_scales_reconstruct(model):
    "Without noise, starting anywhere gives the reconstruction."
    for scale in (1, 2):
        images = model.reconstruct(all_scales=True)
        base = torch.nn.functional.interpolate(images[scale - 1], model.sizes[scale], mode="bicubic", antialias=True).clamp(-1, 1)
        assert torch.allclose(model([None]*(3 - scale), base, scale), model.reconstruct(), atol=1e-5)


def test_every_scale_on_request(model):
    stages = sample(model, 2, all_scales=True, start_scale=1)
    assert [tuple(x.shape) for x in stages] == [(2, 3, *size) for size in model.sizes[1:]]
    assert torch.equal(stages[-1], sample(model, 2, start_scale=1))


@pytest.mark.parametrize("tile", [7, 16, 29])
def test_tiles_have_no_seams(model, tile):
    sizes = model.sizes_for((60, 90))
    noises = sample_noises(model, [0, 1], 3, start_scale=0, sizes=sizes)
    with torch.no_grad(): whole, tiled = model(noises, sizes=sizes), model(noises, sizes=sizes, run=in_tiles(tile))
    assert torch.allclose(whole, tiled, atol=1e-5)


@pytest.mark.parametrize("tile, most", [(16, 1e-4), (128, 1e-6)])
def test_tiles_differ_by_rounding_alone(tile, most):
    "As the lesson says, of a trained model."
    whole, tiled = (next(sample_batches("dunes", 1, 0, tile=side)) for side in (1024, tile))
    assert (whole - tiled).abs().max() < most and whole.std() > .1


def test_a_large_sample_in_tiles_equals_itself_in_other_tiles(model):
    a, b = (next(sample_batches(model, 1, 0, start_scale=0, size=(700, 500), tile=tile)) for tile in (256, 1024))
    assert torch.allclose(a, b, atol=1e-5)


def resident():
    "Memory of this process, in MB."
    with open("/proc/self/statm") as file: return int(file.read().split()[1])*os.sysconf("SC_PAGE_SIZE")/1e6


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads memory from /proc")
def test_a_thousand_samples_do_not_grow_memory(model):
    after = []
    for i, batch in enumerate(sample_batches(model, 1000, size=(40, 64), batch=20)):
        if i >= 10: after.append(resident())
    assert len(after) == 40 and after[-1] - after[0] < 20


def test_injection_without_noise_is_deterministic_and_sees_the_image(model, dunes):
    assert torch.equal(inject(model, dunes, 1, noise=False), inject(model, dunes, 1, seed=9, noise=False))
    assert inject(model, dunes, 2, n=3, size=(33, 120)).shape == (3, 3, 33, 120)
    dark, light = inject(model, dunes*0 - .5, 2, noise=False), inject(model, dunes*0 + .5, 2, noise=False)
    assert (light - dark).mean() > .5


@pytest.mark.parametrize("arguments, words", [(dict(n=0), "at least 1"), (dict(start_scale=3), "0 .coarsest. to 2"), (dict(start_scale=-1), "does not exist"), (dict(size=(0, 5)), "at least 1 × 1"), (dict(size=(-4, 5)), "at least 1 × 1")])
def test_refusals(model, arguments, words):
    with pytest.raises(SinGANError, match=words): sample(model, **arguments)


def test_model_files(model, tmp_path):
    file = model.save(tmp_path/"model.safetensors")
    whole, again = file.read_bytes(), SinGAN.load(tmp_path)
    assert torch.equal(sample(again, 2, seed=4), sample(model, 2, seed=4)) and again.record == model.record
    for length in (0, 7, 100, len(whole)//2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(ModelError, match="no whole safetensors"): SinGAN.load(file)
    for old, new, words in ((b'"format_version":"1"', b'"format_version":"2"', "format version 2"), (b'"format":"singan_nb"', b'"format":"elsewhere"', "not a model"),
                            (b"scales.1.generator.net.1.0.weight", b"scales.1.generator.net.1.0.wejght", "damaged"), (b"grey_noise", b"gray_noise", "damaged")):
        assert old in whole
        file.write_bytes(whole.replace(old, new))
        with pytest.raises(ModelError, match=words): SinGAN.load(file)
    with pytest.raises(ModelError, match="no such"): SinGAN.load(tmp_path/"nothing")
    (tmp_path/"empty").mkdir()
    with pytest.raises(ModelError, match="empty holds no model.safetensors: no training was begun there"): SinGAN.load(tmp_path/"empty")
    (tmp_path/"empty"/"config.json").touch()
    with pytest.raises(ModelError, match="no scale of the training is finished yet"): SinGAN.load(tmp_path/"empty")


@pytest.mark.parametrize("wrong", [None, 3, b"m.safetensors", ""])
def test_what_is_no_path_is_one_line(model, dunes, wrong):
    calls = [lambda: SinGAN.load(wrong), lambda: model.save(wrong), lambda: read_log(wrong), lambda: save_animation([dunes], wrong), lambda: export_onnx(model, wrong), lambda: import_official(wrong),
             lambda: read_tensors(wrong), lambda: train_many("dunes", wrong), lambda: open_results(wrong, "here")]
    if wrong is not None: calls.append(lambda: train(dunes, "class", wrong, progress=False))
    for call in calls:
        with pytest.raises(SinGANError, match="the path is empty" if wrong == "" else "a path must be a str or Path, not"): call()


def test_a_model_is_written_as_what_it_is(model, tmp_path):
    for name in ("m.png", "m", "m.safetensors.gz"):
        with pytest.raises(SinGANError, match=f"{name} must end in .safetensors"): model.save(tmp_path/name)
    assert not list(tmp_path.iterdir())


def test_a_pretrained_model_by_any_name_and_devices_that_are_not_there():
    assert torch.equal(SinGAN.from_pretrained(Path("dunes")).image, SinGAN.load(Path("dunes")).image)
    with pytest.raises(ModelError, match="no pretrained model 'None'; there are"): SinGAN.from_pretrained(None)
    for device in ("auto", "foo", "cuda:99", "cpu:x"):
        with pytest.raises(ModelError, match=f"device '{device}' cannot be used here .*; give 'cpu', or what pick_device") as refused: SinGAN.load("dunes", device)
        assert "\n" not in str(refused.value)


def test_a_reconstruction_of_no_scale(model):
    for wrong in (0, -1):
        with pytest.raises(ModelError, match=f"upto={wrong} scales give no image"): model.reconstruct(upto=wrong)
    assert model.reconstruct(upto=1).shape[-2:] == model.sizes[0]


def test_reading_a_model_again_and_again_keeps_nothing():
    "A long process reads many checkpoints; of each tensor, safetensors' get_tensor keeps some bytes."
    for _ in range(3): read_tensors(model_path("dunes"))
    gc.collect(); tracemalloc.start()
    try:
        for _ in range(50): read_tensors(model_path("dunes"))
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 2**14
    finally: tracemalloc.stop()


def test_a_model_in_training_mode_draws_the_same_and_stays_as_it_is(model):
    training = copy.deepcopy(model).train().requires_grad_(True)
    before = copy.deepcopy(training.state_dict())
    for start_scale in (0, 1):
        images = sample(training, 2, seed=1, start_scale=start_scale)
        assert torch.equal(images, sample(model, 2, seed=1, start_scale=start_scale)) and not images.requires_grad
    assert torch.equal(inject(training, model.image, 1), inject(model, model.image, 1))
    assert torch.equal(list(animate(training, frames=3))[2], list(animate(model, frames=3))[2])
    assert all(module.training for module in training.modules()) and all(torch.equal(value, before[name]) for name, value in training.state_dict().items())


@pytest.fixture
def float64():
    "Programs that set another default type."
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


DRAW = {"sample": lambda m: sample(m, 2, seed=3), "start scale": lambda m: sample(m, 2, start_scale=1), "size": lambda m: sample(m, 1, size=(40, 90)), "inject": lambda m: inject(m, m.image, 1, n=2),
        "film": lambda m: list(animate(m, frames=4))[-1], "loop": lambda m: list(animate(m, 1, frames=4, loop=True, border="noise"))[-1], "retarget": lambda m: retarget(m, (20, 60)),
        "edit": lambda m: edit(m, m.image, torch.ones_like(m.image[:, :1]).tril()), "page": lambda m: page_sample(m, 3, 1),
        "painted": lambda m: paint_to_image(m, m.image, 1, quantize=True, iters=2),
        "passes": lambda m: list(enlarge_by_passes(m, m.image, plan_enlargement(m.sizes[-1], 2)))[-1]}


@pytest.fixture(scope="module")
def drawn(model):
    return {name: draw(model) for name, draw in DRAW.items()}


@pytest.mark.parametrize("name", DRAW)
def test_the_default_type_of_numbers_does_not_matter(model, drawn, float64, name):
    image = DRAW[name](model)
    assert image.dtype == torch.float32 and torch.equal(image, drawn[name])


@pytest.mark.parametrize("name", DRAW)
def test_inside_inference_mode_and_outside(model, drawn, tmp_path, name):
    with torch.inference_mode(): read = SinGAN.load(model.save(tmp_path/"model.safetensors")); inside = DRAW[name](read)
    assert torch.equal(inside, drawn[name]) and torch.equal(DRAW[name](read), drawn[name])


@pytest.mark.parametrize("kind", ["double", "half"])
def test_a_model_of_other_numbers_draws_in_32_bits(model, kind):
    other = getattr(copy.deepcopy(model), kind)()
    images = sample(other, 2, seed=1, start_scale=1)
    assert images.dtype == torch.float32 and (images - sample(model, 2, seed=1, start_scale=1)).abs().max() < 1e-2
    assert {t.dtype for t in other.parameters()} == {torch.float64 if kind == "double" else torch.float16}


@pytest.mark.parametrize("seed", [np.int64(1), np.uint8(1), np.array(1), torch.tensor(1), True])
def test_a_seed_of_any_library_is_the_same_number(model, drawn, seed):
    for draw in (lambda s: sample(model, 2, seed=s), lambda s: inject(model, model.image, 1, seed=s), lambda s: list(animate(model, frames=2, seed=s))[-1], lambda s: retarget(model, (20, 60), seed=s)):
        assert torch.equal(draw(seed), draw(1))


SEEDED = {"sample": lambda m, **s: sample(m, 2, **s), "batches": lambda m, **s: next(sample_batches(m, 2, **s)), "inject": lambda m, **s: inject(m, m.image, 1, **s), "everywhere": lambda m, **s: inject_everywhere(m, m.image, **s),
          "film": lambda m, **s: list(animate(m, frames=3, **s))[-1], "retarget": lambda m, **s: retarget(m, (20, 60), 1, **s), "paint": lambda m, **s: paint_to_image(m, m.image, 1, **s),
          "quantized": lambda m, **s: paint_to_image(m, m.image, 1, quantize=True, iters=1, **s), "edit": lambda m, **s: edit(m, m.image, torch.ones_like(m.image[:, :1]).tril(), start_scale=1, **s),
          "harmonize": lambda m, **s: harmonize(m, m.image, torch.ones_like(m.image[:, :1]).tril(), start_scale=1, **s), "passes": lambda m, **s: list(enlarge_by_passes(m, m.image, plan_enlargement(m.sizes[-1], 2), **s))[-1]}


@pytest.mark.parametrize("name", SEEDED)
def test_a_generator_in_the_place_of_a_seed(model, name):
    "The same state gives the same pictures, the next call others; no argument is seed 0; both is one line."
    draw, generator = SEEDED[name], torch.Generator().manual_seed(5)
    first, second = draw(model, generator=generator), draw(model, generator=generator)
    assert torch.equal(first, draw(model, generator=torch.Generator().manual_seed(5))) and not torch.equal(first, second)
    seed = torch.randint(2**62, (), generator=torch.Generator().manual_seed(5)).item()
    assert torch.equal(first, draw(model, seed=seed)) and torch.equal(draw(model), draw(model, seed=0))
    with pytest.raises(SinGANError, match="seed=0 and a generator are given"): draw(model, seed=0, generator=generator)
    with pytest.raises(SinGANError, match="rng must be a torch.Generator, not int"): draw(model, rng=5)
    for seed in (1.5, "1", torch.tensor(.5)):
        with pytest.raises(SinGANError, match="must be a whole number"): draw(model, seed=seed)


@pytest.mark.parametrize("draw", [lambda m: sample(m, 1, seed=1), lambda m: inject(m, load_image("dunes"), 1), lambda m: list(animate(m, frames=2))[1], lambda m: page_sample(m, 3)])
def test_a_model_by_file_or_name(model, tmp_path, draw):
    file = model.save(tmp_path/"model.safetensors")
    for given in (file, str(file), tmp_path): assert torch.equal(draw(given), draw(model))
    with pytest.raises(SinGANError, match="a model must be a SinGAN.*not int"): draw(3)
    with pytest.raises(ModelError, match="no such model"): draw("nothing")


@pytest.mark.parametrize("arguments", [dict(n=1.5), dict(n="2"), dict(start_scale=.5), dict(size=100), dict(size=(1, 2, 3)), dict(size=(20.5, 30)), dict(size="ab"), dict(size=(None, 3)), dict(batch=1.5)])
def test_what_is_no_whole_number_is_one_line(model, arguments):
    with pytest.raises(SinGANError, match="whole number"): sample(model, **arguments)
    assert sample(model, np.int32(1), size=np.array([20, 30])).shape == (1, 3, 20, 30)


@pytest.mark.parametrize("spoil", [lambda s: s.generator.net[1][1].running_var.neg_(), lambda s: s.generator.net[1][0].weight.fill_(1e38), lambda s: s.noise_amp.fill_(1e38)])
def test_no_picture_that_is_not_finite_is_given_out(model, spoil):
    "It would be written as black."
    spoiled = copy.deepcopy(model)
    for scale in spoiled.scales: spoil(scale)
    for draw in (sample, lambda m: next(sample_batches(m)), lambda m: sample(m, all_scales=True), lambda m: inject(m, m.image, 2), lambda m: list(animate(m, frames=3)), lambda m: list(enlarge_by_passes(m, m.image, plan_enlargement(m.sizes[-1], 2)))):
        with pytest.raises(ModelError, match="infinite or not a number"): draw(spoiled)


HUGE = {"sample": lambda m: sample(m, size=(10**6, 2*10**6)), "many": lambda m: sample(m, 10**9), "batches": lambda m: sample_batches(m, size=(10**6, 2*10**6)), "film": lambda m: animate(m, size=(10**6, 2*10**6)),
        "inject": lambda m: inject(m, m.image, 1, size=(10**6, 2*10**6)), "paint": lambda m: paint_to_image(m, m.image, quantize=True, size=(10**6, 2*10**6)), "retarget": lambda m: retarget(m, (10**6, 2*10**6))}


@pytest.mark.filterwarnings("ignore:.*other proportions")
@pytest.mark.parametrize("name", HUGE)
def test_what_does_not_fit_into_memory_is_refused_before_the_work(model, name):
    h, w = (30, 48) if name == "many" else (10**6, 2*10**6)
    with pytest.raises(OutOfMemory, match=f"height {h} and width {w} pixels takes? about [0-9,.]+ GB of memory, and cpu has .* GB free; give a smaller height or width"): HUGE[name](model)


def test_memory_by_hand_and_its_limits(tmp_path, monkeypatch):
    assert sampling_memory((100, 200), 8, batch=2, kept=5) == 4*(2*(3*8*20_000 + 24*20_000) + 6*5*20_000)
    assert sampling_memory((100, 200), 8, tile=10) == 4*(3*8*100 + 24*20_000)
    for name, text in (("memory.max", "1000\n"), ("memory.current", "700\n"), ("memory.stat", "anon 5\ninactive_file 100\n")): (tmp_path/name).write_text(text)
    assert devices._container(tmp_path) == [400] and devices._container(tmp_path/"nothing") == []
    (tmp_path/"memory.max").write_text("max\n"); assert devices._container(tmp_path) == []
    (tmp_path/"meminfo").write_text("MemAvailable:    3 kB\nHugePages_Total:   0\n"); assert devices._kilobytes(tmp_path/"meminfo") == {"MemAvailable": 3072}
    monkeypatch.setattr(devices, "_container", lambda: [12345]); assert devices.free_memory() == 12345
    monkeypatch.setattr(devices, "_container", list); monkeypatch.setattr(devices, "_kilobytes", lambda file: {}); assert devices.free_memory("mps") == math.inf


UNDER_A_LIMIT = """
import resource, sys
import torch
from singan_nb.all import *
from singan_nb.devices import OutOfMemory
model = SinGAN.load(sys.argv[1])
sample(model)
used = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize"))*1024
resource.setrlimit(resource.RLIMIT_AS, (used + 3*10**8,)*2)
size = (1500, 2500)
assert sample(model, size=(200, 300)).shape == (1, 3, 200, 300)
wide = torch.zeros(1, 3, 30, 50)
for foreseen in (True, False):
    if not foreseen:
        import singan_nb.devices as devices
        devices.free_memory = lambda device: float("inf")
    for draw in (lambda: sample(model, size=size), lambda: next(sample_batches(model, size=size)), lambda: list(animate(model, size=size)), lambda: inject(model, wide, 1, size=size),
                 lambda: paint_to_image(model, wide, size=size), lambda: retarget(model, size), lambda: super_resolve(torch.rand(1, 3, 400, 600)*2 - 1, 16, device="cpu", progress=False) if foreseen else sample(model, size=size)):
        try: draw()
        except OutOfMemory as error: print(error)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads memory from /proc")
def test_under_a_memory_limit_it_is_one_line_before_the_work_and_during_it(model, tmp_path):
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", UNDER_A_LIMIT, str(model.save(tmp_path/"model.safetensors"))], capture_output=True, text=True, timeout=300)
    said = done.stdout.splitlines()
    assert len(said) == 14 and not done.stderr, done.stdout + done.stderr
    assert all(re.search("height [0-9]+ and width [0-9]+ pixels takes about .* GB of memory, and cpu has .* GB free; give a smaller height or width", line) for line in said[:7])
    assert all("cpu ran out of it; give a smaller height or width" in line for line in said[7:])
