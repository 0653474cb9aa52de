#!/usr/bin/env python3
"""Make singan_nb/inception/stem.safetensors: the first five convolutions of an ImageNet Inception-V3.

Run by hand, once; nothing in the package needs it afterwards:

    npm pack nsfwjs@4.2.1 && tar xzf nsfwjs-4.2.1.tgz
    python scripts/make_stem.py package PHOTOGRAPHS [--out singan_nb/inception]

`package` is the unpacked npm package (MIT licence): its dist/models/inception_v3 is an Inception-V3 trained on
ImageNet, whose last layers were trained anew and whose convolutions were left as they were; every tensor was
rounded to 8 bits. PHOTOGRAPHS is a folder of natural photographs (PNG or JPEG).

Kernels and the batch normalizations' offsets are taken as they are. The batch normalizations' means and variances
are measured anew, layer after layer, over the photographs: those of the first layer belong to inputs in [0, 1], and
rounding to 8 bits in equal steps is coarse for small variances, and a small variance is what a feature is divided by.

The file in the package was made from these 31 photographs:
  Debian's plasma-workspace-wallpapers 5.27.5 (LGPL-3): BytheWater, ColdRipple, ColorfulCups, DarkestHour,
    EveningGlow, FallenLeaf, Grey, Kite, OneStandsOut, Path, summer_1am, each in its largest size
  Debian's mate-backgrounds 1.26.0 (GPL-2+): the twelve JPEG files of nature/
  scikit-image's data: astronaut, coffee, chelsea, rocket, hubble_deep_field, motorcycle_left
  scikit-learn's datasets: china, flower
"""
import argparse
import base64
import math
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from singan_nb.files import SinGANError
from singan_nb.images import load_image, resize

#         name      stride padding pool before
LAYERS = {"conv_1a": (2, 0, False), "conv_2a": (1, 0, False), "conv_2b": (1, 1, False), "conv_3b": (1, 0, True), "conv_4a": (1, 0, False)}
TENSOR = re.compile(r'\{name:"([^"]+)",shape:\[([\de,]+)\],dtype:"float32",quantization:\{min:([-.\de]+),scale:([-.\de]+),dtype:"uint8"\}\}')


def read_tensors(folder):
    "Tensors of the npm package by name: (uint8 array, smallest value, step)."
    text = (folder/"model.min.js").read_text()
    names = re.search(r'weightsManifest:\[\{paths:\[([^]]+)\]', text)[1].replace('"', "").split(",")
    data = b"".join(base64.b64decode(re.search(r'exports="([\w+/=]+)"', (folder/f"{name}.min.js").read_text())[1]) for name in names)
    tensors, start = {}, 0
    for name, shape, low, step in TENSOR.findall(text[text.index("weightsManifest"):]):
        shape = [int(float(side)) for side in shape.split(",")]
        tensors[name] = np.frombuffer(data, np.uint8, math.prod(shape), start).reshape(shape), float(low), float(step)
        start += math.prod(shape)
    if start != len(data): sys.exit(f"the weights hold {len(data)} bytes, {start} were expected: is this nsfwjs 4.2.1?")
    return tensors


def read_photographs(folder, side=320):
    "Photographs and their mirror images, the shorter side resized to `side` pixels."
    photographs = []
    for path in sorted(folder.iterdir()):
        try: image = load_image(path)
        except SinGANError as error: print(f"left out: {error}"); continue
        factor = side/min(image.shape[-2:])
        image = resize(image, [round(s*factor) for s in image.shape[-2:]]).clamp(-1, 1)
        photographs.append(torch.cat([image, image.flip(-1)]))
    print(f"{len(photographs)} photographs")
    return photographs


@torch.no_grad()
def calibrate(tensors, photographs):
    "The file's tensors; means and variances of each layer are measured with the layers before it already calibrated."
    stem, x = {}, photographs
    for i, (name, (stride, padding, pool)) in enumerate(LAYERS.items(), 1):
        levels, low, step = tensors[f"conv2d_{i}/kernel"]
        levels = torch.from_numpy(levels.transpose(3, 2, 0, 1).copy())                     # (out, in, 3, 3)
        if pool: x = [F.max_pool2d(image, 3, 2) for image in x]
        x = [F.conv2d(image, levels*step + low, None, stride, padding) for image in x]
        mean = torch.stack([image.mean((0, 2, 3)) for image in x]).mean(0)                 # each photograph counts the same
        variance = torch.stack([image.square().mean((0, 2, 3)) for image in x]).mean(0) - mean**2
        levels_b, low_b, step_b = tensors[f"batch_normalization_{i}/beta"]
        offset = torch.from_numpy(levels_b*step_b + low_b).float()
        report(name, tensors, i, mean, variance)
        x = [torch.relu((image - mean[:, None, None])/(variance[:, None, None] + 1e-3).sqrt() + offset[:, None, None]) for image in x]
        stem |= {f"{name}.levels": levels, f"{name}.range": torch.tensor([low, step]), f"{name}.mean": mean, f"{name}.variance": variance, f"{name}.offset": offset}
    return {key: value.contiguous() for key, value in stem.items()}


def report(name, tensors, i, mean, variance):
    "Compare what was measured with what the package has."
    old = {key: values*step + low for key in ("mean", "variance") for values, low, step in [tensors[f"batch_normalization_{i}/moving_{key}"]]}
    step = tensors[f"batch_normalization_{i}/moving_variance"][2]
    r_mean, r_deviation = np.corrcoef(mean, old["mean"])[0, 1], np.corrcoef(variance.sqrt(), np.sqrt(old["variance"]))[0, 1]
    print(f"{name}: means correlate {r_mean:.3f}, deviations {r_deviation:.3f}; {(old['variance'] < step).sum()} of {len(mean)} variances below one step of 8 bits ({step:.4f}); "
          f"measured {variance.min():.4g} to {variance.max():.4g}, package {old['variance'].min():.4g} to {old['variance'].max():.4g}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=Path, help="the unpacked npm package nsfwjs 4.2.1")
    parser.add_argument("photographs", type=Path, help="folder of natural photographs")
    parser.add_argument("--out", type=Path, default=Path("singan_nb/inception"))
    given = parser.parse_args()
    tensors = read_tensors(given.package/"dist"/"models"/"inception_v3")
    stem = calibrate(tensors, read_photographs(given.photographs))
    given.out.mkdir(parents=True, exist_ok=True)
    save_file(stem, given.out/"stem.safetensors", {"source": "npm package nsfwjs 4.2.1 (MIT), statistics measured anew by scripts/make_stem.py"})
    (given.out/"stem.safetensors").chmod(0o644)
    shutil.copy(given.package/"LICENSE", given.out/"LICENSE.txt")
    print(f"wrote {given.out/'stem.safetensors'}")


if __name__ == "__main__": main()
