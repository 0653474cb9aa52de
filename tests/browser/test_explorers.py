"""Every explorer, driven as a reader would drive it: by keyboard and mouse, in JupyterLab and in Voilà."""
import io
import os
import re
import statistics
import time
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from singan_nb import explore

SHOTS = os.environ.get("SCREENSHOTS")             # a folder that keeps the pictures of the documentation
LAST = "(selector, n, state) => { const e = document.querySelector(selector); return e && Number(e.dataset.request) > n && e.dataset.state == state }"


class Tool:
    "One explorer on the page."
    def __init__(self, page, name):
        self.page, self.name, self.root = page, name, page.locator(f".singan-{name}")
        self.root.scroll_into_view_if_needed()

    def slider(self, name): return self.root.get_by_role("slider", name=name, exact=True)
    def field(self, name): return self.root.get_by_label(name, exact=True)
    def button(self, name): return self.root.get_by_role("button", name=name, exact=True)

    @property
    def status(self): return self.root.locator("[role=status][data-request]")
    @property
    def request(self): return int(self.status.get_attribute("data-request"))
    @property
    def shown(self): return self.root.locator("figure").get_attribute("data-sha256")
    @property
    def text(self): return self.status.inner_text()

    def settled(self, after=-1, state="done"):
        "Wait for the answer to a request later than `after`, and for it to be the last one."
        self.page.wait_for_function(f"([s, n, state]) => ({LAST})(s, n, state)", arg=[f".singan-{self.name} [role=status][data-request]", after, state])
        return self.text

    def says(self, text):
        "Wait for words in the status line."
        expect(self.status).to_contain_text(text)

    def press(self, name, key="ArrowRight", times=1):
        "Move a slider by the keyboard."
        before = self.request
        self.slider(name).focus()
        for _ in range(times): self.page.keyboard.press(key)
        return self.settled(before)

    def type(self, name, value, state="done"):
        before, field = self.request, self.field(name)
        field.fill(str(value)); field.press("Enter")
        return self.settled(before, state)

    def choose(self, name, option):
        before = self.request
        self.field(name).select_option(option)
        return self.settled(before)

    def tick(self, name):
        before = self.request
        self.root.get_by_role("checkbox", name=name).click()
        return self.settled(before)

    def reset(self, last):
        self.button("Reset").click()
        self.says(last); self.settled()

    def check(self, controller, **state):
        "The picture on the page is the one that the library makes."
        expected = controller.answer(**state).picture.png
        assert self.shown == sha256(expected).hexdigest(), f"{self.name}: not the picture of {state}; it says {self.text}"

    def keep(self):
        "A picture for the documentation; at the same time a look at names and alt text."
        image = self.root.locator("figure img")
        assert len(image.get_attribute("alt").split()) >= 6
        assert image.evaluate("e => e.complete && e.naturalWidth > 0")
        for control in self.root.locator("[role=slider]:visible, input:visible, select:visible, textarea:visible, canvas[tabindex]:visible").all():
            if control.get_attribute("type") in ("checkbox", "file"): continue        # named by the label around them
            assert control.get_attribute("aria-label"), control.evaluate("e => e.outerHTML")
        if SHOTS and self.page.kind == "lab":
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            Image.open(io.BytesIO(self.root.screenshot())).convert("RGB").save(Path(SHOTS)/f"{self.name}.webp", quality=80, method=6)


def test_scales(page):
    tool = Tool(page, "scales")
    height, first = tool.root.bounding_box()["height"], tool.shown
    reference = explore.ScalesController({"model": "dunes"})
    tool.check(reference)
    assert "start scale 1" in tool.press("start scale")
    tool.check(reference, start_scale=1)
    assert tool.shown != first and tool.root.bounding_box()["height"] == height
    tool.press("seed", times=3); tool.says("seeds [3,"); tool.check(reference, seed=3)
    sizes, n = ["{}×{}".format(*size) for size in reference.model.sizes], len(reference.model.sizes)
    tool.press(f"2 ({sizes[2]}): gain", "ArrowLeft", times=4); tool.says("[1.0, 1.0, 0.0,"); tool.check(reference, gain2=0.)
    last = tool.shown
    assert "at least 1 × 1" in tool.type("width, pixels", -5, state="error") and tool.shown == last
    tool.type("width, pixels", 200); tool.check(reference, width=200)
    tool.keep()
    tool.reset(f"start scale 0, seeds {[0]*n}, gains {[1.]*n}, {sizes[-1].replace('×', ' × ')}")
    tool.check(reference, **reference.defaults)


