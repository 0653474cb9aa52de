"""Small things that several tests need."""
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from singan_nb.all import Config, Generator, Scale, SinGAN, init_weights, load_image, seeded, train, white_noise

TINY = dict(max_size=48, min_size=18, width=8, iters=6)


@pytest.fixture(scope="session")
def dunes():
    return load_image("dunes")


@pytest.fixture
def tiny():
    "A configuration that trains in a second: three scales of 18, 23 and 30 pixels."
    return Config.preset("class", **TINY)


@pytest.fixture(scope="session")
def model(dunes):
    "A model of three scales, hardly trained."
    return train(dunes, Config.preset("class", **TINY), device="cpu", progress=False)


@pytest.fixture(scope="session")
def singan():
    "Run the command in a process of its own; returns the finished process."
    def run(*arguments, **options):
        environment = {**os.environ, **options.pop("env", {})}
        return subprocess.run([sys.executable, "-m", "singan_nb", *map(str, arguments)], capture_output=True, text=True, env=environment, **options)
    return run


def same_weights(a, b):
    "Are two models equal bit for bit?"
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def untrained(real, scales=1, width=8):
    "A model of untrained frozen scales under a photograph."
    model = SinGAN(real)
    for k in range(scales):
        size = (25 + 5*k, 40 + 8*k)
        z = white_noise(size, rng=seeded(k)) if k == 0 else None
        model.scales.append(Scale(init_weights(Generator(width), seeded(k, "w")), size, 1. if k == 0 else .1, z_star=z))
    return model.eval().requires_grad_(False)


def alive(process):
    "Is there a process of that number, and not only its exit code?"
    try: return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError: return False


def children(process):
    "Processes that a process started and that have not ended."
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir(): found += map(int, (task/"children").read_text().split())
    return list(filter(alive, found))


def flipped(content, chance):
    "One bit turned over, anywhere."
    content, at = bytearray(content), chance.randrange(8*len(content))
    content[at//8] ^= 1 << at % 8
    return bytes(content)


@pytest.fixture
def own_signals():
    "TERM and HUP as a shell leaves them for its programs; whoever runs the tests under nohup has HUP ignored."
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items(): signal.signal(number, handler)
