"""The explorers without a browser: what they show, what they drop, what they leave behind, what they save."""
import runpy
import subprocess
import sys
import threading
import time
from hashlib import sha256

import pytest
import torch
from conftest import same_weights

from singan_nb.all import (Config, SinGANError, animate, draw_windows, edit, enlarge_by_passes, harmonize, load_image, load_pretrained, paint_to_image,
                           plan_enlargement, receptive_field, sample, schedule, train)

explore = pytest.importorskip("singan_nb.explore", exc_type=ImportError, reason="the explorers need ipywidgets and anywidget")


def controllers(model):
    "One controller of each kind that answers requests, with a change of its state."
    return [(explore.PyramidController({"image": "dunes"}), dict(layers=3)), (explore.ScalesController({"model": model}), dict(start_scale=1, gain2=2., other1=3, width=70)),
            (explore.SuperresController({"image": "dunes"}), dict(step=1)), (explore.AnimationController({"model": model}), dict(frames=4, frame=2)),
            (explore.CriticController({"model": model}, 10, 5), dict(step=1)), (explore.PaintController({"model": model}), dict(scale=2)),
            (explore.EditController({"model": model}), dict(kind="paste boats", scale=2))]


def explore_threads(): return [thread for thread in threading.enumerate() if thread.name.startswith("explore")]


def same_images(a, b): return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b))


def test_scales_shows_what_sample_draws(model):
    control = explore.ScalesController({"model": model})
    for state in (dict(seed=4), dict(start_scale=2, seed=5), dict(height=20, width=60)):
        given = {**control.state, **state}
        expected = sample(model, 1, given["seed"], given["start_scale"], (given["height"], given["width"]))
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
    drawn = draw_windows(image, schedule(image.shape[-2:], 250, 25, .75).sizes, receptive_field(3), (.5, .5))
    assert pyramid.answer(**a).result.tobytes() == drawn.tobytes()
    plan = plan_enlargement(dunes.image.shape[-2:], 2.)
    assert torch.equal(large.answer(**b).result, next(iter(enlarge_by_passes(dunes, dunes.image, plan))))
    assert same_images(film.answer(**c).result, list(animate(model, frames=4, loop=True)))
    assert torch.equal(paint.answer(**d).result, paint_to_image(model, paint.background, 2))
    shown = editing.answer(**e)
    assert torch.equal(shown.result, harmonize(model, shown.inputs["edited"], shown.inputs["mask"], 2, .05, .04))
    shown = editing.answer(kind="move")
    assert torch.equal(shown.result, edit(model, shown.inputs["edited"], shown.inputs["mask"], 2, .05, .04))


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
    picture = explore.save_shown(control.shown, tmp_path, control.name, control.suffix)
    first = picture.read_bytes()
    again = explore.save_shown(control.shown, tmp_path, control.name, control.suffix)
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


def test_the_library_imports_without_widgets(tmp_path):
    code = ("import sys; sys.modules['ipywidgets'] = None\nfrom singan_nb.all import *\nprint('fine')\n"
            "try: import singan_nb.explore\nexcept ImportError as problem: print(problem)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["fine", "the explorers need ipywidgets, which is not installed; pip install 'singan_nb[explore]'"], done.stderr