def test_a_fast_drag_leaves_one_final_picture(page):
    tool = Tool(page, "scales")
    tool.press("seed", times=25)
    tool.says("seeds [25,")
    page.wait_for_timeout(500)
    assert "seeds [25," in tool.text
    tool.check(explore.ScalesController({"model": "dunes"}), seed=25)
    tool.reset("seeds [0,")


def test_from_slider_to_picture(page):
    "In the middle of nine: under a second and a half at the size of the model, however busy the machine; the figures are printed."
    tool, times = Tool(page, "scales"), []
    for _ in range(9):
        begin = time.perf_counter()
        tool.press("seed")
        times.append(time.perf_counter() - begin)
    print(f"\n{page.kind}: from key to picture {1000*statistics.median(times):.0f} ms in the median of 9")
    assert statistics.median(times) < 1.5 or os.environ.get("CI") is None
    tool.reset("seeds [0,")


def test_pyramid(page):
    tool, reference = Tool(page, "pyramid"), explore.PyramidController({"image": "dunes"})
    tool.check(reference)
    tool.press("layers", "ArrowLeft", times=2); tool.says("7×7"); tool.check(reference, layers=3)
    tool.press("scale shown", times=2); tool.says("Scale 4"); tool.check(reference, scale=4)
    tool.keep()
    tool.press("coarsest scale", "Home"); tool.says("11 scales"); tool.check(reference, min_size=11)


def test_superres(page):
    tool, reference = Tool(page, "superres"), explore.SuperresController({"image": "dunes"})
    tool.check(reference)
    tool.keep()
    tool.press("pass", "Home"); tool.says("pass 1 of 3"); tool.check(reference, step=1)
    tool.press("split, %", "Home"); tool.check(reference, split=0)
    tool.tick("noise"); tool.says("noise off"); tool.check(reference, noise=False)
    tool.press("pass", "End"); tool.says("pass 3 of 3"); tool.check(reference, step=3)


def test_animation(page):
    tool, reference = Tool(page, "animation"), explore.AnimationController({"model": "dunes"})
    tool.check(reference)
    tool.press("frame shown", times=2); tool.says("frame 8 of 20"); tool.check(reference, frame=8)
    tool.keep()
    tool.tick("play"); tool.says("20 frames playing")
    assert tool.root.locator("figure img").get_attribute("src").startswith("data:image/gif")
    tool.check(reference, play=True)
    tool.tick("play"); tool.says("frame 8 of 20")


def test_critic(page):
    tool, reference = Tool(page, "critic"), explore.CriticController({"model": "dunes"})
    tool.check(reference)
    tool.press("iteration / 5", "ArrowLeft", times=2); tool.says("iteration 50,"); tool.check(reference, step=10)
    tool.press("window down, %", "Home"); tool.says("window 0 % down"); tool.check(reference, down=0)
    tool.keep()


def strokes(page, canvas):
    "A slanted line by the mouse, in the middle of the canvas."
    canvas.scroll_into_view_if_needed()
    place = canvas.bounding_box()
    page.mouse.move(place["x"] + .3*place["width"], place["y"] + .3*place["height"])
    page.mouse.down()
    page.mouse.move(place["x"] + .6*place["width"], place["y"] + .5*place["height"], steps=5)
    page.mouse.up()


