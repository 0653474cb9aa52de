"""One step of scripts/gpu.py, in a process of its own; each result is written as soon as it exists."""
import argparse
import faulthandler
import gc
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch

from run_tests import run_file
from singan_nb import __version__
from singan_nb.all import (Config, FastTrainer, SinGANError, bench_all, evaluate, images_grid, load_image, machine_name, open_results,
                           pace, peak_memory, pick_device, pick_precision, reset_peak, resize, sample, save_image, schedule, train)
from singan_nb.images import atomic_write

ROOT = Path(__file__).resolve().parent.parent
TINY = dict(max_size=36, min_size=18, width=4, max_width=4, layers=2, iters=3, critic_steps=1, generator_steps=1, gp_every=1)   # for the rehearsal
PHOTOGRAPH = "dunes"                                                          # on which the times are measured


class Eager(FastTrainer):
    "The same training without CUDA graphs."
    def __init__(self, *args, **options): super().__init__(*args, graph=False, **options)


class Step:
    "What a step was told, and the rows that it has found."
    def __init__(self, name, given):
        self.name, self.out, self.device = name, given.out, given.device
        self.seconds, self.until, self.rehearse = given.seconds, given.until, given.rehearse
        self.iterations = 1 if given.rehearse else 8                            # timed at each scale
        self.rows = []

    def left(self) -> float: # seconds
        return self.until - time.time()

    def config(self, config:Config, **changes) -> Config:
        "A configuration as the step should use it: much smaller in a rehearsal."
        return replace(config, **(TINY if self.rehearse else {}) | changes)

    def attempt(self, row:dict, work, *arguments, **options) -> dict: # the row
        "Add what `work` returns, a dict, to a row, or its error; the step's file is written before and after."
        gc.collect()                                                          # a trainer with a graph refers to itself
        if not any(row is each for each in self.rows): self.rows.append(row)
        self.write()
        try: row |= work(*arguments, **options)
        except Exception as error:
            traceback.print_exc()
            row["error"] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        self.write()
        return row

    def write(self, rows:list=None):
        if rows is not None: self.rows = rows
        with atomic_write(self.out/f"{self.name}.json") as file: file.write_text(json.dumps(dict(step=self.name, rows=self.rows), indent=1))


def machine(step):
    "Names and versions, to compare with other machines."
    device = pick_device(step.device)
    row = dict(device=machine_name(device), torch=torch.__version__, python=platform.python_version(), singan_nb=__version__,
               cpus=os.cpu_count(), precision=pick_precision("auto", device), system=platform.platform())
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        row |= dict(driver=driver(), cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version(),
                    capability=f"{about.major}.{about.minor}", memory_gb=round(about.total_memory/2**30, 1))
    step.write([row])


def driver() -> str:
    "Version of the NVIDIA driver."
    if not shutil.which("nvidia-smi"): return "unknown"
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    return done.stdout.split("\n")[0].strip() or "unknown"


def smoke(step):
    "A few iterations of the pretrained models' settings at every scale: does it run, and how long would all of them take?"
    from make_pretrained import settings
    config = step.config(settings(PHOTOGRAPH))
    step.attempt(dict(what="pace", photograph=PHOTOGRAPH, iters=config.iters), pace, PHOTOGRAPH, config, step.device, step.iterations)
    step.attempt(dict(what="short training", photograph=PHOTOGRAPH, iters=16), short_training, replace(config, iters=16), step.device)


def short_training(config, device) -> dict:
    "Train, sample and measure."
    begun = time.perf_counter()
    model = train(load_image(PHOTOGRAPH), config, device=device, progress=False)
    return dict(seconds=time.perf_counter() - begun, scales=len(model.scales), sifid=evaluate(model.image, sample(model, 4, seed=0))["sifid"].mean().item())


def pixels(name, config) -> int:
    "Pixels of a photograph at the finest scale."
    h, w = schedule(load_image(name).shape[-2:], config.max_size, config.min_size, config.scale_factor).sizes[-1]
    return h*w


def expected_seconds(step, name, config) -> tuple: # seconds of the first 16 iterations, seconds of each one after them
    "Time of a training at all scales, from what the step smoke measured, or measured here."
    file = step.out/"smoke.json"
    paced, short = ((json.loads(file.read_text())["rows"] if file.exists() else []) + [{}, {}])[:2]
    if "seconds" not in short or "expected" not in paced: return 5., pace(name, config, step.device)["expected"]/config.iters
    return short["seconds"], paced["expected"]/paced["iters"]*max(1, pixels(name, config)/pixels(PHOTOGRAPH, config))


def affordable(iters, first, each, budget) -> int: # at most iters
    "Iterations of each scale that fit into a budget of seconds. Raises `SinGANError` if they are not worth it."
    fitting = min(iters, int((budget - first)/(1.1*each)))
    if fitting >= min(20, iters): return fitting
    raise SinGANError(f"a training takes {first + iters*each:.0f} s, and there are {max(0, budget):.0f} s for it")


