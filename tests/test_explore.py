"""The explorers without a browser: what they show, what they drop, what they leave behind, what they save."""
import ast
import base64
import gc
import io
import os
import runpy
import subprocess
import sys
import threading
import time
import weakref
import zlib
from datetime import datetime
from hashlib import sha256
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from conftest import same_weights
from PIL import EpsImagePlugin, Image, ImageFile

from singan_nb.all import (
    Config,
    SinGANError,
    animate,
    draw_windows,
    edit,
    enlarge_by_passes,
    harmonize,
    load_image,
    load_pretrained,
    paint_to_image,
    plan_enlargement,
    receptive_field,
    sample,
    schedule,
    to_tensor,
    train,
)

explore = pytest.importorskip("singan_nb.explore", exc_type=ImportError, reason="the explorers need ipywidgets and anywidget")


def controllers(model):
    "One controller of each kind that answers requests, with a change of its state."
    return [(explore.PyramidController({"image": "dunes"}), dict(layers=3)), (explore.ScalesController({"model": model}), dict(start_scale=1, gain2=2., other1=3, width=70)),
            (explore.SuperresController({"image": "dunes"}), dict(step=1)), (explore.AnimationController({"model": model}), dict(frames=4, frame=2)),
            (explore.CriticController({"model": model}, 10, 5), dict(step=1)), (explore.PaintController({"model": model}), dict(scale=2)),
            (explore.EditController({"model": model}), dict(kind="paste boats", scale=2))]


def test_the_package_gathers_the_names_of_its_modules():
    modules = [module for name, module in sys.modules.items() if name.startswith("singan_nb.explore.")]
    assert len(modules) == 11 and sorted(explore.__all__) == sorted(name for module in modules for name in module.__all__)
    assert "model: SinGAN, a model file" in explore.explore_scales.__doc__ and "023_scales.ipynb" in explore.ScalesController.__doc__


def explore_threads(): return [thread for thread in threading.enumerate() if thread.name.startswith("explore")]


def same_images(a, b): return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b))


def test_scales_shows_what_sample_draws(model):
    control = explore.ScalesController({"model": model})
    for state in (dict(seed=4), dict(start_scale=2, seed=5), dict(height=20, width=60)):
        given = {**control.state, **state}
        expected = sample(model, 1, given["seed"], start_scale=given["start_scale"], size=(given["height"], given["width"]))
        assert torch.equal(control.answer(**state).result, expected)


def test_scales_keeps_what_has_not_changed(model, monkeypatch):
    control, ran = explore.ScalesController({"model": model}), []
    run = control.run
    control.run = lambda scale, *rest: (ran.append(scale), run(scale, *rest))[1]
    control.answer(); assert len(ran) == 3
    ran.clear(); shown = control.answer(other2=7)
    assert ran == [model.scales[2]]
    fresh = explore.ScalesController({"model": model}).answer(other2=7)
    assert torch.equal(shown.result, fresh.result) and shown.picture.png == fresh.picture.png


def test_a_scale_without_noise_changes_nothing_below(model):
    with_noise, without = (explore.steer(model, [1]*3, gains) for gains in ([1, 1, 1], [1, 0, 1]))
    assert torch.equal(with_noise[0], without[0]) and not torch.equal(with_noise[1], without[1])
    base = model.scales[1].enlarge(without[0], model.sizes[1])
    assert torch.allclose(without[1], model.scales[1](None, base), atol=1e-5)


def test_the_others_show_what_the_library_makes(model):
    dunes = load_pretrained("dunes")
    (pyramid, a), _, (large, b), (film, c), _, (paint, d), (editing, e) = controllers(model)
    image = load_image("dunes")
    drawn = draw_windows(image, schedule(image.shape[-2:], 250, 25, scale_factor=.75).sizes, receptive_field(3), at=(.5, .5))
    assert pyramid.answer(**a).result.tobytes() == drawn.tobytes()
    plan = plan_enlargement(dunes.image.shape[-2:], 2.)
    assert torch.equal(large.answer(**b).result, next(iter(enlarge_by_passes(dunes, dunes.image, plan))))
    assert same_images(film.answer(**c).result, list(animate(model, frames=4, loop=True)))
    assert torch.equal(paint.answer(**d).result, paint_to_image(model, paint.background, 2))
    shown = editing.answer(**e)
    assert torch.equal(shown.result, harmonize(model, shown.inputs["edited"], shown.inputs["mask"], start_scale=2, grow=.05, feather=.04))
    shown = editing.answer(kind="move")
    assert torch.equal(shown.result, edit(model, shown.inputs["edited"], shown.inputs["mask"], start_scale=2, grow=.05, feather=.04))


