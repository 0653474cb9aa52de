"""Train the models that come with the package, one for each bundled photograph, and store them in 16 bits.

    python scripts/make_pretrained.py --runs runs/pretrained [--max-size 250] [--device auto] [--threads 1] [NAME ...]

Each training can be interrupted and goes on when the command is repeated. Two such commands side by side, each with one
thread and its own half of the names, use two cores better than one command with two threads. `autumn` has more channels
and iterations than the others, and wants a GPU; there it took three and a half minutes, beside two other trainings.
"""
import argparse
from pathlib import Path

import torch

from singan_nb.all import Config, bundled_images, evaluate, frame, load_image, reconstruction_error, sample, train
from singan_nb.models import PRETRAINED

# Pictures of a few large things keep their layout with a coarsest scale of which one window sees most of the height.
# `autumn` was trained on a GPU with the preset `gpu`: 1000 iterations and up to 64 channels, which draw its strokes.
EXCEPTIONS = {"boats": dict(z_star="fixed", min_size=15), "autumn": dict(preset="gpu", z_star="fixed", min_size=15)}


def settings(name, max_size=250, **overrides):
    "The Config that a pretrained model is trained with: the preset `fast` unless its exceptions or `overrides` say otherwise."
    chosen = dict(preset="fast", max_size=max_size) | EXCEPTIONS.get(name, {}) | overrides
    return Config.preset(chosen.pop("preset"), **chosen)


def quality(model, number=50):
    "Scores of samples, and the error of the reconstruction."
    fakes = sample(model, number)
    scores = evaluate(model.image, fakes)
    return dict(sifid=round(scores["sifid"].mean().item(), 3), swd=round(scores["swd"].mean().item(), 4),
                diversity=round(scores["diversity"], 3), frame=round(frame(model.image, fakes).mean().item(), 3),
                rmse=round(reconstruction_error(model), 4), samples=number)


def make(name, config, run, folder, device="auto"):
    "Train one model, measure it, store it; returns the file."
    model = train(load_image(name), config, run, resume=True, device=device, source=name)
    model.record["quality"] = quality(model)
    return model.save(folder/f"{name}.safetensors", half=True), model


def main():
    names = [photo.name for photo in bundled_images()]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=names, metavar="NAME")
    parser.add_argument("--runs", type=Path, required=True, help="folder of the trainings")
    parser.add_argument("--out", type=Path, default=PRETRAINED, help="folder of the models; the package's by default")
    parser.add_argument("--max-size", type=int, default=250)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of the CPU")
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for name in given.names:
        file, model = make(name, settings(name, given.max_size), given.runs/name, given.out, given.device)
        print(f"{file.name}: {file.stat().st_size/2**20:.2f} MB, {model.record['quality']}", flush=True)


if __name__ == "__main__": main()
