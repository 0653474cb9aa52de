"""An attack on all that reads, writes, starts or ends: `make test-attack` writes its figures to results/attack.json.

    python tests/attack.py --out results/attack.json              # everything, about an hour
    python tests/attack.py flips --times 10                       # one attack, in short; prints its figures

Each attack runs in a process of its own. What must not happen is a fault; an attack with a fault ends with exit code 1.
tests/test_attack.py does the same in short.
"""
import argparse
import base64
import contextlib
import errno
import io
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

import torch
from conftest import alive, children, flipped, same_weights
from tqdm.auto import tqdm

from singan_nb.all import Callback, Config, RunBusy, SinGAN, SinGANError, import_official, load_image, locked, read_log, sample, save_image, train
from singan_nb.bench import machine_name
from singan_nb.cli import run_command
from singan_nb.files import atomic_write
from singan_nb.formats import MOST_UPLOADED
from singan_nb.progress import progress_bar

TINY = dict(max_size=36, min_size=18, width=4, iters=2)
ROOM = 300                          # MB that reading one file may take beside what the program holds
PATIENCE = 20                       # seconds that refusing one file may take
WORKERS_END = 60                    # seconds until the workers of a parent that was killed have ended


def status(name):
    "MB of this process, as the system counts them."
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name))/2**10