def test_a_drawing_is_the_edit(model):
    control = explore.EditController({"model": model})
    with pytest.raises(SinGANError, match="mask is empty"): control.answer(kind="draw")
    painted = control.photograph.clone()
    painted[..., 5:12, 5:12] = -1
    shown = control.answer(drawing=explore.data_url(painted))
    assert shown.inputs["mask"].sum() == (painted != control.photograph).any(1).sum() and torch.equal(shown.inputs["edited"], painted)
    with pytest.raises(SinGANError, match="it must have 30×48"): control.answer(drawing=explore.data_url(painted[..., :9]))


def test_stale_requests_are_dropped():
    class Slow(explore.Controller):
        made = 0
        def show(self, state, check):
            for _ in range(10): time.sleep(.01); check()
            self.made += 1
            return explore.Shown(state["value"], None, "", "")
    control = Slow(value=0)
    for value in range(100): control.request(value=value)
    assert control.wait().result == 99 and control.made <= 3
    assert not explore_threads()


def test_cancel_keeps_the_last_picture():
    class Long(explore.Controller):
        def show(self, state, check):
            while state["long"]: time.sleep(.01); check()
            return explore.Shown("kept", None, "", "")
    control = Long(long=False)
    assert control.answer().result == "kept"
    control.request(long=True)
    while not control.busy: time.sleep(.01)
    control.cancel()
    with pytest.raises(SinGANError, match="cancelled"): control.wait()
    assert control.shown.result == "kept" and not explore_threads()
    assert control.answer(long=False).result == "kept"


def test_an_error_is_said_and_the_next_request_works(model):
    control = explore.ScalesController({"model": model})
    first = control.answer()
    with pytest.raises(SinGANError, match="at least 1 × 1"): control.answer(width=-3)
    assert control.shown is first
    with pytest.raises(SinGANError, match="two megapixels"): control.answer(width=10**6)
    assert control.answer(width=40).result.shape[-1] == 40
    control.show = lambda state, check: 1/0
    with pytest.raises(SinGANError, match="ZeroDivisionError"): control.answer()


def test_requests_from_many_threads_have_one_worker_and_one_end(model):
    control = explore.ScalesController({"model": model})
    def drag(k):
        for i in range(20): control.request(seed=100*k + i)
    threads = [threading.Thread(target=drag, args=(k,)) for k in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert torch.equal(control.wait().result, sample(model, 1, control.state["seed"])) and not explore_threads()


@pytest.mark.parametrize("kind", range(7))
def test_a_saved_program_makes_the_same_bytes(model, tmp_path, monkeypatch, kind):
    control, state = controllers(model)[kind]
    control.answer(**state)
    picture = explore.save_shown(control.shown, tmp_path, control.name, suffix=control.suffix)
    first = picture.read_bytes()
    again = explore.save_shown(control.shown, tmp_path, control.name, suffix=control.suffix)
    assert again != picture and again.read_bytes() == first
    picture.unlink()
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(picture.with_suffix(".py")))
    assert picture.read_bytes() == first


def test_the_view_follows_its_controller(model):
    view = explore.explore_scales(model)
    view.controls["seed"].value = 6
    view.controller.wait()
    shown = view.controller.shown
    assert sha256(shown.picture.png).hexdigest() in view.picture.value and 'data-state="done"' in view.status.value and "seeds [6, 6, 6]" in view.status.value
    assert "[6, 6, 6]" in view.code.value
    view.controls["width"].value = 0
    with pytest.raises(SinGANError): view.controller.wait()
    assert 'data-state="error"' in view.status.value and sha256(shown.picture.png).hexdigest() in view.picture.value
    view.reset(); view.controller.wait()
    assert view.controller.state == view.controller.defaults
    bundle = view._repr_mimebundle_()
    assert "<img alt=" in (bundle[0] if isinstance(bundle, tuple) else bundle)["text/html"]
    view.close()
    assert not explore_threads()


