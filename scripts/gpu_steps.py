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
from singan_nb.all import (
    Config,
    FastTrainer,
    SinGANError,
    images_grid,
    load_image,
    machine_name,
    measure_all,
    open_results,
    pace,
    peak_memory,
    pick_device,
    pick_precision,
    reset_peak,
    resize,
    sample,
    save_image,
    train,
)
from singan_nb.files import atomic_write

ROOT = Path(__file__).resolve().parent.parent
TINY = dict(max_size=36, min_size=18, width=4, max_width=4, layers=2, iters=3, critic_steps=1, generator_steps=1, gp_every=1)   # for the rehearsal
PHOTOGRAPH = "dunes"                                                          # on which the times are measured


def eager(*args, crop=250, **options):
    "The same trainer without CUDA graphs."
    return FastTrainer(*args, crop=crop, graph=False, **options)


class Step:
    "What a step was told, and the rows that it has found."
    def __init__(self, name, given):
        self.name, self.out, self.device = name, given.out, given.device
        self.seconds, self.until, self.rehearse = given.seconds, given.until, given.rehearse
        self.iterations = 1 if given.rehearse else 8                            # timed at each scale
        self.rows = []

    def left(self) -> float: # seconds
        return self.until - time.time()

    def used(self) -> float: # seconds since the process was started
        return self.seconds - self.left()

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
    "A few iterations of the models' settings at every scale, and a short training: does it run, and how long would a model take?"
    from make_pretrained import settings
    torch.nn.Conv2d(3, 3, 3).to(step.device)(torch.zeros(1, 3, 8, 8, device=step.device)).sum().item()
    started, config = step.used(), step.config(settings(PHOTOGRAPH, preset="gpu"))
    step.attempt(dict(what="pace", photograph=PHOTOGRAPH, iters=config.iters, started=started), pace, PHOTOGRAPH, config, step.device, iterations=step.iterations)
    step.attempt(dict(what="short training", photograph=PHOTOGRAPH, iters=16), short_training, step, replace(config, iters=16))


def short_training(step, config) -> dict:
    "Seconds of a training, of the measuring afterwards, and the SIFID."
    from make_pretrained import quality
    begun = time.perf_counter()
    model = train(load_image(PHOTOGRAPH), config, device=step.device, progress=False)
    trained = time.perf_counter()
    scores = quality(model, 4 if step.rehearse else 50)
    return dict(seconds=trained - begun, measuring=time.perf_counter() - trained, scales=len(model.scales), sifid=scores["sifid"])


def expected_seconds(rows, name, config) -> float: # None if the rows do not tell
    """Time of a model's step by the rows of the step smoke: the start of a process, what each scale costs whatever its iterations are
    (those before a graph, recording it, the next scale's first bases), the iterations, and twice the measuring, for a sheet of samples."""
    if len(rows) < 2 or "expected" not in rows[0] or "seconds" not in rows[1]: return None
    paced, short = rows
    each = paced["expected"]/paced["iters"]/short["scales"]                     # of an iteration, mean over the scales
    extra = max(0, short["seconds"]/short["scales"] - short["iters"]*each)
    sizes = config.schedule(load_image(name).shape[-2:]).sizes
    larger = sizes[-1][0]*sizes[-1][1]/(paced["height"]*paced["width"])
    return paced["started"] + len(sizes)*(extra + config.iters*each) + 2*short["measuring"]*larger


def model(step, name):
    "One photograph's model by the preset `gpu`, and its quality; what an earlier run began goes on."
    from make_pretrained import settings
    config, run, file = step.config(settings(name, preset="gpu")), step.out/"runs"/f"{name}_gpu", step.out/"smoke.json"
    expected = expected_seconds(json.loads(file.read_text())["rows"] if file.exists() else [], name, config)
    if expected and not run.exists() and 1.15*expected > step.seconds:
        raise SinGANError(f"it takes about {expected:.0f} s, and there are {step.seconds:.0f} s for it")
    step.attempt(dict(photograph=name, preset="gpu", iters=config.iters, expected=expected and round(expected, 1)), pretrained, step, name, config, run)


def pretrained(step, name, config, run) -> dict:
    "Train and save a model, then measure it and save it with its quality; a sheet of samples to look at."
    from make_pretrained import quality
    reset_peak(pick_device(step.device)); row = step.rows[-1]
    model = train(load_image(name), config, run, resume=True, device=step.device, progress=False, source=name)
    row |= dict(seconds=round(sum(model.record["seconds"]), 1), scales=len(model.scales), height=model.sizes[-1][0],
                width=model.sizes[-1][1], memory=peak_memory(model.device))
    file = model.save(step.out/"models"/f"{name}.safetensors", half=True)
    row["mb"] = round(file.stat().st_size/2**20, 2); step.write()
    pictures = [model.image, model.reconstruct().clamp(-1, 1), *sample(model, 4, seed=1)[:, None]]
    save_image(images_grid(pictures, ["photograph", "reconstruction"] + ["sample"]*4, columns=3), file.with_suffix(".jpg"))
    model.record["quality"] = quality(model, 4 if step.rehearse else 50)
    model.save(file, half=True)
    return model.record["quality"]


def paper(step, name):
    "`paper` in full, as `singan quality` does it; quality_cuda.json and its folder can be kept among the project's results."
    config = step.config(Config.preset("paper", max_size=250))
    step.attempt(dict(photograph=name, preset="paper", iters=config.iters), in_full, step, name, config)


def in_full(step, name, config) -> dict:
    "What was measured from start scale 0 and 1, without what is nested in it; a training that was killed goes on."
    device = pick_device(step.device)
    file = step.out/f"quality_{device.type}.json"
    results = open_results(file, machine_name(device))
    reset_peak(device)
    measure_all(file, results, [name], configs={("paper", config.seed): config}, number=4 if step.rehearse else 50, device=step.device, runs=step.out/"runs")
    row = next(row for row in results["rows"] if row["photograph"] == name)
    found = {f"{score}_{k}": start[score] if score == "diversity" else start[score]["mean"]
             for k, start in enumerate(row["starts"]) for score in ("sifid", "swd", "diversity")}
    return {key: row[key] for key in ("precision", "seconds", "scales", "height", "width", "rmse")} | found | dict(memory=peak_memory(device))


def bench(step):
    "Time of an iteration at each scale: CUDA graphs on and off, two presets, three precisions."
    for graph, preset, precision in product((True, False), ("gpu", "paper"), ("bf16", "tf32", "fp32")):
        config = step.config(Config.preset(preset, max_size=250, precision=precision))
        step.attempt(dict(preset=preset, graph=graph, precision=precision, iters=config.iters),
                     pace, PHOTOGRAPH, config, step.device, iterations=step.iterations, trainer=FastTrainer if graph else eager)


def sizes(step):
    "Time for large images: a bundled photograph, enlarged by bicubic interpolation, which serves for timing only."
    image, tasks = load_image(PHOTOGRAPH), []
    h, w = image.shape[-2:]
    with tempfile.TemporaryDirectory() as folder:
        for size in (30, 36) if step.rehearse else (512, 1024):
            path = save_image(resize(image, (round(h*size/w), size)).clamp(-1, 1), Path(folder)/f"{size}.png")
            config = step.config(Config.preset("gpu"), max_size=size)
            row = dict(preset="gpu", max_size=size, iters=config.iters, image="enlarged, for timing only")
            tasks.append((step.attempt(row, pace, str(path), config, step.device, iterations=step.iterations), path, config))
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
    parser.add_argument("step", help="machine, smoke, paper_NAME, model_NAME, bench, sizes or tests")
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
