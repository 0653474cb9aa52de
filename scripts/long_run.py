"""Train, sample and apply in one process for a long time, open and close each explorer, and record memory, open files and threads.

    python scripts/long_run.py --minutes 60 --explorers 300 --out results/long_run.json

`--minutes 0` opens and closes the explorers alone, and leaves the rest of the record as it was. The first tenth of the time or of the cycles is warming up. Memory that grows afterwards by more than a twentieth, or one more open
file or thread at the end than after the warming up, ends with exit code 1.
"""
import argparse
import gc
import json
import os
import threading
import time
import weakref
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from singan_nb.all import Config, SinGAN, animate, edit, harmonize, load_image, paint_to_image, sample, save_image, sifid, super_resolve, train
from singan_nb.bench import machine_name
from singan_nb.files import atomic_write


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
    paint_to_image(model, model.image.round(), start_scale=1); edit(model, model.image, mask, start_scale=1); harmonize(model, model.image, mask, start_scale=1)
    for _ in animate(model, start_scale=1, frames=4): pass
    super_resolve(image[..., :40, :40], 2, Config.preset("fast", iters=5, seed=seed), progress=False)
    save_image(model.reconstruct(), folder/"picture.png"); load_image(folder/"picture.png")
    SinGAN.load(model.save(folder/"model.safetensors"))


def one_cycle(explore, model, image):
    "Each explorer opened, moved and closed; returns weak references to their controllers."
    opened = [explore.explore_scales(model), explore.explore_pyramid(image), explore.explore_superres(image, iters=1), explore.explore_animation(model), explore.explore_critic(model, 2, 1),
              explore.explore_paint(model), explore.explore_edit(model), explore.explore_training(image)]
    kept = [weakref.ref(view.controller) for view in opened]
    for view in opened:
        control = next(iter(view.controls.values()))
        if hasattr(control, "min"): control.value = control.min
        view.close()
    return kept


def explorers(cycles, begun):
    "Memory, files, threads, open widgets and controllers that live on; ten times on the way a dictionary for the record."
    from ipywidgets.widgets.widget import _instances

    from singan_nb import explore
    image = load_image("dunes")[..., :40, :60]
    model, rows, kept = train(image, Config.preset("class", max_size=40, iters=1), progress=False), [], []
    for cycle in range(1, cycles + 1):
        kept += one_cycle(explore, model, image)
        if cycle % max(1, cycles//10): continue
        rows.append(state(begun, cycle) | dict(widgets=len(_instances), controllers=sum(ref() is not None for ref in kept)))
        print(rows[-1], flush=True)
        result = verdict(rows)
        yield result | dict(steady=result["steady"] and rows[-1]["controllers"] == 0 and rows[-1]["widgets"] == rows[0]["widgets"], rows=rows)


def main():
    "Go round until the time is over, then open and close the explorers; the file is written anew each minute."
    parse = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parse.add_argument("--minutes", type=float, default=60)
    parse.add_argument("--explorers", type=int, default=300, help="times that each explorer is opened and closed")
    parse.add_argument("--out", type=Path, default=Path("results/long_run.json"))
    given = parse.parse_args()
    begun, rounds, image, steady = time.monotonic(), 0, load_image("dunes"), True
    about = dict(machine=machine_name(torch.device("cpu")), torch=torch.__version__, begun=datetime.now(timezone.utc).isoformat(timespec="seconds"))
    record = json.loads(given.out.read_text()) if given.out.exists() else {}
    rows = []
    while given.minutes and (time.monotonic() - begun < 60*given.minutes or rounds < 3):
        with TemporaryDirectory() as folder: one_round(image, rounds, Path(folder))
        rounds += 1
        if rows and time.monotonic() - begun - 60*rows[-1]["minute"] < min(60, 6*given.minutes/3): continue
        rows.append(state(begun, rounds))
        print(rows[-1], flush=True)
        result = verdict(rows)
        record |= about | dict(minutes=rows[-1]["minute"], **result, rows=rows)
        write(record, given.out)
        steady = result["steady"]
    for result in explorers(given.explorers, begun):
        record["explorers"] = about | result
        write(record, given.out)
    raise SystemExit(0 if steady and (not given.explorers or result["steady"]) else 1)


def write(record, path):
    with atomic_write(path) as file: file.write_text(json.dumps(record, indent=1) + "\n")


def verdict(rows):
    "Did anything grow after the warming up?"
    warm = rows[len(rows)//10 + (len(rows) > 1)] if len(rows) > 2 else rows[0]
    last = rows[-1]
    growth = dict(memory_mb=round(last["memory_mb"] - warm["memory_mb"], 1), files=last["files"] - warm["files"], threads=last["threads"] - warm["threads"])
    steady = growth["memory_mb"] < .05*warm["memory_mb"] and growth["files"] <= 0 and growth["threads"] <= 0
    return dict(rounds=last["rounds"], growth=growth, steady=steady)


if __name__ == "__main__": main()
