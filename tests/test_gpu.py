"""What must hold on a CUDA GPU; skipped where there is none."""
from dataclasses import replace

import pytest
import torch
from conftest import same_weights

from singan_nb.all import Bases, Callback, SinGAN, in_tiles, sample, sample_noises, train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


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