@pytest.mark.parametrize("name", ["pyramid", "superres", "animation", "critic", "paint", "edit", "training"])
def test_every_explorer_opens_and_closes(model, name, monkeypatch):
    given = "dunes" if name in ("pyramid", "superres", "training") else model
    options = dict(iters=5) if name == "critic" else {}
    view = getattr(explore, f"explore_{name}")(given, **options)
    assert view.controller.error is None and "<figure" in view.picture.value and view.code.value.startswith("from singan_nb.all import *")
    view.close()
    assert not explore_threads()


def test_no_figure_is_left(model):
    import matplotlib.pyplot as plt
    before = plt.get_fignums()
    explore.losses_picture([(0, i, 1., 0., 0., .1) for i in range(5)])
    explore.CriticController({"model": model}, 5, 5).answer(step=1)
    assert plt.get_fignums() == before


def test_a_training_paused_and_resumed_is_the_same(dunes, tmp_path):
    control = explore.TrainingController({"image": dunes}, tmp_path/"run")
    control.change(max_size=48, iters=12)
    control.start()
    while control.model is None and control.phase == "running":
        if (tmp_path/"run"/"config.json").exists(): control.pause()
        time.sleep(.01)
    assert "paused" in control.wait().says and not explore_threads()
    again = explore.TrainingController({"image": dunes}, tmp_path/"run")              # as after a restart of the kernel
    assert again.phase == "paused" and again.state["iters"] == 12
    again.start(); again.wait()
    alone = train(dunes, Config.preset("class", max_size=48, iters=12), progress=False)
    assert again.phase == "finished" and same_weights(again.model, alone)
    picture = explore.save_shown(again.shown, tmp_path, "training")
    assert torch.equal(again.shown.result, sample(alone, 1, seed=1)) and picture.exists()


def test_watching_takes_little_time(dunes):
    "The time that `present` takes is at most about a fiftieth of what passes."
    control = explore.TrainingController({"image": dunes})
    spent, present = [], control.present
    def timed(watch):
        begin = time.perf_counter(); present(watch); spent.append(time.perf_counter() - begin)
    control.present = timed
    control.change(max_size=40, iters=150)
    begin = time.perf_counter()
    control.start(); control.wait()
    whole = time.perf_counter() - begin
    assert spent and sum(spent[1:]) < .05*whole, f"{sum(spent[1:]):.2f} of {whole:.2f} s"
    control.close()


def test_stop_ends_and_start_begins_anew(dunes, tmp_path):
    control = explore.TrainingController({"image": dunes}, tmp_path/"run")
    control.change(max_size=40, iters=100000)
    control.start(); time.sleep(.5); control.stop()
    assert "stopped" in control.wait(60).says and not explore_threads()
    control.change(iters=2); control.start(); control.wait()
    assert control.phase == "finished" and control.folder == tmp_path/"run_2"
    control.change(iters=-1)
    with pytest.raises(SinGANError, match="iters=-1"): control.start(); control.wait()