def forked(work, *given, seconds=PATIENCE, room=None):
    "Do work in a copy of this process: (how it ended, what it returned or its error, seconds, MB that it took)."
    begun, (reader, writer) = time.monotonic(), os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(seconds)
        if room: resource.setrlimit(resource.RLIMIT_AS, (int((status("VmSize") + room)*2**20),)*2)
        before = status("VmHWM")
        try: answer = "done", work(*given)
        except SinGANError as error: answer = "refused", str(error)
        except BaseException: answer = "crashed", traceback.format_exc().strip()[-300:]
        os.write(writer, json.dumps([*answer, round(status("VmHWM") - before)]).encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe: said = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    ended, what, memory = json.loads(said) if said else (f"killed by signal {-code}", "", 0)
    return ended, what, round(time.monotonic() - begun, 1), memory


def each(items):
    "Items with a bar; in a log a line a minute."
    tqdm.monitor_interval = 0                                                   # no thread of it: processes are copied here
    return progress_bar(iterable=list(items))


def count(figures, outcome): figures[outcome] = figures.get(outcome, 0) + 1


# one training, ended anywhere

def kill(): os.kill(os.getpid(), signal.SIGKILL)


def fill(): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def at_operation(place, folder, act):
    "Do something before this process's file operation of that number in a folder; returns the counter."
    seen, flush = [0], os.fsync
    def operation():
        seen[0] += 1
        if seen[0] == place: act()
    def hook(event, arguments):
        if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.scandir") and str(folder) in str(arguments[0]): operation()
    def fsync(file): operation(); flush(file)
    sys.addaudithook(hook)
    os.fsync = fsync
    return seen


def train_tiny(run, place=0, act=None, moment=0.):
    "Begin a training, or go on with it; returns the number of its file operations. One of them, or a moment in seconds, is its end."
    seen = at_operation(place, run, act)
    if moment: signal.setitimer(signal.ITIMER_REAL, moment)                    # nobody handles it, so it ends the process
    try: train(load_image("dunes"), Config.preset("class", **TINY), run, resume=True, progress=False, device="cpu", save_every=0)
    except OSError as error: raise SinGANError(str(error)) from None           # as the command says it
    return seen[0]


def undisturbed(folder):
    "The number of file operations of a training, its run, and the seconds that it takes."
    train_tiny(folder/"first")                                                  # what is imported late is there now
    _, operations, seconds, _ = forked(train_tiny, folder/"whole")
    return operations, folder/"whole", seconds


def wrong_end(run, whole):
    "Go on with a run; what is wrong in the end, in words."
    again, straight = forked(train_tiny, run), SinGAN.load(whole)
    if again[0] != "done": return str(again[:2])
    if not same_weights(SinGAN.load(run), straight) or read_log(run) != read_log(whole): return "other weights or another log"
    if left := sorted(file.name for file in run.rglob(".*")): return f"{left} is left"
    return "" if len(list((run/"previews").iterdir())) == len(straight.scales) else "a preview is lost"


def each_operation(times, folder, act, expected):
    "Act before a file operation of a training, for each of them; the same call goes on to the same bits."
    operations, whole, _ = undisturbed(folder)
    figures, faults, places = {}, [], range(1, operations + 1)
    for place in each(places if times >= operations else random.Random(0).sample(places, times)):
        ended, what, *_ = forked(train_tiny, run := folder/f"run{place}", place, act)
        wrong = "" if ended in expected and "\n" not in str(what) else f"{ended}: {what}; "
        wrong += wrong_end(run, whole)
        if wrong: faults.append(f"operation {place}: {wrong}")
        else: count(figures, ended)
        shutil.rmtree(run, ignore_errors=True)
    return dict(operations=operations, tried=min(times, operations), **figures, same_bits_in_the_end=sum(figures.values()), faults=faults)


def file_operations(times, folder):
    "Kill -9 before a file operation."
    return each_operation(times, folder, kill, ["killed by signal 9"])


def full_disk(times, folder):
    "A file operation fails for want of space: one line, if the training cannot do without it."
    return each_operation(times, folder, fill, ["refused", "done"])


def moments(times, folder):
    "Kill a training at random moments, again and again until it is done; then the next one."
    _, whole, seconds = undisturbed(folder)
    chance, kills, trainings, faults = random.Random(6), 0, 0, []
    while kills < times:
        run, ended = folder/f"run{trainings}", "killed"
        while ended != "done" and kills < times:
            ended, what, *_ = forked(train_tiny, run, 0, None, chance.uniform(.001, seconds))
            kills += ended == "killed by signal 14"
            if ended not in ("done", "killed by signal 14"): faults.append(f"training {trainings}: {ended}: {what}"); break
        wrong, trainings = wrong_end(run, whole), trainings + 1
        if wrong: faults.append(f"training {trainings}: {wrong}")
    return dict(kills=kills, trainings=trainings, same_bits_in_the_end=trainings - len(faults), faults=faults)


# kills of many trainings

MANY = dict(max_size=40, iters=60)


def many_command(folder):
    "The command that trains models of two pictures, its end the folder of the runs; and the models of undisturbed trainings."
    models, photos = {}, folder/"pictures"
    for name in ("dunes", "boats"):
        save_image(load_image(name)[..., :60, :90], photos/f"{name}.png")
        models[name] = train(load_image(photos/f"{name}.png"), Config.preset("class", **MANY), device="cpu", progress=False)
    options = ["--preset", "class", "--max-size", MANY["max_size"], "--iters", MANY["iters"], "--device", "cpu", "--jobs", 2, "--save-every", .1]
    return [str(word) for word in (sys.executable, "-m", "singan_nb", "train-many", photos, *options, "--out")], models


def begin(command, runs, said):
    "Start the command; what it says is added to a file."
    with open(said, "a") as out: return subprocess.Popen([*command, str(runs)], stdout=out, stderr=out)


def wait_until(what, seconds=60):
    "The first true value of what(), or the last one."
    end = time.monotonic() + seconds
    while not (value := what()) and time.monotonic() < end: time.sleep(.01)
    return value


def wrong_runs(runs, models, said, code):
    "What is wrong with the runs that a command left in the end, in words."
    wrong = [f"exit code {code}"]*(code != 0) + ["a traceback"]*("Traceback" in said.read_text(errors="replace"))
    for name, model in models.items():
        if not (runs/name/"model.safetensors").exists(): wrong.append(f"{name} has no model")
        elif not same_weights(SinGAN.load(runs/name), model): wrong.append(f"{name} has other weights")
    return wrong + [f"{file.name} is left" for file in runs.rglob(".*") if file.name != ".state"]


def worker_kills(times, folder):
    "Kill -9 one of two workers, each second time within a second of its start; the command itself finishes."
    (command, models), chance, figures, faults = many_command(folder), random.Random(1), {"kills": 0}, []
    for turn in each(range(times)):
        runs, said = folder/f"runs{turn}", folder/f"said{turn}"
        parent = begin(command, runs, said)
        while len(workers := children(parent.pid)) < 2 and parent.poll() is None: time.sleep(.01)
        time.sleep(chance.uniform(0, 6 if turn % 2 else 1))
        for worker in chance.sample(list(filter(alive, workers)), 1) if any(map(alive, workers)) else []:
            os.kill(worker, signal.SIGKILL); count(figures, "kills")
        wrong = wrong_runs(runs, models, said, parent.wait(300))
        if wrong: faults.append(f"turn {turn}: {'; '.join(wrong)}")
        else: count(figures, "finished to the same bits")
        shutil.rmtree(runs)
    return dict(turns=times, **figures, faults=faults)


def parent_kills(times, folder):
    "KILL, TERM, HUP and INT to the parent at any moment; its workers end, and the same command finishes."
    (command, models), chance, figures, faults, slowest = many_command(folder), random.Random(2), {}, [], 0.
    for turn in each(range(times)):
        runs, said = folder/f"runs{turn}", folder/f"said{turn}"
        name = ("SIGKILL", "SIGTERM", "SIGHUP", "SIGKILL", "SIGINT")[turn % 5]
        parent = begin(command, runs, said)
        time.sleep(chance.uniform(1, 9))
        workers, sent = children(parent.pid), time.monotonic()
        if parent.poll() is None: parent.send_signal(getattr(signal, name)); count(figures, name)
        parent.wait(WORKERS_END)
        while any(map(alive, workers)) and time.monotonic() - sent < WORKERS_END: time.sleep(.01)
        slowest = max(slowest, time.monotonic() - sent)
        wrong = ["workers are left"]*any(map(alive, workers)) + wrong_runs(runs, models, said, begin(command, runs, said).wait(300))
        if wrong: faults.append(f"turn {turn}, {name}: {'; '.join(wrong)}")
        else: count(figures, "finished to the same bits")
        shutil.rmtree(runs)
    return dict(turns=times, **figures, all_ended_within_seconds=round(slowest, 1), faults=faults)


# locks

def lock_again_and_again(times, run, inside):
    "Hold a lock so often: (held, refused, how often somebody else was inside)."
    held = busy = overlaps = 0
    while held < times:
        try:
            with locked(run):
                try: os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
                except FileExistsError: overlaps += 1
                held += 1
                inside.unlink(missing_ok=True)
        except RunBusy: busy += 1
    return held, busy, overlaps


def locks(times, folder):
    "Four processes lock and free one run folder as fast as they can: never two at once, and no other error than 'in use'."
    with ThreadPoolExecutor(4) as pool: done = list(pool.map(lambda _: forked(lock_again_and_again, times, folder/"run", folder/"inside", seconds=600), range(4)))
    faults = [f"{ended}: {what}" for ended, what, *_ in done if ended != "done"]
    held, refused, overlaps = map(sum, zip((0, 0, 0), *(what for ended, what, *_ in done if ended == "done")))
    return dict(locks=held, refused=refused, overlaps=overlaps, faults=faults + [f"{overlaps} times two at once"]*(overlaps > 0))


def threads(times, folder):
    "Samples drawn in sixteen threads at once are those that are drawn alone."
    model = stopped_run(folder/"stopped")[1]
    alone = [sample(model, 1, seed=seed) for seed in range(times)]
    with ThreadPoolExecutor(16) as pool: together = list(pool.map(lambda seed: sample(model, 1, seed=seed), range(times)))
    same = sum(map(torch.equal, alone, together))
    return dict(samples=times, equal=same, faults=[f"{times - same} other samples"]*(same < times))


# damage

class Stop(Callback):
    "Stop in the middle of the second scale."
    def on_iteration(self, watch):
        if (watch.scale, watch.iteration) == (1, 1): watch.stop()


def stopped_run(folder):
    "A run that was stopped in the middle; its photograph and settings, and the model that it would have become."
    given = load_image("dunes"), Config.preset("class", **TINY)
    train(*given, folder, device="cpu", progress=False, callbacks=[Stop()])
    return given, train(*given, device="cpu", progress=False)


def outcome(work, right):
    "Do work on a damaged file: (what came out, whether that is a fault)."
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        try: good = right(work())
        except SinGANError as error: return ("refused", False) if "\n" not in str(error) else (f"several lines: {error}", True)
        except Exception as error: return f"{type(error).__name__}: {error}", True
    if not good: return f"another result, {'with a note' if notes else 'and nothing is said'}", True
    return f"the same bits{', with a note' if notes else ''}", False


def flips(times, folder):
    "Flip a bit of a run's file, then go on: refused in one line, or the same bits in the end."
    given, straight = stopped_run(folder/"stopped")
    chance, figures, faults = random.Random(3), {}, []
    for name in ("model.safetensors", "checkpoint.safetensors", "log.csv", "config.json", "image.png"):
        whole = (folder/"stopped"/name).read_bytes()
        for turn in each(range(times)):
            run = shutil.copytree(folder/"stopped", folder/"run")
            (run/name).write_bytes(flipped(whole, chance))
            got, wrong = outcome(lambda: train(*given, folder/"run", resume=True, device="cpu", progress=False), lambda model: same_weights(model, straight))
            if wrong: faults.append(f"{name}, turn {turn}: {got}")
            count(figures.setdefault(name, {}), "fault" if wrong else got)
            shutil.rmtree(run)
    return dict(figures, faults=faults)


def flipped_models(times, folder):
    "Flip a bit of a model's file, then draw: refused in one line, or the same picture."
    file, chance, figures, faults = stopped_run(folder/"stopped")[1].save(folder/"m.safetensors"), random.Random(4), {}, []
    whole, picture = file.read_bytes(), sample(SinGAN.load(file), 1, seed=0)
    for turn in each(range(times)):
        file.write_bytes(flipped(whole, chance))
        got, wrong = outcome(lambda: sample(SinGAN.load(file), 1, seed=0), lambda drawn: torch.equal(drawn, picture))
        if wrong: faults.append(f"turn {turn}: {got}")
        count(figures, "fault" if wrong else got)
    return dict(flips=times, **figures, faults=faults)


# bombs

def command(*words):
    "Run a command here: its exit code, and what it says on its two streams."
    with contextlib.redirect_stderr(io.StringIO()) as err, contextlib.redirect_stdout(io.StringIO()) as out: code = run_command(list(map(str, words)))
    return code, out.getvalue(), err.getvalue()


def commanded(*words):
    "What a command says; raises its error if that is one line, and the exit code 2."
    code, _, said = command(*words)
    if code == 2 and said.startswith("error: ") and said.count("\n") == 1: raise SinGANError(said[7:-1])
    return f"exit code {code}: {said[-200:]}"


def bombs_and_readers(folder):
    "Small files that unpack to gigabytes, each with everything that reads one; and sizes that no machine has."
    from test_hostile import bomb_png, small_files_of_gigabytes

    from singan_nb.explore import from_data_url
    address = "data:image/png;base64," + base64.b64encode(bomb_png(13_000, 13_000)).decode()
    tries, run = {"canvas: a PNG of 169 megapixels": (from_data_url, address, SinGAN.load(folder/"run").sizes[-1])}, folder/"run"
    for name, data in {**small_files_of_gigabytes(), "a PNG of 900 megapixels": bomb_png(30_000, 30_000)}.items():
        file = folder/f"{name.replace(' ', '_')}.png"
        file.write_bytes(data)
        tries |= {f"{name}, load_image": (load_image, data), f"{name}, upload": (lambda data: load_image(data, most=MOST_UPLOADED), data),
                  f"{name}, singan train": (commanded, "train", file, "--out", folder/"other"), f"{name}, singan paint": (commanded, "paint", run, file, "--out", folder/"p.png"),
                  f"{name}, singan edit": (commanded, "edit", run, "dunes", file, "--out", folder/"p.png")}
    side = ["--width", 300_000, "--height", 300_000]
    return tries | {"singan sample of 90 gigapixels": (commanded, "sample", run, "-n", 1, *side, "--out", folder/"s"), "singan retarget to 300,000 pixels": (commanded, "retarget", run, *side, "--out", folder/"r.png"),
                    "singan train of a picture of 17 megapixels": (commanded, "train", folder/"large.png", "--max-size", 4096, "--iters", 1, "--out", folder/"large")}


def bombs(times, folder):
    "What needs more memory than there may be is refused in one line, at once, and with nothing written."
    train(load_image("dunes"), Config.preset("class", **TINY), folder/"run", device="cpu", progress=False)
    save_image(torch.zeros(1, 3, 4096, 4096), folder/"large.png")
    tries, faults, most = bombs_and_readers(folder), [], [0, 0]
    before = set(folder.rglob("*"))
    for name, work in each(list(tries.items())[:times]):
        ended, what, *took = forked(*work, room=ROOM)
        most = list(map(max, most, took))
        if ended != "refused" or "\n" in what: faults.append(f"{name}: {ended}: {what}")
    faults += [f"{file} is left" for file in set(folder.rglob("*")) - before]
    return dict(tried=min(times, len(tries)), refused=min(times, len(tries)) - len(faults), seconds_at_most=most[0], mb_at_most=most[1], faults=faults)


# hostile folders

def official_folders(times, folder):
    "Each malformed folder of the official code under a memory limit: one line, and no model."
    from test_official import MALFORMED, write_official
    write_official(folder/"whole")
    figures, faults, most = {}, [], [0, 0]
    for kind, (spoil, _) in each(list(MALFORMED.items())[:times]):
        spoil(copy := shutil.copytree(folder/"whole", folder/"copy"))
        ended, what, *took = forked(commanded, "import-official", copy, "--out", folder/"m.safetensors", room=ROOM)
        count(figures, ended)
        most = list(map(max, most, took))
        if ended != "refused" or (folder/"m.safetensors").exists(): faults.append(f"{kind}: {ended}: {what}")
        shutil.rmtree(copy)
    import_official(folder/"whole")                                     # the whole one is read
    return dict(folders=min(times, len(MALFORMED)), **figures, seconds_at_most=most[0], mb_at_most=most[1], faults=faults)


SPOILED = {
    "empty": lambda file: file.write_bytes(b""), "cut": lambda file: os.truncate(file, file.stat().st_size//2), "a list": lambda file: file.write_text("[1, 2]"),
    "deep brackets": lambda file: file.write_text("["*100_000), "noise": lambda file: file.write_bytes(random.Random(0).randbytes(1000)), "null": lambda file: file.write_text("null"),
    "no text": lambda file: file.write_bytes(b"\xff\xfe{}"), "gone": lambda file: file.unlink(), "a folder": lambda file: (file.unlink(), file.mkdir()),
    "a pipe": lambda file: (file.unlink(), os.mkfifo(file)), "a link to itself": lambda file: (file.unlink(), file.symlink_to(file)), "a link to a device": lambda file: (file.unlink(), file.symlink_to("/dev/zero"))}
SPOILED_FILES = "config.json", "image.png", "log.csv", "model.safetensors", "checkpoint.safetensors", "previews/scale_00.png", ".lock", ".owner", "../.state/a.json", "../summary.csv"


def wrong_row(ended, code, runs):
    "What is wrong after a command with one spoiled run, in words."
    if ended != "done": return [ended]
    wrong = [f"exit code {code}"]*(code not in (0, 1))
    for name in "ab" if code == 0 else "b":
        try: SinGAN.load(runs/name)
        except SinGANError as error: wrong.append(str(error))
    return wrong


def hostile_runs(times, folder):
    "A file of one picture's run or its state is spoiled, then train-many goes on: that is one row at most, and the other picture is trained."
    for name in "ab": save_image(load_image("dunes"), folder/"pictures"/f"{name}.png")
    options = ["--preset", "class", *[word for name, value in TINY.items() for word in ("--set", f"{name}={value}")], "--device", "cpu", "--jobs", 2]
    words = ["train-many", folder/"pictures", *options, "--out", folder/"runs"]
    stopped_run(folder/"stopped")
    cases, figures, faults, before = [(name, kind) for name in SPOILED_FILES for kind in SPOILED], {}, [], set(folder.rglob("*"))
    for name, kind in each(random.Random(5).sample(cases, min(times, len(cases)))):
        run = shutil.copytree(folder/"stopped", folder/"runs"/"a")
        (run.parent/".state").mkdir()
        for file in ("../.state/a.json", "../summary.csv", ".lock", ".owner"): (run/file).write_text("{}")
        SPOILED[kind](run/name)
        ended, said, *_ = forked(command, *words, seconds=120)
        refused = ended == "done" and (name, kind, said[0]) == ("../summary.csv", "a folder", 2)      # before it begins
        wrong = [] if refused else wrong_row(ended, said[0] if ended == "done" else said, run.parent)
        wrong += [f"{file} was written" for file in set(folder.rglob("*")) - before if run.parent not in [file, *file.parents]]
        count(figures, "fault" if wrong else "refused at once" if refused else "one row, the other trained" if said[0] else "both trained")
        if wrong: faults.append(f"{name} is {kind}: {'; '.join(wrong)}: {said}")
        shutil.rmtree(run.parent)
    return dict(cases=min(times, len(cases)), **figures, faults=faults)


# explorers

def explorers(times, folder):
    "Open, move and close each of the eight explorers; memory, open files, widgets and controllers stay."
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent/"scripts"))
    from long_run import explorers as cycles
    with contextlib.redirect_stdout(sys.stderr): *_, result = cycles(times, time.monotonic())
    first, last = result["rows"][0], result["rows"][-1]
    faults = [f"{name}: {first[name]} after {first['rounds']} rounds, {last[name]} after {last['rounds']}" for name in ("widgets", "controllers", "files", "threads") if last[name] > first[name]]
    if last["memory_mb"] > 1.05*first["memory_mb"]: faults.append(f"memory: {first['memory_mb']} MB, then {last['memory_mb']}")
    return dict(rounds=times, explorers=8, memory_mb=[first["memory_mb"], last["memory_mb"]], widgets=last["widgets"], controllers_alive=last["controllers"], faults=faults)


