"""The server of the class page, asked without a browser: whom it answers, how many kernels it keeps, and when they end."""
import asyncio
import http.client
import json
import re
import subprocess
import sys
import threading
import time

import psutil
import pytest
from conftest import ROOT, free_port, listens
from tornado.websocket import websocket_connect

HOSTS = ["--ClassPage.hosts=Class.example", "--ClassPage.hosts=192.168.0.7"]
KERNELS = ["--Kernels.most_pages=2", "--Kernels.left_timeout=6", "--MappingKernelManager.cull_interval=1"]
CELL = """import resource, threading, time
def chatter():
    while True: time.sleep(.2); print("busy", flush=True)
threading.Thread(target=chatter, daemon=True).start()
print("limit", *resource.getrlimit(resource.RLIMIT_DATA))"""          # as a training does, it never stops writing


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    "A page with one small cell, two places, six seconds of patience; returns the port and the server's process."
    sys.path.insert(0, str(ROOT/"scripts"))
    from make_app import LIMIT
    cells = [dict(cell_type="code", id=f"c{i}", metadata={}, execution_count=None, outputs=[], source=source) for i, source in enumerate([LIMIT, CELL])]
    folder, port = tmp_path_factory.mktemp("app"), free_port()
    (folder/"page.ipynb").write_text(json.dumps(dict(cells=cells, metadata=dict(kernelspec=dict(name="python3", display_name="Python 3", language="python")), nbformat=4, nbformat_minor=5)))
    (folder/"secret.png").write_bytes(b"not for visitors")
    command = [sys.executable, ROOT/"scripts"/"serve_app.py", "page.ipynb", "--no-browser", "--Voila.ip=127.0.0.1", f"--port={port}", *HOSTS, *KERNELS]
    with open(folder/"log", "w") as log: process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not listens(port):
        assert process.poll() is None and time.monotonic() < end, (folder/"log").read_text()[-3000:]
        time.sleep(.2)
    yield port, psutil.Process(process.pid)
    process.terminate(); process.wait(30)


def ask(port, host="localhost", path="/"):
    "Status and text of an answer."
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("GET", path, headers=dict(Host=host))
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally: connection.close()


def kernels(server): return [child for child in server.children() if child.status() != psutil.STATUS_ZOMBIE]


def none_left(server, seconds=60):
    end = time.monotonic() + seconds
    while kernels(server) and time.monotonic() < end: time.sleep(.5)
    return not kernels(server)


@pytest.mark.parametrize("host, status", [("evil.example", 403), ("localhost.evil.example", 403), ("192.168.0.71", 403), ("192.168.0.7.evil.example", 403), ("", 403), ("localhostx:80", 403),
                                          ("class.example", 404), ("192.168.0.7:8866", 404), ("LOCALHOST", 404), ("127.0.0.1:1", 404), ("[::1]", 404)])
def test_only_listed_hosts_are_answered(server, host, status):
    port, process = server
    assert ask(port, host, "/api/kernels/a-b-c-d-e")[0] == status
    if status == 403: assert ask(port, host)[0] == 403 and not kernels(process)


def test_the_places_are_limited_and_kernels_that_nobody_looks_at_end(server):
    port, process = server
    answers = []
    visits = [threading.Thread(target=lambda: answers.append(ask(port))) for _ in range(5)]
    for visit in visits: visit.start()
    for visit in visits: visit.join()
    assert sorted(status for status, _ in answers) == [200, 200, 503, 503, 503] and len(kernels(process)) == 2
    assert all(f"limit {2**31} {2**31}" in text for status, text in answers if status == 200)
    assert all("all 2 places are taken" in text for status, text in answers if status == 503)
    assert none_left(process)                                   # although they write all the time, as a training does
    assert ask(port)[0] == 200 and none_left(process)


def test_the_kernel_of_an_open_page_lives(server):
    port, process = server
    kernel = re.search(r'"kernelId": *"([\w-]+)"', ask(port)[1]).group(1)
    async def look():
        page = await websocket_connect(f"ws://127.0.0.1:{port}/api/kernels/{kernel}/channels")
        await asyncio.sleep(12)
        there = len(kernels(process))
        page.close()
        return there
    assert asyncio.run(look()) == 1 and none_left(process)


def test_files_and_templates_are_not_the_visitors(server):
    port, process = server
    assert ask(port, path="/voila/files/secret.png")[0] == 403
    assert "limit" in ask(port, path="/?template=../../../tmp")[1] and none_left(process)