def model(step, name):
    "One pretrained model and its quality; fewer iterations where the time does not suffice."
    from make_pretrained import settings
    config = step.config(settings(name, iters=1000))      # a CPU does with 300
    (first, each), budget = expected_seconds(step, name, config), step.left() - .2*step.seconds      # the rest is for the scores
    iters = affordable(config.iters, first, each, budget)
    row = dict(photograph=name, iters=iters, settings_iters=config.iters, expected=round(first + iters*each, 1))
    step.attempt(row, pretrained, step, row, replace(config, iters=iters))


def pretrained(step, row, config) -> dict:
    "Train and save a model, then measure it and save it with its quality; a sheet of samples to look at."
    from make_pretrained import quality
    reset_peak(pick_device(step.device)); begun = time.perf_counter()
    model = train(load_image(row["photograph"]), config, device=step.device, progress=False, source=row["photograph"])
    row |= dict(seconds=round(time.perf_counter() - begun, 1), scales=len(model.scales), height=model.sizes[-1][0],
                width=model.sizes[-1][1], memory=peak_memory(model.device))
    file = model.save(step.out/"models"/f"{row['photograph']}.safetensors", half=True)
    row["mb"] = round(file.stat().st_size/2**20, 2); step.write()
    pictures = [model.image, model.reconstruct().clamp(-1, 1), *sample(model, 4, seed=1)[:, None]]
    save_image(images_grid(pictures, ["photograph", "reconstruction"] + ["sample"]*4, columns=3), file.with_suffix(".jpg"))
    model.record["quality"] = quality(model, 4 if step.rehearse else 50)
    model.save(file, half=True)
    return model.record["quality"]


def bench(step):
    "Time of an iteration at each scale: CUDA graphs on and off, two presets, three precisions."
    for graph, preset, precision in product((True, False), ("gpu", "paper"), ("bf16", "tf32", "fp32")):
        config = step.config(Config.preset(preset, max_size=250, precision=precision))
        step.attempt(dict(preset=preset, graph=graph, precision=precision, iters=config.iters),
                     pace, PHOTOGRAPH, config, step.device, step.iterations, FastTrainer if graph else Eager)


def trainings(step):
    "Whole trainings as `singan bench` does them, where the time allows; bench_cuda.json can be kept among the project's results."
    for preset in ("gpu", "paper"):
        config = step.config(Config.preset(preset, max_size=250))
        step.attempt(dict(preset=preset, photograph=PHOTOGRAPH, iters=config.iters), whole, step, preset, config)


def whole(step, preset, config) -> dict:
    "One row of the benchmark, without what is nested in it."
    device = pick_device(step.device)
    file = step.out/f"bench_{device.type}.json"
    results = open_results(file, machine_name(device))
    bench_all(file, results, [PHOTOGRAPH], [(preset, config)], .5*step.left(), step.device)
    row = next(row for row in results["rows"] if row["preset"] == preset)
    names = ("precision", "seconds", "memory", "sifid", "swd", "diversity", "rmse")
    return dict(expected=row["pace"]["expected"]) | {name: row[name] for name in names if name in row}


def sizes(step):
    "Time for large images: a bundled photograph, enlarged by bicubic interpolation, which serves for timing only."
    image, tasks = load_image(PHOTOGRAPH), []
    h, w = image.shape[-2:]
    with tempfile.TemporaryDirectory() as folder:
        for size in (30, 36) if step.rehearse else (512, 1024):
            path = save_image(resize(image, (round(h*size/w), size)).clamp(-1, 1), Path(folder)/f"{size}.png")
            config = step.config(Config.preset("gpu"), max_size=size)
            row = dict(preset="gpu", max_size=size, iters=config.iters, image="enlarged, for timing only")
            tasks.append((step.attempt(row, pace, str(path), config, step.device, step.iterations), path, config))
        for row, path, config in tasks:
            if 1.3*row.get("expected", float("inf")) < step.left(): step.attempt(row, timed, path, config, step.device)


def timed(path, config, device) -> dict: # seconds and peak memory in MB
    "Time and memory of a whole training."
    reset_peak(pick_device(device)); begun = time.perf_counter()
    model = train(load_image(path), config, device=device, progress=False)
    return dict(seconds=round(time.perf_counter() - begun, 1), training_memory=peak_memory(model.device))


def tests(step):
    "What must hold on a GPU; without pytest."
    run_file(ROOT/"tests"/"test_gpu.py", step.write)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", help="machine, smoke, model_NAME, bench, trainings, sizes or tests")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--seconds", type=float, required=True, help="time limit")
    parser.add_argument("--until", type=float, required=True, help="its end, in seconds since 1970")
    parser.add_argument("--rehearse", action="store_true")
    given = parser.parse_args()
    faulthandler.dump_traceback_later(max(.1, given.until - time.time() - .5))            # where a step that hangs stood
    step, (kind, *names) = Step(given.step, given), given.step.split("_", 1)
    try: globals()[kind](step, *names)
    except SinGANError as error: print(error, file=sys.stderr); sys.exit(2)
    failed = [row for row in step.rows if "error" in row or row.get("outcome") == "failed"]
    if failed: sys.exit(f"{len(failed)} of {len(step.rows)} failed: {failed[0].get('error') or failed[0]['message']}")


if __name__ == "__main__": main()
