"""Train, sample and apply in one process for a long time, and record memory, open files and threads.

    python scripts/long_run.py --minutes 60 --out results/long_run.json

The first tenth of the time is warming up. Memory that grows afterwards by more than a twentieth, or one more open
file or thread at the end than after the warming up, ends with exit code 1.
"""
import argparse
import gc
import json
import os
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from singan_nb.all import (Config, animate, edit, harmonize, load_image, paint_to_image, sample, save_image, sifid, SinGAN,
                           super_resolve, train)
from singan_nb.images import atomic_write
from singan_nb.bench import machine_name


def state(begun, rounds):
    "What this process holds now."
    gc.collect()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return dict(minute=round((time.monotonic() - begun)/60, 2), rounds=rounds, memory_mb=round(int(status["VmRSS"].split()[0])/2**10, 1),
                files=len(os.listdir("/proc/self/fd")), threads=int(status["Threads"]), python_threads=threading.active_count())


def one_round(image, seed, folder):
    "A training with a run folder, resumed once it is finished, and every way to use the model."
    config = Config.preset("class", max_size=48, iters=40, seed=seed)
    run = folder/"run"
    train(image, config, run, progress=False)
    model = train(image, config, run, resume=True, progress=False)
    mask = torch.zeros(1, 1, *model.sizes[-1]); mask[..., 8:20, 8:24] = 1
    sifid(model.image, sample(model, 4, seed=seed))
    sample(model, 1, size=(60, 200), seed=seed)
    paint_to_image(model, model.image.round(), scale=1); edit(model, model.image, mask, scale=1); harmonize(model, model.image, mask, scale=1)
    for _ in animate(model, start_scale=1, frames=4): pass
    super_resolve(image[..., :40, :40], 2, Config.preset("fast", iters=5, seed=seed), progress=False)
    save_image(model.reconstruct(), folder/"picture.png"); load_image(folder/"picture.png")
    SinGAN.load(model.save(folder/"model.safetensors"))


def main():
    "Go round until the time is over; the file is written anew each minute."
    parse = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parse.add_argument("--minutes", type=float, default=60)
    parse.add_argument("--out", type=Path, default=Path("results/long_run.json"))
    given = parse.parse_args()
    begun, rounds, image = time.monotonic(), 0, load_image("dunes")
    about = dict(machine=machine_name(torch.device("cpu")), torch=torch.__version__, begun=datetime.now(timezone.utc).isoformat(timespec="seconds"))
    rows = []
    while time.monotonic() - begun < 60*given.minutes or rounds < 3:
        with TemporaryDirectory() as folder: one_round(image, rounds, Path(folder))
        rounds += 1
        if rows and time.monotonic() - begun - 60*rows[-1]["minute"] < min(60, 6*given.minutes/3): continue
        rows.append(state(begun, rounds))
        print(rows[-1], flush=True)
        result = verdict(rows)
        with atomic_write(given.out) as file: file.write_text(json.dumps(about | dict(minutes=rows[-1]["minute"], **result, rows=rows), indent=1) + "\n")
    raise SystemExit(0 if result["steady"] else 1)


def verdict(rows):
    "Did anything grow after the warming up?"
    warm = rows[len(rows)//10 + (len(rows) > 1)] if len(rows) > 2 else rows[0]
    last = rows[-1]
    growth = dict(memory_mb=round(last["memory_mb"] - warm["memory_mb"], 1), files=last["files"] - warm["files"], threads=last["threads"] - warm["threads"])
    steady = growth["memory_mb"] < .05*warm["memory_mb"] and growth["files"] <= 0 and growth["threads"] <= 0
    return dict(rounds=last["rounds"], growth=growth, steady=steady)


main()
