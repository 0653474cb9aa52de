"""Train the models that come with the package, one for each bundled photograph, and store them in 16 bits.

    python scripts/make_pretrained.py --runs runs/pretrained [--max-size 128] [--device auto] [NAME ...]

Each training can be interrupted and goes on when the command is repeated. On a GPU, `--max-size 250` is the paper's size.
"""
import argparse
from pathlib import Path

from singan_nb.all import Config, bundled_images, evaluate, load_image, rmse, sample, train
from singan_nb.models import PRETRAINED

OPTIONS = dict(iters=1500, lr=1e-3, rec_weight=10.)
EXCEPTIONS = {"autumn": dict(lr=5e-4, z_star="fixed")}   # with a redrawn z* its tree is not reconstructed (RMSE .12)


def quality(model):
    "Scores of 50 samples, and the error of the reconstruction."
    scores = evaluate(model.image, sample(model, 50))
    return dict(sifid=round(scores["sifid"].mean().item(), 3), swd=round(scores["swd"].mean().item(), 4),
                diversity=round(scores["diversity"], 3), rmse=round(rmse(model.reconstruct(), model.image)/2, 4), samples=50)


def main():
    names = [photo.name for photo in bundled_images()]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=names, metavar="NAME")
    parser.add_argument("--runs", type=Path, required=True, help="folder of the trainings")
    parser.add_argument("--max-size", type=int, default=128)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    for name in given.names:
        config = Config.preset("fast", max_size=given.max_size, **OPTIONS | EXCEPTIONS.get(name, {}))
        model = train(load_image(name), config, given.runs/name, resume=True, device=given.device)
        model.record["quality"] = quality(model)
        file = model.save(PRETRAINED/f"{name}.safetensors", half=True)
        print(f"{file.name}: {file.stat().st_size/2**20:.2f} MB, {model.record['quality']}")


if __name__ == "__main__": main()