def test_the_library_imports_without_widgets():
    code = """import sys
from singan_nb.all import *
for missing in ("ipywidgets", "anywidget", "IPython"):
    there = {name: sys.modules.pop(name) for name in [*sys.modules] if name.partition(".")[0] == missing or name == "singan_nb.explore"}
    sys.modules[missing] = None
    try: import singan_nb.explore
    except ImportError as problem: print(problem)
    del sys.modules[missing]
    sys.modules.update(there)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines() == [f"the explorers need {missing}, which is not installed; pip install 'singan_nb[explore]'" for missing in ("ipywidgets", "anywidget", "IPython")], done.stderr


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 48 30\n%%EndComments\n{} loop\n"


@pytest.fixture
def no_ghostscript(tmp_path, monkeypatch):
    "A stand-in for Ghostscript that leaves a note when it is called; the note must not exist in the end."
    note, gs = tmp_path/"called", tmp_path/"bin"/"gs"
    gs.parent.mkdir()
    gs.write_text(f"#!/bin/sh\necho called >> '{note}'\n")
    gs.chmod(0o755)
    monkeypatch.setenv("PATH", str(gs.parent), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)                 # Pillow looks for it again
    yield note
    assert not note.exists()


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
def test_the_stand_in_for_ghostscript_would_be_called(no_ghostscript):
    with pytest.raises(OSError): Image.open(io.BytesIO(POSTSCRIPT)).load()
    assert no_ghostscript.exists()
    no_ghostscript.unlink()


def encoded(form, size=(48, 30)):
    "A picture of that size as a file of that form."
    buffer = io.BytesIO()
    Image.new("RGB", size, "#446688").save(buffer, form)
    return buffer.getvalue()


def address(content): return "data:image/png;base64," + base64.b64encode(content).decode()


NO_PNG = dict(postscript=POSTSCRIPT, dos_postscript=b"\xc5\xd0\xd3\xc6" + (32).to_bytes(4, "little") + bytes(24) + POSTSCRIPT, pdf=b"%PDF-1.7\n", svg=b"<svg xmlns='http://www.w3.org/2000/svg'/>",
              text=b"hello", nothing=b"", signature=b"\x89PNG\r\n\x1a\n", half=encoded("PNG")[:60],
              **{form.lower(): encoded(form) for form in ("JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "EPS", "ICO", "TGA")})


@pytest.mark.parametrize("kind", NO_PNG)
def test_a_drawing_is_a_png_and_nothing_else(model, no_ghostscript, kind):
    with pytest.raises(SinGANError, match="the drawing"): explore.from_data_url(address(NO_PNG[kind]), (30, 48))


@pytest.mark.parametrize("kind", [b"iCCP", b"tRNS", b"cHRM", b"iTXt", b"zTXt", b"eXIf"])
def test_a_drawing_with_a_damaged_end_is_read_or_refused(kind):
    "An empty chunk after the pixels: Pillow raises whatever comes to it."
    png = encoded("PNG")
    damaged = png[:-12] + bytes(4) + kind + zlib.crc32(kind).to_bytes(4, "big") + png[-12:]
    try: assert explore.from_data_url(address(damaged), (30, 48)).shape == (1, 3, 30, 48)
    except SinGANError as error: assert str(error).startswith("the drawing is damaged (")
    else: assert kind != b"iCCP"


def test_what_a_browser_sends_as_a_drawing_starts_no_program(model, no_ghostscript):
    "From the canvas to the status line, for both tools that have one."
    for view in (explore.explore_paint(model), explore.explore_edit(model)):
        first = view.controller.shown
        if "kind" in view.controls: view.controls["kind"].value = "draw"
        for value in (address(POSTSCRIPT), "data:application/postscript;base64," + base64.b64encode(POSTSCRIPT).decode(), "data:image/png;base64,%%%", "x"*10**7, "\0", "data:image/png;base64,ÄÖ"):
            view.controls["drawing"].value = value
            with pytest.raises(SinGANError): view.controller.wait()
            assert 'data-state="error"' in view.status.value and len(view.status.value) < 1000 and view.controller.shown is first
        view.close()


def test_the_size_of_a_drawing_is_compared_before_it_is_unpacked(monkeypatch):
    assert explore.from_data_url(address(encoded("PNG")), (30, 48)).shape == (1, 3, 30, 48)
    def load(self): raise AssertionError("it was unpacked")
    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    for content in (encoded("PNG", (30, 48)), encoded("PNG", (3000, 3000))):
        with pytest.raises(SinGANError, match="it must have 30×48"): explore.from_data_url(address(content), (30, 48))
    with pytest.raises(SinGANError, match="smaller"): explore.from_data_url(address(bomb(13000, 13000)), (30, 48))
    with pytest.raises(SinGANError, match="letters"): explore.from_data_url(address(bytes(10**6)), (30, 48))


def bomb(height, width):
    "A PNG of a few hundred bytes that says it is large."
    png = bytearray(encoded("PNG"))
    png[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    png[29:33] = zlib.crc32(png[12:29]).to_bytes(4, "big")
    return bytes(png)


NAMES = ["", ".", "..", "../../etc/passwd", "a/b", "c:\\d", "x"*300, "nul\0nul", "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onload='x", "two\nlines\r\x85\u2028", "\x1b[31mred\x1b]0;title\x07",
         "`$(touch x)`; rm", "'; import os; os.abort() #", '"""', "{name}%s", "\u202etxt.exe", "&amp;&lt;", "\udcff\udce9", "-rf", "CON", "日本"]