def test_paint(page):
    tool, reference = Tool(page, "paint"), explore.PaintController({"model": "dunes"})
    k = reference.defaults["scale"]
    tool.check(reference)
    canvas = tool.root.locator("canvas[tabindex='0'][data-ready=true]")
    canvas.wait_for()
    content = lambda: canvas.evaluate("e => e.toDataURL('image/png')")
    before = content()
    count = tool.request
    tool.root.get_by_role("button", name="colour 2").click(); strokes(page, canvas); tool.settled(count)
    painted = content()
    assert painted != before
    tool.check(reference, drawing=painted)
    tool.press("scale"); tool.says(f"scale {k + 1}"); tool.check(reference, scale=k + 1)
    count = tool.request                                                         # and by the keyboard
    canvas.focus(); page.keyboard.press("Space")
    for _ in range(3): page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Space"); tool.settled(count)
    assert content() != painted
    tool.check(reference, drawing=content())
    tool.keep()
    count = tool.request
    page.keyboard.press("u"); tool.settled(count)
    assert content() == painted
    tool.check(reference, drawing=painted)
    tool.reset(f"scale {k} of"); tool.check(reference, **reference.defaults)
    assert content() == before


def test_an_upload_is_opened_as_a_picture_and_kept_nowhere(page):
    tool, red = Tool(page, "paint"), io.BytesIO()
    Image.new("RGB", (60, 40), "red").save(red, "PNG")
    def upload(content):
        with page.expect_file_chooser() as chooser: tool.root.get_by_role("button", name=re.compile("Upload a drawing")).click()
        chooser.value.set_files(dict(name='<img src=x onerror="document.title=1">.png', mimeType="image/png", buffer=content))
    first, title = tool.shown, page.title()
    upload(b"%!PS-Adobe-3.0 EPSF-3.0\n{} loop\n")
    tool.says("PostScript"); tool.says("<img src=x")
    assert tool.shown == first and page.title() == title
    for _ in range(2):                                                           # the same file again
        count = tool.request
        upload(red.getvalue()); tool.settled(count)
        assert tool.shown != first


def test_edit(page):
    tool, reference = Tool(page, "edit"), explore.EditController({"model": "dunes"})
    k = reference.defaults["scale"]
    tool.check(reference)
    tool.choose("what to do", "move"); tool.says("move"); tool.check(reference, kind="move")
    canvas = tool.root.locator("canvas[tabindex='0'][data-ready=true]")
    strokes(page, canvas)                                                        # marks a rectangle: four fields change
    expect(tool.root.get_by_role("textbox", name="top, %, typed", exact=True)).to_have_text("30")
    expect(tool.root.get_by_role("textbox", name="width, %, typed", exact=True)).to_have_text("30")
    tool.says("move"); page.wait_for_timeout(1000); tool.settled()
    tool.check(reference, top=30, left=30, height=20, width=30)
    tool.press("scale", times=1); tool.says(f"scale {k + 1}"); tool.check(reference, scale=k + 1)
    tool.keep()
    count = tool.request
    last = tool.shown
    tool.field("what to do").select_option("draw"); tool.settled(count, "error")
    assert "the mask is empty" in tool.text and tool.shown == last
    count = tool.request
    tool.root.get_by_role("button", name="colour 1").click(); strokes(page, canvas); tool.settled(count)
    tool.check(reference, kind="draw", drawing=canvas.evaluate("e => e.toDataURL('image/png')"))
    tool.reset(f"copy, enters at scale {k}"); page.wait_for_timeout(1000); tool.settled()
    tool.check(reference, **reference.defaults)


def test_training(page):
    tool = Tool(page, "training")
    tool.type("iterations", 3000)
    tool.button("Start").click()
    tool.says("iteration"); first = tool.shown
    page.wait_for_function("old => document.querySelector('.singan-training figure').dataset.sha256 != old", arg=first)
    begin = time.monotonic()
    tool.button("Pause").click(); tool.says("paused: model of 1 scale")
    print(f"\n{page.kind}: paused after {time.monotonic() - begin:.1f} s")
    folder = Path(re.search(r"in (\S+/run)", tool.text).group(1))
    assert (folder/"checkpoint.safetensors").exists()
    from singan_nb.runs import read_log
    rows = len(read_log(folder))
    tool.button("Resume").click(); tool.says("running: scale 0"); tool.says(" s left")
    tool.keep()
    tool.button("Stop").click(); tool.says("stopped: model of 1 scale")
    assert len(read_log(folder)) > rows
    expect(tool.button("Start")).to_be_enabled()


