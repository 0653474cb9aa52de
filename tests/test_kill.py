"""kill -9 at random moments; the resumed training ends with the same bits as an uninterrupted one."""
import random
import signal
import subprocess
import sys
import time

from conftest import same_weights

from singan_nb.all import SinGAN, read_log

OPTIONS = ["--preset", "class", "--max-size", "48", "--iters", "150", "--save-every", "0.1"]
MINIMUM_KILLS = 5


def start(run):
    command = [sys.executable, "-m", "singan_nb", "train", "dunes", "--out", str(run), "--resume", *OPTIONS]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def progress(run):
    "What has been written so far, as something that changes with every checkpoint."
    file = run/"checkpoint.safetensors"
    return file.stat().st_mtime_ns if file.exists() else None


def test_killed_at_random_moments(tmp_path):
    straight = start(tmp_path/"straight")
    assert straight.wait(600) == 0, straight.stderr.read()
    chance, kills, run = random.Random(0), 0, tmp_path/"run"
    while True:
        process, before = start(run), progress(run)
        while process.poll() is None and kills < 8 and progress(run) == before: time.sleep(.005)     # until it trains
        time.sleep(chance.uniform(0, .4))
        if process.poll() is None and kills < 8:
            process.send_signal(signal.SIGKILL); process.wait(); kills += 1
            continue
        assert process.wait(600) == 0, process.stderr.read()
        break
    assert kills >= MINIMUM_KILLS
    assert same_weights(SinGAN.load(tmp_path/"straight"), SinGAN.load(run))
    assert read_log(tmp_path/"straight") == read_log(run)
    assert not list(run.rglob("*.partial"))