def upload(view, *pairs):
    "As if a visitor had chosen files."
    field, = (part for part in explore.belongings(view) if isinstance(part, explore.view.widgets.FileUpload))
    field.value = [dict(name=name, type="image/png", size=len(content), content=memoryview(content), last_modified=datetime.now()) for name, content in pairs]
    return field


class Tags(HTMLParser):
    "The tags and attributes of a text, as a browser would find them."
    def __init__(self, text):
        super().__init__()
        self.found = set()
        self.feed(text); self.close()
    def handle_starttag(self, tag, attributes): self.found |= {tag, *(f"{tag} {name}" for name, _ in attributes)}


OUR_TAGS = {"figure", "figure data-request", "figure data-sha256", "figure style", "img", "img alt", "img style", "img src", "div", "div role", "div data-request", "div data-state", "div style"}


def check_view(view):
    "Nothing in a view is markup that is not ours, or would break a line or a program; all of it can be sent."
    for text in (view.status.value, view.picture.value, explore.small(view.controller.shown.picture)._repr_html_()):
        assert Tags(text).found <= OUR_TAGS and text.isprintable(), text[:300]
    ast.parse(view.code.value)
    view.code.value.encode(), view.status.value.encode()


def test_an_upload_may_have_any_name(model, tmp_path, monkeypatch, no_ghostscript):
    monkeypatch.chdir(tmp_path)
    view, red, before = explore.explore_paint(model), io.BytesIO(), set(tmp_path.rglob("*"))
    Image.new("RGB", (48, 30), "red").save(red, "PNG")
    for name in NAMES:
        view.controller.background = None
        assert upload(view, (name, red.getvalue())).value == ()
        assert view.controller.wait().inputs["drawing"][0, :, 0, 0].tolist() == [1, -1, -1]
        check_view(view)
        upload(view, (name, POSTSCRIPT))
        assert 'data-state="error"' in view.status.value and "PostScript" in view.status.value and len(view.status.value) < 900
        check_view(view)
    assert set(tmp_path.rglob("*")) == before
    view.close()


@pytest.mark.parametrize("content, says", [(b"GIF89a" + (9400).to_bytes(2, "little")*2 + b"\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;", "smaller"), (bomb(5000, 5000), "smaller"),
                                           (bytes(2**23 + 1), "8,388,608"), (b"", "empty"), (encoded("PNG")[:70], "damaged"), (b"%PDF-1.7", "PDF"), (encoded("ICO"), "icon")])
def test_an_upload_beyond_the_limits_is_refused_before_it_is_unpacked(model, content, says, monkeypatch):
    view = explore.explore_paint(model)
    background, unpacked = view.controller.background, []
    load = ImageFile.ImageFile.load
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: (unpacked.append(self.size), load(self))[1])
    upload(view, ("a.png", content))
    assert says in view.status.value and view.controller.background is background and all(h*w < 10**6 for h, w in unpacked)
    upload(view, ("a.png", encoded("PNG")), ("b.png", encoded("PNG")))
    assert "one picture at a time, not 2" in view.status.value and view.controller.background is background
    view.close()


def test_an_upload_without_content_is_said():
    for file in ({}, dict(name="a"), dict(name=None, content=None), dict(name=3, content="text"), dict(name="a", content=10**12)):
        with pytest.raises(SinGANError): explore.uploaded([file])


def file_names(): return [name for name in NAMES if not set("/\\\0") & set(name) and name.strip(".") and len(name) < 200]