def test_an_interrupt_of_the_kernel_loses_nothing(page):
    "The cell that is in the way is interrupted; the training beside it goes on, and can still be paused."
    if page.kind != "lab": pytest.skip("Voilà has no kernel menu")
    from singan_nb.runs import read_log
    tool = Tool(page, "training")
    tool.type("iterations", 20000)
    tool.button("Start").click(); tool.says("running: scale 0")
    cell = run_at_the_end(page, "import time; print('waiting'); time.sleep(10**4)")
    expect(cell.locator(".jp-OutputArea")).to_contain_text("waiting")
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_role("menuitem", name="Interrupt Kernel").click()
    expect(cell.locator(".jp-OutputArea")).to_contain_text("KeyboardInterrupt")
    expect(tool.root.locator("figure")).to_be_visible(); tool.says("running: scale 0")
    shown = tool.shown
    page.wait_for_function("old => document.querySelector('.singan-training figure').dataset.sha256 != old", arg=shown)
    tool.button("Pause").click(); tool.says("paused: model of 1 scale")
    folder = Path(re.search(r"in (\S+/run\S*)", tool.text).group(1))
    iterations = [row[1] for row in read_log(folder)]
    assert (folder/"checkpoint.safetensors").exists() and iterations == list(range(len(iterations)))
    tool.button("Stop").click(); tool.says("stopped: model of 1 scale")


def test_save_writes_a_program_that_makes_the_same_picture(page, workplace, tmp_path, monkeypatch):
    import runpy
    tool = Tool(page, "scales")
    tool.press("seed", times=2); tool.says("seeds [2,")
    tool.button("Save picture and code").click(); tool.says("saved")
    picture = workplace/re.search(r"saved (\S+)", tool.text).group(1)
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(picture.with_suffix(".py")))
    assert (tmp_path/picture.name).read_bytes() == picture.read_bytes()
    assert tool.root.locator("textarea").input_value().startswith("from singan_nb.all import *")
    tool.reset("seeds [0,")


def test_no_thread_is_left_and_the_console_is_clean(page):
    if page.kind == "lab":
        for _ in range(2):                                                       # the scales' cell again: the old tool is closed
            cell = page.locator(".jp-CodeCell", has=page.locator(".singan-scales"))
            before = cell.locator(".singan-scales").evaluate("e => e.dataset.old = 'yes'")
            assert before == "yes"
            cell.locator(".jp-InputArea-editor").click(); page.keyboard.press("Control+Enter")
            page.locator(".singan-scales:not([data-old])").locator("figure").wait_for()
        tool = Tool(page, "scales")
        tool.press("seed"); tool.says("seeds [1,")
        assert answer(page, "[t.name for t in __import__('threading').enumerate() if t.name.startswith('explore')]") == "[]"
        assert answer(page, "__import__('matplotlib.pyplot').pyplot.get_fignums()") == "[]"
    known = re.compile("404|403|ERR_NAME_NOT_RESOLVED|ERR_INTERNET_DISCONNECTED|Failed to load resource")      # no network, no favicon
    assert [text for text in page.errors if not known.search(text)] == []


def run_at_the_end(page, code):
    "Run a cell of one's own at the notebook's end; returns the cell."
    page.locator(".jp-Notebook .jp-Cell").last.click(position=dict(x=5, y=5))
    page.keyboard.press("Escape"); page.keyboard.press("b"); page.keyboard.press("Enter")
    page.keyboard.insert_text(code); page.keyboard.press("Control+Enter")
    return page.locator(".jp-Notebook .jp-CodeCell").last


def answer(page, expression):
    "What the kernel prints for an expression."
    output = run_at_the_end(page, f"print({expression})").locator(".jp-OutputArea-output pre")
    output.wait_for()
    return output.inner_text().strip()


def test_after_a_restart_of_the_kernel_it_works_again(page):
    if page.kind != "lab": pytest.skip("Voilà has no kernel menu")
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_role("menuitem", name="Restart Kernel and Clear Outputs of All Cells…").click()
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    expect(page.locator(".singan-scales")).to_have_count(0)
    run_at_the_end(page, "from singan_nb.explore import *; explore_scales('dunes')").locator("figure").wait_for()
    tool = Tool(page, "scales")
    tool.press("start scale", times=2); tool.says("start scale 2,")
    tool.check(explore.ScalesController({"model": "dunes"}), start_scale=2)
