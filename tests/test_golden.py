"""The same seeds give the same training and the same picture as when `golden.safetensors` was written.

Bits depend on the processor, its number of threads and the version of PyTorch (`circumstances`). Where those are the same, the bits must be; elsewhere
the numbers must agree closely. After a change that is meant to change numbers: `python tests/test_golden.py`, and say why in the commit.
"""
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from singan_nb.all import Config, animate, harmonize, load_image, load_pretrained, sample, train
from singan_nb.devices import circumstances

GOLDEN = Path(__file__).parent/"golden.safetensors"
# windows, a noise that is tuned, a penalty in every fourth step: all that the fast presets do
CONFIG = Config.preset("class", max_size=48, min_size=18, width=8, iters=6, crop=24, tune_noise=True, precision="fp32")
# the paper's training: a penalty in every step, whole images
PAPER = Config.preset("paper", max_size=30, min_size=18, width=4, iters=4, precision="fp32")


def made():
    "Small results of everything that draws or trains, by name, and what their last digits depend on."
    threads = torch.get_num_threads(); torch.set_num_threads(1)
    try:
        dunes, model = load_image("dunes"), load_pretrained("boats")
        trained, paper = (train(dunes, config, device="cpu", progress=False) for config in (CONFIG, PAPER))
        mask = torch.zeros(1, 1, *model.image.shape[-2:]); mask[..., 40:80, 60:120] = 1
        tensors = {"reconstruction": trained.reconstruct(), "sample": sample(trained, 2, seed=3), "wide": sample(trained, 1, seed=4, start_scale=1, size=(30, 70)),
                   "paper": sample(paper, 1, seed=3), "weights": torch.cat([t.flatten() for t in trained.state_dict().values() if torch.is_tensor(t) and t.is_floating_point()])[::7],
                   "pretrained": sample(model, 1, seed=5)[..., ::3, ::3], "film": torch.cat([*animate(model, start_scale=1, frames=3, seed=6, size=(40, 60))]),
                   "harmonized": harmonize(model, -model.image, mask, start_scale=2, seed=7)[..., ::3, ::3]}
        return {name: t.contiguous() for name, t in tensors.items()}, {name: str(value) for name, value in circumstances(CONFIG, torch.device("cpu")).items()}
    finally: torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def both():
    with safe_open(GOLDEN, "pt") as file: return {name: file.get_tensor(name) for name in file.keys()}, file.metadata(), *made()   # noqa: SIM118 (the file is no dict)


@pytest.mark.parametrize("name", ["reconstruction", "sample", "wide", "paper", "weights", "pretrained", "film", "harmonized"])
def test_the_same_seeds_give_the_same_numbers(both, name):
    golden, there, now, here = both
    assert golden[name].shape == now[name].shape
    if here == there: assert torch.equal(golden[name], now[name])
    else: torch.testing.assert_close(now[name], golden[name], rtol=0, atol=.02)


if __name__ == "__main__":
    tensors, metadata = made()
    save_file(tensors, GOLDEN, metadata)
