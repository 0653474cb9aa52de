"""The built site, in a browser that reaches no other host: `make test-docs`, after `make docs`. Not part of `pytest tests`.

SCREENSHOTS=1 also writes nbs/site/screenshots, to be looked at; RECORD=1 writes results/site.json. DOCS=folder tests another
build, and MODELS=folder says which models it was made with.
"""
import functools
import json
import os
import shutil
import threading
from configparser import ConfigParser
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from singan_nb.bench import machine_name
from singan_nb.models import PRETRAINED, SinGAN
from singan_nb.onnx_export import page_sample, portable_noise

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = Path(os.environ.get("DOCS", ROOT/"docs"))
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.html"))
MODELS = json.loads((DOCS/"site"/"models.json").read_text())
TRAINED = Path(os.environ.get("MODELS", PRETRAINED))
KEPT = ["index.html", "lessons/02_wgan_gp.html", "try.html", "gallery.html", "api/sampling.html"]   # looked at more closely
WAIT = 120_000                                                   # ms; the machine may be busy


# ---------------------------------------------------------------- a server, and a browser without a network

class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_): pass


@pytest.fixture(scope="session")
def site():
    "Address of a server for docs/."
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(DOCS)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium"),
                                      args=["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser):
    "A page that notes what went wrong in it: requests to other hosts, failed ones, errors on the console."
    opened = browser.new_page(viewport=dict(width=1280, height=900))
    opened.set_default_timeout(WAIT)
    wrong = opened.wrong = []
    opened.on("request", lambda r: urlsplit(r.url).hostname in (None, "127.0.0.1") or wrong.append(f"asked {r.url}"))
    opened.on("response", lambda r: r.status < 400 or wrong.append(f"{r.status} {r.url}"))
    opened.on("requestfailed", lambda r: "ERR_ABORTED" in (r.failure or "") or wrong.append(f"failed {r.url}"))
    opened.on("console", lambda m: m.type == "error" and wrong.append(m.text))
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    yield opened
    opened.close()


# ---------------------------------------------------------------- files

class Links(HTMLParser):
    "Links, things that a page loads, and places in it that can be linked to."
    def __init__(self, path):
        super().__init__()
        self.links, self.assets, self.ids, self.without_alt = [], [], set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if "id" in attributes: self.ids.add(attributes["id"])
        if tag == "a" and attributes.get("href"): self.links.append(attributes["href"])
        if tag == "img" and not attributes.get("alt"): self.without_alt.append(attributes.get("src", "")[:60])
        if tag in ("img", "script", "source", "video", "iframe"):
            self.assets += [attributes[name] for name in ("src", "srcset") if attributes.get(name)]
        if tag == "link" and attributes.get("rel") != "canonical": self.assets.append(attributes["href"])


def test_links_assets_and_alt_texts():
    parsed = {name: Links(DOCS/name) for name in PAGES}
    for name, page in parsed.items():
        assert not page.without_alt, f"{name}: pictures without alt text: {page.without_alt}"
        for address in page.assets + page.links:
            parts = urlsplit(address)
            if parts.scheme in ("http", "https"):
                assert address in page.links, f"{name} loads {address}"
                continue
            if parts.scheme: continue
            target = (DOCS/name).parent/unquote(parts.path) if parts.path else DOCS/name
            assert target.is_file(), f"{name} leads to {address}"
            key = target.resolve().relative_to(DOCS.resolve()).as_posix()
            if parts.fragment and key in parsed: assert unquote(parts.fragment) in parsed[key].ids, f"{name} leads to {address}"


def test_every_notebook_has_its_page_and_the_sidebar_keeps_the_course_s_order():
    notebooks = sorted(p.relative_to(ROOT/"nbs").with_suffix(".html").as_posix() for p in (ROOT/"nbs").glob("[!.]*/*.ipynb"))
    assert set(notebooks) <= set(PAGES), f"missing: {set(notebooks) - set(PAGES)}; run make docs"
    in_order = [link for link in Links(DOCS/"index.html").links if link.split("/")[0] in ("lessons", "applications", "practice")]
    course = [page for part in ("lessons", "applications", "practice") for page in notebooks if page.startswith(part)]
    assert in_order[:len(course)] == course


def test_nothing_is_too_heavy():
    weight = lambda path: path.stat().st_size/2**20
    assert sum(map(weight, filter(Path.is_file, DOCS.rglob("*")))) < 30
    for name in PAGES:
        if name == "try.html": continue                          # what it fetches is said on it
        pictures = {(DOCS/name).parent/src for src in Links(DOCS/name).assets if src.endswith((".webp", ".gif", ".png"))}
        assert weight(DOCS/name) + sum(map(weight, pictures)) < 2, name


# ---------------------------------------------------------------- pages

@pytest.mark.parametrize("name", PAGES)
def test_page_loads_alone_and_fits_a_phone(site, page, name):
    page.set_viewport_size(dict(width=390, height=844))
    page.goto(f"{site}/{name}", wait_until="load", timeout=WAIT)
    page.evaluate("document.querySelectorAll('img').forEach((img) => { img.loading = 'eager'; })")
    page.wait_for_function("[...document.images].every((img) => img.complete && img.naturalWidth)", timeout=WAIT)
    assert page.evaluate("document.querySelectorAll('.math').length") == page.evaluate("document.querySelectorAll('.math .katex').length"), "formulas"
    assert not page.evaluate("[...document.querySelectorAll('.katex-error')].map((e) => e.textContent)")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "the page is wider than a phone"
    assert not page.wrong


@pytest.mark.parametrize("query, target", [("portable_noise", "api/onnx_export.html"), ("sample_noises", "api/sampling.html"),
                                           ("gradient penalty", "02_wgan_gp.html"), ("receptive field", "03_pyramid.html")])
@pytest.mark.parametrize("how", ["server", "folder"])
def test_search(site, page, how, query, target):
    page.goto(f"{site}/lessons/00_images.html" if how == "server" else (DOCS/"lessons"/"00_images.html").as_uri(), timeout=WAIT)
    page.locator("input[type=search]").first.fill(query)
    page.locator(".search-result").first.wait_for(timeout=WAIT)
    found = page.eval_on_selector_all(".search-result", "results => results.map((r) => r.getAttribute('href'))")
    assert any(target in href for href in found[:5]), found
    page.locator(f".search-result[href*='{target}']").first.click()
    page.wait_for_url(f"**/*{target}*", timeout=WAIT)
    assert not page.wrong


def test_reference_has_parameters_types_and_source():
    "The source is linked where settings.ini says that it can be seen."
    settings = ConfigParser(delimiters=["="]); settings.read(ROOT/"settings.ini", encoding="utf-8")
    text = (DOCS/"api"/"sampling.html").read_text(encoding="utf-8")
    assert ("/blob/main/singan_nb/sampling.py#L" in text) == bool(settings["DEFAULT"]["git_url"])
    assert "coarser scales give their reconstruction" in text      # the comment beside a parameter


def test_folded_solutions_open(site, page):
    page.goto(f"{site}/lessons/09_sampling.html", timeout=WAIT)
    folded = page.locator("main details").last
    assert not folded.evaluate("d => d.open")
    folded.locator("summary").click()
    assert folded.evaluate("d => d.open && d.getBoundingClientRect().height > d.querySelector('summary').getBoundingClientRect().height")


def test_dark_mode_is_kept_from_page_to_page(site, page):
    background = lambda: sum(map(int, page.evaluate("getComputedStyle(document.body).backgroundColor").strip("rgb()").split(",")[:3]))
    page.goto(f"{site}/index.html", timeout=WAIT)
    assert background() > 600
    page.locator(".quarto-color-scheme-toggle:visible").first.click()
    page.goto(f"{site}/lessons/02_wgan_gp.html", timeout=WAIT)
    assert background() < 200


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", KEPT + ["architecture.html"])
def test_accessibility(site, page, name, scheme):
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{site}/{name}", timeout=WAIT)
    page.wait_for_timeout(500)
    found = Axe().run(page).response["violations"]
    serious = {f"{v['id']} ({v['impact']}, {len(v['nodes'])}): {v['nodes'][0]['html'][:160]} {v['nodes'][0]['target']}" for v in found if v["impact"] in ("serious", "critical")}
    assert not serious, "\n".join(serious)


# ---------------------------------------------------------------- Try it

def test_noise_is_python_s_to_the_last_bit(site, page):
    page.goto(f"{site}/try.html", timeout=WAIT)
    for seed, scale in ((0, 0), (1, 3), (2**32 - 1, 5)):
        values = page.evaluate("async ([seed, scale]) => [...(await import('./site/singan.js')).portableNoise(seed, scale, 999)]", [seed, scale])
        assert values == portable_noise(seed, scale, (999,)).tolist()


DRAW = """async ([name, seed, start, size]) => {
    const singan = await import("./site/singan.js"), models = await (await fetch("site/models.json")).json();
    const about = models.find((m) => m.name === name), image = await singan.draw(singan.openModel(about), seed, start, size);
    return {data: [...image.data], dims: [...image.dims], sizes: singan.sizesFor(about, size)};
}"""


@pytest.mark.parametrize("name, seed, start, size", [("dunes", 1, 0, None), ("forest", 4294967295, 2, None), ("boats", 7, 1, (96, 200)),
                                                     ("dunes", 2, 1, (60, 300)), ("boats", 2, 3, (160, 100)), ("lake", 3, 5, (51, 77))])
def test_the_page_draws_python_s_sample(site, page, name, seed, start, size):
    model = SinGAN.load(TRAINED/f"{name}.safetensors")
    page.goto(f"{site}/try.html", timeout=WAIT)
    drawn = page.evaluate(DRAW, [name, seed, start, list(size or model.sizes[-1])])
    assert [tuple(s) for s in drawn["sizes"]] == [tuple(s) for s in model.sizes_for(size)]
    ours, theirs = page_sample(model, seed, start, size=size), torch.tensor(drawn["data"]).reshape(drawn["dims"]).clamp(-1, 1)
    assert ours.shape == theirs.shape and (ours - theirs).abs().max() < 1e-3
    other = page_sample(model, (seed + 1) % 2**32, start, size=size)
    assert (other - theirs).abs().max() > .005                   # another seed is another picture


LISTEN = """const Worker_ = window.Worker;                     // notes what the drawing thread sends, wanted or not
window.sent = [];
window.Worker = class extends Worker_ {
    constructor(...given) {
        super(...given);
        this.addEventListener("message", ({ data: { number, scale, drawn, done, pixels } }) =>
            window.sent.push({ number, scale, drawn, done, size: [pixels.height, pixels.width] }));
    }
};"""


@pytest.fixture
def watched(page, site):
    "The page with its first sample, and functions: what was sent for a request, and waiting for a finished one."
    page.add_init_script(LISTEN)
    page.goto(f"{site}/try.html", timeout=WAIT)
    page.sent = lambda number: page.evaluate(f"window.sent.filter((each) => each.number === {number})")
    page.finished = lambda number: page.wait_for_function(f"window.sent.some((each) => each.number === {number} && each.done)", timeout=WAIT)
    page.finished(1)
    return page


def test_it_draws_from_coarse_to_fine(watched):
    sizes = MODELS[0]["sizes"]
    assert [each["scale"] for each in watched.sent(1)] == list(range(len(sizes))) and all(each["drawn"] for each in watched.sent(1))
    assert [each["size"] for each in watched.sent(1)] == sizes
    assert watched.evaluate("(({ height, width }) => [height, width])(document.getElementById('try-canvas'))") == sizes[-1]
    watched.evaluate("document.getElementById('try-canvas').addEventListener('scale', ({ target, detail }) => "
                     "{ window.seen = [...(window.seen ?? []), [target.height, target.toDataURL(), detail.scale]]; })")
    watched.click("#try-another")
    watched.finished(2)
    watched.wait_for_function(f"window.seen?.length === {len(sizes)}", timeout=WAIT)
    seen = watched.evaluate("window.seen")
    assert len({picture for _, picture, _ in seen}) == len(sizes) and {height for height, *_ in seen} == {sizes[-1][0]}


def test_a_new_request_ends_an_old_one(watched):
    last = len(MODELS[0]["sizes"]) - 1
    watched.evaluate("for (let i = 0; i < 5; i++) document.getElementById('try-another').click()")      # 2 to 6
    watched.finished(6)
    assert not [each for number in range(2, 6) for each in watched.sent(number) if each["scale"] > 0]
    assert [each["scale"] for each in watched.sent(6)] == list(range(last + 1))


def test_what_was_drawn_is_kept(watched):
    last, fields = len(MODELS[0]["sizes"]) - 1, lambda number: [(each["scale"], each["drawn"]) for each in watched.sent(number)]
    watched.click("#try-another"); watched.finished(2)
    watched.fill("#try-seed", "1"); watched.finished(3)
    assert fields(3) == [(k, False) for k in range(last + 1)]     # the first sample again
    watched.evaluate("const s = document.getElementById('try-start'); s.value = 2; s.dispatchEvent(new Event('input'))"); watched.finished(4)
    assert fields(4) == [(k, True) for k in range(2, last + 1)]   # the scales below only reconstruct


def test_ranges_come_from_the_model(watched):
    (h, w), scales = MODELS[0]["sizes"][-1], len(MODELS[0]["sizes"])
    limits = lambda name: watched.evaluate(f"(({{ min, value, max }}) => [min, value, max].map(Number))(document.getElementById('try-{name}'))")
    assert limits("start") == [0, 0, scales - 1] and limits("height")[1:] == [h, 2*h] and limits("width")[1:] == [w, 3*w]
    assert f"{scales} scales up to {h} × {w} pixels" in watched.locator("#try-facts").text_content()


def test_the_controls_draw(site, page):
    page.goto(f"{site}/try.html", timeout=WAIT)
    page.wait_for_function("document.getElementById('try-canvas').dataset.seconds", timeout=WAIT)
    picture = lambda: page.evaluate("document.getElementById('try-canvas').toDataURL()")
    first = picture()
    page.click("#try-another")
    page.wait_for_function(f"document.getElementById('try-canvas').toDataURL() !== {json.dumps(first)}", timeout=WAIT)
    page.fill("#try-seed", "1")
    page.wait_for_function(f"document.getElementById('try-canvas').toDataURL() === {json.dumps(first)}", timeout=WAIT)
    page.evaluate("const w = document.getElementById('try-width'); w.value = 200; w.dispatchEvent(new Event('input'))")
    page.wait_for_function("document.getElementById('try-canvas').width === 200", timeout=WAIT)
    page.select_option("#try-model", "boats")
    page.wait_for_function("document.getElementById('try-canvas').getAttribute('aria-label').includes('boats')", timeout=WAIT)
    assert page.locator("#try-command").text_content().count("boats") == 1
    assert not page.wrong


def test_without_webassembly_it_says_so(site, page):
    page.add_init_script("delete window.WebAssembly")
    page.goto(f"{site}/try.html", timeout=WAIT)
    assert "no WebAssembly" in page.locator("#try-status").text_content()
    assert not page.wrong


def test_from_a_folder_it_says_what_to_do(page):
    page.goto((DOCS/"try.html").as_uri(), timeout=WAIT)
    assert "http.server" in page.locator("#try-status").text_content()
    assert not page.wrong


# ---------------------------------------------------------------- to be looked at

@pytest.mark.skipif("RECORD" not in os.environ, reason="writes results/site.json; RECORD=1")
def test_figures(watched):
    "Seconds from the click to the finished sample; for the first, from the moment the page was asked for, its model and runtime included."
    seconds = [watched.evaluate("performance.now()/1000")]
    for _ in range(8):
        watched.evaluate("delete document.getElementById('try-canvas').dataset.seconds")
        watched.click("#try-another")
        watched.wait_for_function("document.getElementById('try-canvas').dataset.seconds", timeout=WAIT)
        seconds.append(float(watched.evaluate("document.getElementById('try-canvas').dataset.seconds")))
    megabytes = sum(path.stat().st_size for path in DOCS.rglob("*") if path.is_file())/2**20
    figures = dict(machine=machine_name(torch.device("cpu")), chromium=watched.context.browser.version, pages=len(PAGES), megabytes=round(megabytes, 1),
                   try_it=dict(model=MODELS[0]["name"], size=MODELS[0]["sizes"][-1], scales=len(MODELS[0]["sizes"]),
                               first_seconds=round(seconds[0], 3), later_seconds=[round(s, 3) for s in seconds[1:]]), load=os.getloadavg()[0])
    (ROOT/"results"/"site.json").write_text(json.dumps(figures, indent=1) + "\n")
    assert len(seconds) == 9


@pytest.mark.skipif("SCREENSHOTS" not in os.environ, reason="writes pictures; SCREENSHOTS=1")
@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("device, width, height, scheme", [("phone", 390, 844, "dark"), ("desktop", 1280, 900, "light")])
def test_screenshots(site, page, name, device, width, height, scheme):
    from PIL import Image
    page.set_viewport_size(dict(width=width, height=height))
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{site}/{name}", timeout=WAIT)
    if name == "try.html": page.wait_for_function("document.getElementById('try-canvas').dataset.seconds", timeout=WAIT)
    folder = ROOT/"nbs"/"site"/"screenshots"
    folder.mkdir(exist_ok=True)
    file = folder/f"{Path(name).stem}_{device}.png"
    page.screenshot(path=file)
    Image.open(file).save(file.with_suffix(".webp"), quality=60)
    file.unlink()
    assert file.with_suffix(".webp").stat().st_size > 2000
