"""Time from a request to the finished picture of the scales explorer, at 64 and at 250 pixels, as a table in JSON."""
import json
import os
import statistics
import sys
import time

import torch

from singan_nb.all import Config, Generator, Scale, SinGAN, init_weights, load_image, resize, seeded
from singan_nb.explore import Explorer, ScalesController, slider


def stand_in(longer_side):
    "A model of the paper's widths and sizes with random weights: as slow as a trained one."
    config, image = Config(max_size=longer_side), load_image("dunes")
    sizes = config.schedule(image.shape[-2:]).sizes
    model = SinGAN(resize(image, sizes[-1]).clamp(-1, 1))
    for k, size in enumerate(sizes): model.scales.append(Scale(init_weights(Generator(config.width_at(k)), seeded(0, k)), size, .05 if k else 1.))
    return model.eval().requires_grad_(False)


def median(control, requests):
    "Milliseconds in the middle: by the clock, and of the processor."
    clock, cpu = [], []
    for changes in requests:
        begin, begin_cpu = time.perf_counter(), time.process_time()
        control.answer(**changes)
        clock.append(time.perf_counter() - begin); cpu.append(time.process_time() - begin_cpu)
    return dict(clock_ms=round(1000*statistics.median(clock)), cpu_ms=round(1000*statistics.median(cpu)))


def measure(longer_side):
    model = stand_in(longer_side)
    control = ScalesController({"model": model})
    view = Explorer(control, {"seed": slider("seed", 0, 0, 99)}, 460)              # with the view: encoding counts
    last = len(model.scales) - 1
    row = dict(size=model.sizes[-1], scales=last + 1, new_seed=median(control, [dict(seed=i) for i in range(1, 12)]),
               finest_noise=median(control, [{f"other{last}": i} for i in range(1, 12)]))
    view.close()
    return row


if __name__ == "__main__":
    rows = [measure(side) for side in (64, 250)]
    print(json.dumps(dict(threads=torch.get_num_threads(), load=round(os.getloadavg()[0], 1), rows=rows), indent=1), file=open(sys.argv[1], "w") if len(sys.argv) > 1 else sys.stdout)