@pytest.mark.skipif(sys.platform != "linux", reason="file systems of other platforms refuse many of these names")
def test_names_of_files_are_shown_and_never_obeyed(model, tmp_path):
    image, weights = tmp_path/"image.png", model.save(tmp_path/"model.safetensors")
    image.write_bytes(encoded("PNG"))
    for name in file_names():
        folder = tmp_path/f"of {name}"
        folder.mkdir()
        picture, file = folder/f"{name}.png", folder/f"{name}.safetensors"
        os.symlink(image, picture)
        os.symlink(weights, file)
        views = [(explore.explore_pyramid(str(picture)), picture), (explore.explore_training(picture, folder/"run"), picture)]
        if "\udcff" not in name: views.append((explore.explore_scales(file), file))              # safetensors opens names in UTF-8 alone
        for view, path in views:
            check_view(view)
            opener = next(node for node in ast.walk(ast.parse(view.code.value)) if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant))
            assert opener.args[0].value == str(path)                               # "copy as code" opens this very file
            view.folder = folder
            if not isinstance(view, explore.TrainingExplorer):
                view.save(); assert 'data-state="done"' in view.status.value
                check_view(view)
            view.close()


def open_files(): return len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0


@pytest.mark.parametrize("name", ["scales", "pyramid", "superres", "animation", "critic", "paint", "edit", "training"])
def test_a_closed_explorer_leaves_nothing(model, name):
    from ipywidgets.widgets.widget import _instances
    given = "dunes" if name == "superres" else load_image("dunes")[..., :40, :60] if name in ("pyramid", "training") else model
    options = dict(iters=5) if name == "critic" else {}
    def cycle():
        view = getattr(explore, f"explore_{name}")(given, **options)
        assert len(_instances) > before + 20
        kept = [weakref.ref(view), weakref.ref(view.controller), *map(weakref.ref, view.controls.values())]
        view.close(); view.close()
        assert view._repr_mimebundle_() == {"text/plain": "closed explorer"}
        with pytest.raises(SinGANError, match="this explorer is closed; open it again"): view.save()
        assert repr(view) == "closed explorer" and kept[1]() is None               # the controller is gone at once, with its model and pictures
        return kept
    before = len(_instances)
    cycle()
    gc.collect()
    held = len(_instances), open_files(), threading.active_count()
    assert held[0] == before
    for _ in range(2):
        kept = cycle()
        gc.collect()
        assert [ref() for ref in kept] == [None]*len(kept)
    assert (len(_instances), open_files(), threading.active_count()) == held


def test_an_explorer_that_cannot_open_leaves_nothing(model, monkeypatch):
    from ipywidgets.widgets.widget import _instances
    before = len(_instances)
    monkeypatch.setattr(explore.ScalesController, "show", lambda *args: 1/0)
    with pytest.raises(SinGANError, match="ZeroDivisionError"): explore.explore_scales(model)
    assert len(_instances) == before and not explore_threads()


def test_a_cell_that_runs_again_closes_and_forgets(model, monkeypatch):
    "What JupyterLab says of the cell is imitated; output and history of a notebook still hold the view."
    run = dict(metadata=dict(cellId="a"), header=dict(msg_id="1"))
    monkeypatch.setattr(explore.view, "get_ipython", lambda: type("Kernel", (), dict(get_parent=staticmethod(lambda: run))))
    first, beside = explore.explore_scales(model), explore.explore_pyramid("dunes")
    controllers = [weakref.ref(view.controller) for view in (first, beside)]
    run["header"] = dict(msg_id="2")
    second = explore.explore_scales(model)
    gc.collect()
    assert first.comm is None and beside.comm is None and second.comm is not None and [ref() for ref in controllers] == [None, None]
    second.close()


@pytest.mark.parametrize("form", ["pillow", "array", "bytes", "tensor"])
def test_a_picture_in_any_form_is_saved_beside_its_program(tmp_path, form, monkeypatch):
    picture = Image.open(io.BytesIO(encoded("PNG", (80, 60))))
    given = dict(pillow=picture, array=np.asarray(picture), bytes=encoded("PNG", (80, 60)), tensor=to_tensor(np.asarray(picture)))[form]
    control = explore.PyramidController({"image": given})
    control.answer(max_size=80)
    saved = explore.save_shown(control.shown, tmp_path, "pyramid")
    first = saved.read_bytes()
    saved.unlink()
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(saved.with_suffix(".py")))
    assert saved.read_bytes() == first
