"""Sampling: seeds, sizes, start scales, tiles, memory."""
import gc
import os
import tracemalloc

import pytest
import torch

from singan_nb.all import (ModelError, SinGAN, SinGANError, in_tiles, inject, model_path, read_tensors, sample, sample_batches,
                           sample_noises)


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
        images = model.reconstruct(every=True)
        base = torch.nn.functional.interpolate(images[scale - 1], model.sizes[scale], mode="bicubic", antialias=True).clamp(-1, 1)
        assert torch.allclose(model([None]*(3 - scale), base, scale), model.reconstruct(), atol=1e-5)


def test_every_scale_on_request(model):
    stages = sample(model, 2, every=True, start_scale=1)
    assert [tuple(x.shape) for x in stages] == [(2, 3, *size) for size in model.sizes[1:]]
    assert torch.equal(stages[-1], sample(model, 2, start_scale=1))


@pytest.mark.parametrize("tile", [7, 16, 29])
def test_tiles_have_no_seams(model, tile):
    sizes = model.sizes_for((60, 90))
    noises = sample_noises(model, [0, 1], 3, 0, sizes)
    with torch.no_grad(): whole, tiled = model(noises, sizes=sizes), model(noises, sizes=sizes, run=in_tiles(tile))
    assert torch.allclose(whole, tiled, atol=1e-5)


def test_a_large_sample_in_tiles_equals_itself_in_other_tiles(model):
    a, b = (next(sample_batches(model, 1, 0, 0, (700, 500), tile=tile)) for tile in (256, 1024))
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
    with pytest.raises(ModelError, match="no scale"): SinGAN.load(tmp_path/"empty")


def test_reading_a_model_again_and_again_keeps_nothing():
    "A long process reads many checkpoints; of each tensor, safetensors' get_tensor keeps some bytes."
    for _ in range(3): read_tensors(model_path("dunes"))
    gc.collect(); tracemalloc.start()
    try:
        for _ in range(50): read_tensors(model_path("dunes"))
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 2**14
    finally: tracemalloc.stop()
