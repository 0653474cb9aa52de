"""JupyterLab and Voilà on this machine, and a headless Chromium that opens the notebook of the explorers in them."""
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import torch
from playwright.sync_api import TimeoutError, expect, sync_playwright

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = float(os.environ.get("PATIENCE", 300))     # seconds for anything that a slow machine may need long for
CHROMIUM = next(filter(None, map(shutil.which, (os.environ.get("CHROMIUM", "chromium"), "chromium-browser", "google-chrome"))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
torch.set_num_threads(1)                           # as in the kernels below, so that trained weights can be compared bit for bit
expect.set_options(timeout=1000*PATIENCE)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(address):
    try: return urllib.request.urlopen(address, timeout=5).status == 200
    except OSError: return False


def listens(port):
    with socket.socket() as probe: return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def workplace(tmp_path_factory):
    "A folder with the page that `make app` serves: every explorer; and settings that keep every cell in the page."
    folder = tmp_path_factory.mktemp("work")
    for kind in ("lab", "voila"):                                    # two copies: JupyterLab saves what the tests write into its own
        subprocess.run([sys.executable, ROOT/"scripts"/"make_app.py", folder/f"{kind}.ipynb"], check=True)
    settings = folder/"settings"/"@jupyterlab"
    for name, values in {"notebook-extension/tracker": {"windowingMode": "none"}, "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False}}.items():
        (settings/name).parent.mkdir(parents=True, exist_ok=True)
        (settings/f"{name}.jupyterlab-settings").write_text(json.dumps(values))
    return folder


@pytest.fixture(scope="session")
def serve(workplace):
    "Start a server of a kind once, wait until it answers, stop it in the end; returns the notebook's address."
    running = {}
    def start(kind):
        if kind in running: return running[kind][1]
        port, token = free_port(), secrets.token_hex(16)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])), "OMP_NUM_THREADS": "1",
                       "JUPYTERLAB_SETTINGS_DIR": str(workplace/"settings"), "JUPYTER_RUNTIME_DIR": str(workplace/"runtime"), "JUPYTER_CONFIG_DIR": str(workplace/"config")}
        if kind == "lab":
            command = ["-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", f"--IdentityProvider.token={token}", "--allow-root", f"--ServerApp.root_dir={workplace}"]
            probe, page = f"http://127.0.0.1:{port}/api?token={token}", f"http://127.0.0.1:{port}/lab/tree/lab.ipynb?token={token}"
        else:
            command = [ROOT/"scripts"/"serve_app.py", "voila.ipynb", "--no-browser", "--Voila.ip=127.0.0.1", f"--port={port}", "--show_tracebacks=True", "--VoilaExecutor.timeout=600"]
            page = f"http://127.0.0.1:{port}/"
        log = open(workplace/f"{kind}.log", "w")
        process = subprocess.Popen([sys.executable, *command], cwd=workplace, env=environment, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        running[kind] = process, page
        ready, end = (lambda: answers(probe)) if kind == "lab" else (lambda: listens(port)), time.monotonic() + PATIENCE
        while not ready():
            assert process.poll() is None and time.monotonic() < end, (workplace/f"{kind}.log").read_text()[-3000:]
            time.sleep(.3)
        return page
    yield start
    for process, _ in running.values():
        process.terminate()
        try: process.wait(30)
        except subprocess.TimeoutExpired: process.kill(); process.wait()


@pytest.fixture(scope="session")
def chromium():
    assert CHROMIUM, "no Chromium found: install it (Debian: apt-get install chromium), or name it in the environment variable CHROMIUM"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=["lab", "voila"])
def page(request, serve, chromium):
    "The notebook in a browser, all its cells run; `page.kind` says where, `page.errors` what the console complained of."
    page = chromium.new_page(viewport=dict(width=1400, height=1500))
    page.kind, page.errors = request.param, []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
    page.set_default_timeout(1000*PATIENCE)
    page.goto(serve(page.kind))
    if page.kind == "lab": run_all(page)
    page.locator(".singan-training figure").wait_for(timeout=1000*max(PATIENCE, 300))               # the last explorer
    yield page
    page.close()


def run_all(page):
    "Run every cell. A command that comes before the kernel is there does nothing, so it is given until it works."
    page.get_by_text(re.compile(r"\| Idle$")).wait_for()
    first = page.locator(".jp-Notebook .jp-InputPrompt", has_text=re.compile(r"\[[*\d]+\]")).first
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        try: return first.wait_for(timeout=5000)
        except TimeoutError: continue
    pytest.fail("the notebook did not begin to run")
