"""What a type checker makes of the package. `make lint` has mypy read this file; nothing runs it."""
from pathlib import Path
from typing import assert_type

import torch

import singan_nb
from singan_nb import Config, SinGAN, sample
from singan_nb.all import sifid, white_noise

image = singan_nb.load_image(Path("photo.jpg"))
assert_type(image, torch.Tensor)

model = singan_nb.train(image, Config.preset("class", iters=20), out=None, device="cpu")       # None where a parameter has it as default
assert_type(model, SinGAN)
assert_type(singan_nb.SinGAN.load("dunes"), SinGAN)

sample(model, 4, seed=1, size=None)
singan_nb.animate(model, start_scale=None, frames=10)                                          # the function, not the module of its name
singan_nb.retarget(model, (100, 300))
sifid(image, image)
white_noise((10, 10), 1, False)

# mistakes that must be found: mypy complains of an ignored line that has no mistake
str(singan_nb.sampel)                                                                          # type: ignore[attr-defined]
sample(model, samples=4)                                                                       # type: ignore[call-arg]
