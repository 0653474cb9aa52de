"""Search the hyperparameters of a preset: train variants of it at full size, measure them, keep a table and a sheet of each.

    python scripts/search_presets.py --out results/search.json --runs runs/search \
        [--variants base,official border] [--photographs dunes,boats,forest] [--seeds 0,1] [--max-size 250]

Every training can be interrupted and goes on when the command is repeated; what the table holds is not trained again.
Several processes may share the same --out: each takes the next combination that no other one works on.
"""
import argparse
import json
import time
from pathlib import Path
from statistics import mean

from filelock import FileLock, Timeout

from singan_nb.all import Config, bundled_images, evaluate, frame, images_grid, load_image, reconstruction_error, sample, save_image, train
from singan_nb.bench import machine_name
from singan_nb.config import PRESETS
from singan_nb.devices import pick_device
from singan_nb.files import atomic_write

BASE = PRESETS["fast"]                  # three critic and three generator steps in an iteration
VARIANTS = {
    "base": {},
    "official border": dict(critic_border="none"),
    "reflected border": dict(critic_border="reflect"),
    "1 + 1 steps, 600": dict(critic_steps=1, generator_steps=1, iters=600),
    "2 + 2 steps, 450": dict(critic_steps=2, generator_steps=2, iters=450),
    "5 + 5 steps, 180": dict(critic_steps=5, generator_steps=5, iters=180),
    "penalty in every step": dict(gp_every=1),
    "600 iterations": dict(iters=600),
    "windows of 96": dict(crop=96),
    "widths to 64": dict(max_width=64),
    "width 24": dict(width=24, max_width=24),
    "z* fixed": dict(z_star="fixed"),
    "coarsest of 15 pixels": dict(min_size=15),
    "coarsest of 15 pixels and z* fixed": dict(min_size=15, z_star="fixed"),
    "coarsest of 20 pixels and z* fixed": dict(min_size=20, z_star="fixed"),
    "alpha 10": dict(rec_weight=10.),
    "noise not tuned": dict(tune_noise=False),
    "noise weight 0.3, not tuned": dict(noise_weight=.3, tune_noise=False),
    "no critic norm": dict(critic_norm=False),
    "learning rate 1e-3": dict(lr=1e-3),
    "factor 0.65": dict(scale_factor=.65),
}


def measured(model, number):
    "Scores of samples, and the pictures of the sheet."
    fakes = sample(model, number, seed=0)
    scores = evaluate(model.image, fakes)
    row = dict(sifid=scores["sifid"].mean().item(), swd=scores["swd"].mean().item(), diversity=scores["diversity"],
               frame=frame(model.image, fakes).mean().item(), rmse=reconstruction_error(model))
    return row, [model.image, model.reconstruct().clamp(-1, 1), *fakes[:4, None]]


def work(given, job):
    "Train and measure one combination, and add it to the table."
    photograph, variant, seed = job
    folder = given.runs/f"{photograph}_{variant.replace(' ', '_')}_{seed}"
    trial = {} if given.iters is None else dict(iters=given.iters)
    config = Config(**BASE | VARIANTS[variant] | trial, max_size=given.max_size, seed=seed)
    worked = time.process_time()
    model = train(load_image(photograph), config, folder, resume=True, device=given.device)
    row, pictures = measured(model, given.number)
    row = dict(photograph=photograph, variant=variant, seed=seed, max_size=given.max_size,
               seconds=sum(model.record["seconds"]), cpu_seconds=time.process_time() - worked) | row
    captions = ["photograph", "reconstruction"] + [f"{variant}, seed {seed}"]*4
    save_image(images_grid(pictures, captions, 3, height=250), given.out.with_suffix("")/f"{folder.name}.jpg")
    with FileLock(f"{given.out}.lock"):
        table = read(given)
        table["rows"].append(row)
        with atomic_write(given.out) as file: file.write_text(json.dumps(table, indent=1))


def read(given):
    "The table, or a new one."
    if given.out.exists(): return json.loads(given.out.read_text())
    return dict(machine=machine_name(pick_device(given.device)), base=BASE, samples=given.number, rows=[])


def jobs(given):
    "Combinations that the table does not hold and no other process works on; each is held while it is given out."
    for seed in map(int, given.seeds.split(",")):
        for variant in given.variants.split(","):
            for photograph in given.photographs.split(","):
                done = {(row["photograph"], row["variant"], row["seed"]) for row in read(given)["rows"]}
                name = f"{photograph}_{variant.replace(' ', '_')}_{seed}"
                if (photograph, variant, seed) in done: continue
                given.runs.mkdir(parents=True, exist_ok=True)
                try:
                    with FileLock(given.runs/f"{name}.lock", blocking=False): yield photograph, variant, seed
                except Timeout: continue


def report(rows):
    "A line for each variant, the means over photographs and seeds."
    print(f"{'variant':30} {'rows':>4} {'SIFID':>7} {'SWD':>7} {'diversity':>9} {'frame':>6} {'CPU s':>6}")
    for variant in dict.fromkeys(row["variant"] for row in rows):
        own = [row for row in rows if row["variant"] == variant]
        sifid, swd, diversity, edge, seconds = (mean(row[name] for row in own)
                                                for name in ("sifid", "swd", "diversity", "frame", "cpu_seconds"))
        print(f"{variant:30} {len(own):4} {sifid:7.3f} {swd:7.4f} {diversity:9.2f} {edge:6.2f} {seconds:6.0f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the table (.json); sheets go into a folder of its name")
    parser.add_argument("--runs", type=Path, required=True, help="folder of the trainings")
    parser.add_argument("--variants", default=",".join(VARIANTS), help="names, with commas")
    parser.add_argument("--photographs", default="dunes,boats,forest")
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--max-size", type=int, default=250)
    parser.add_argument("--iters", type=int, help="iterations of each scale, for a trial; the variant's by default")
    parser.add_argument("-n", "--number", type=int, default=20, help="samples measured")
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    unknown = set(given.variants.split(",")) - set(VARIANTS)
    if unknown: parser.error(f"unknown variants {', '.join(sorted(unknown))}; there are {', '.join(VARIANTS)}")
    missing = set(given.photographs.split(",")) - {photo.name for photo in bundled_images()}
    if missing: parser.error(f"{', '.join(sorted(missing))}: no bundled photographs")
    for job in jobs(given): work(given, job)
    report(read(given)["rows"])


if __name__ == "__main__": main()