ALL = 10**6
ATTACKS = {file_operations: ALL, full_disk: ALL, moments: 60, worker_kills: 20, parent_kills: 20, locks: 2000, threads: 160, flips: 200, flipped_models: 400, bombs: ALL, official_folders: ALL, hostile_runs: 60, explorers: 100}


def attack(name, times):
    "Run one attack in a process of its own; returns its figures."
    done = subprocess.run([sys.executable, __file__, name, "--times", str(times)], stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode not in (0, 1) or not done.stdout.strip(): return dict(faults=[f"the attack itself ended with code {done.returncode}"])
    return json.loads(done.stdout.splitlines()[-1])


def all_attacks(out, resume):
    "Run each attack in full; yields their figures by name. The file is written after each, and may hold some of them already."
    record = dict(machine=machine_name(torch.device("cpu")), torch=torch.__version__, python=sys.version.split()[0], begun=datetime.now(timezone.utc).isoformat(timespec="seconds"), attacks={})
    if resume and out.exists(): record["attacks"] = json.loads(out.read_text())["attacks"]
    for work, times in ATTACKS.items():
        if work.__name__ in record["attacks"]: continue
        begun = time.monotonic()
        print(work.__name__, flush=True)
        figures = attack(work.__name__, times)
        record["attacks"][work.__name__] = dict(seconds=round(time.monotonic() - begun), **figures)
        if out:
            with atomic_write(out) as file: file.write_text(json.dumps(record, indent=1) + "\n")
        yield work.__name__, record["attacks"][work.__name__]


def main():
    parse = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    attacks = {work.__name__: (work, times) for work, times in ATTACKS.items()}
    parse.add_argument("name", nargs="?", choices=attacks, help="one attack; by default all")
    parse.add_argument("--times", type=int, help="how often; by default as often as the whole attack does")
    parse.add_argument("--out", type=Path, help="a JSON file for the figures of all")
    parse.add_argument("--resume", action="store_true", help="go on with that file, after a run that was stopped")
    given, found = parse.parse_args(), False
    if given.resume and not given.out: parse.error("--resume goes on with the file of --out; give it")
    if given.name:
        torch.set_num_threads(1)
        work, times = attacks[given.name]
        with tempfile.TemporaryDirectory(prefix="attack") as folder: figures = work(given.times or times, Path(folder))
        print(json.dumps(figures))
        raise SystemExit(1 if figures["faults"] else 0)
    for name, figures in all_attacks(given.out, given.resume):
        found |= bool(figures["faults"])
        print(f"  {len(figures['faults'])} faults, {figures['seconds']} s", *figures["faults"], sep="\n  ", flush=True)
    raise SystemExit(found)


if __name__ == "__main__": main()
