"""Animation: the walk, the first frame, loops, files, memory."""
import importlib.util
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from test_sampling import resident

from singan_nb.all import (
    ModelError,
    SinGAN,
    SinGANError,
    animate,
    check_film,
    closed,
    init_weights,
    load_image,
    load_pretrained,
    movement,
    pretrained_models,
    rmse,
    sample,
    save_animation,
    seeded,
    to_pixels,
    walk,
    white_noise,
)
from singan_nb.cli import run_command
from singan_nb.models import Scale
from singan_nb.networks import Generator

animate_module = sys.modules["singan_nb.animate"]

HAS_ENCODER = importlib.util.find_spec("imageio_ffmpeg") is not None


def steps(frames): return [rmse(a, b) for a, b in zip(frames, frames[1:])]


@pytest.mark.parametrize("border", ["zero", "noise"])
@pytest.mark.parametrize("start_scale", [0, 1, 2])
def test_the_first_frame_is_the_reconstruction(model, start_scale, border):
    assert torch.equal(next(animate(model, start_scale, border=border)), model.reconstruct().clamp(-1, 1))


@pytest.mark.parametrize("border", ["zero", "noise"])
@pytest.mark.parametrize("start_scale", [0, 1, 2])
def test_at_another_size_the_first_frame_is_what_enters_without_noise(model, start_scale, border):
    size, sizes = (25, 61), model.sizes_for((25, 61))
    still = model([None]*(3 - start_scale), model.entry(start_scale, sizes), start_scale, sizes=sizes) if start_scale else model.reconstruct(size=size)
    assert torch.allclose(next(animate(model, start_scale, border=border, size=size)), still.clamp(-1, 1), atol=1e-6)


def test_frames_differ_less_than_samples(model):
    for start_scale in range(3):
        samples = sample(model, 8, seed=1, start_scale=start_scale)
        assert max(steps(list(animate(model, start_scale, frames=20)))) < min(steps(list(samples[:, None])))


@pytest.mark.parametrize("name", pretrained_models())
def test_default_films_move(name):
    "Visibly: by 1.3 grey levels at least, a still being 0; and from frame to frame by less than half of what two samples differ by."
    model = load_pretrained(name)
    film, samples = list(animate(model, frames=24, seed=1)), sample(model, 4, seed=1)
    assert movement(film) >= 1.3
    assert max(steps(film)) < .5*min(steps(list(samples[:, None])))


def test_movement_in_grey_levels():
    "By hand: half of the values swing by 0.1 around 0, the others stand still."
    frames = [torch.cat([torch.full((1, 3, 2, 4), sign*.1), torch.ones(1, 3, 2, 4)], 3) for sign in (1, -1, 1, -1)]
    assert movement(iter(frames)) == pytest.approx(.05*127.5) and movement(frames[:1]) == 0


def test_a_seed_is_a_film(model):
    one, two = (list(animate(model, 1, frames=6, seed=4)) for _ in range(2))
    assert all(map(torch.equal, one, two)) and torch.equal(list(animate(model, 1, frames=3, seed=4))[2], one[2])
    assert not torch.equal(list(animate(model, 1, frames=6, seed=5))[5], one[5])


def test_a_loop_closes(model):
    frames = list(animate(model, 0, frames=24, loop=True))
    assert len(frames) == 24 and rmse(frames[-1], frames[0]) < 1.3*max(steps(frames))
    assert len(list(animate(model, 0, frames=1, loop=True))) == 1
    begin = lambda: walk((3, 4), 0, .9, rng=seeded(0))
    assert len(list(closed(begin, 7))) == 7


def test_a_loop_is_bent_smoothly():
    "By hand, for a walk that goes straight on: 0, 1, 2, 3, and would be at 4. At the seam it neither jumps nor turns."
    frames = torch.stack(list(closed(lambda: iter(torch.arange(9.)), 4)))
    assert torch.allclose(frames, torch.tensor([0, 1 - 4*(1/16)*(3 - 2/4), 2 - 4*(1/4)*(3 - 1), 3 - 4*(9/16)*(3 - 6/4)]))
    straight = torch.stack(list(closed(lambda: iter(torch.arange(1001.)), 1000)))
    steps = straight.diff()
    assert abs(steps[0] - 1) < .01 and abs(steps[-1] - 1) < .01 and abs(steps[500] + .5) < .01      # bent in the middle, not at the ends


def test_grey_noise_stays_grey(model):
    walks = walk((4, 5), .1, .9, rng=seeded(0), grey=True)
    for _ in range(4): frame = next(walks)
    assert frame.abs().max() > 0 and torch.equal(frame[:, 0], frame[:, 2])


@pytest.mark.parametrize("arguments, words", [
    (dict(start_scale=3), "0 .coarsest. to 2"), (dict(start_scale=-1), "does not exist"), (dict(alpha=-.1), "at least 0 and at most 1"),
    (dict(alpha=float("nan")), "alpha=nan"), (dict(beta=1), "below 1"), (dict(frames=0), "at least 1"), (dict(border="mirror"), "zero, noise"), (dict(size=(0, 9)), "at least 1 × 1")])
def test_refusals_come_before_the_first_frame(model, arguments, words):
    with pytest.raises(SinGANError, match=words): animate(model, **arguments)


@pytest.mark.parametrize("size", [(30, 48), (31, 47)])
@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_files(model, tmp_path, suffix, size):
    frames = list(animate(model, 0, frames=7, size=size))
    file = save_animation(iter(frames), tmp_path/f"film{suffix}", fps=20)
    with Image.open(file) as film:
        assert film.n_frames == 7 and film.size == size[::-1] and film.info["loop"] == 0
        for t, frame in enumerate(frames):
            film.seek(t); film.load()
            assert film.info["duration"] == 50
            assert np.abs(np.asarray(film.convert("RGB"), float) - to_pixels(frame)).mean() < 12
    assert os.listdir(tmp_path) == [file.name]


@pytest.mark.skipif(not HAS_ENCODER, reason="needs imageio-ffmpeg")
@pytest.mark.parametrize("size", [(30, 48), (31, 47)])
def test_mp4(model, tmp_path, size):
    import imageio_ffmpeg
    frames = list(animate(model, 0, frames=7, size=size))
    reader = imageio_ffmpeg.read_frames(str(save_animation(frames, tmp_path/"film.mp4", fps=25)))
    about, pictures = next(reader), list(reader)
    assert about["fps"] == 25 and about["size"] == (48, size[0] + size[0] % 2) and len(pictures) == 7
    shown = np.frombuffer(pictures[3], np.uint8).reshape(about["size"][1], 48, 3)[:size[0], :size[1]]
    assert np.abs(shown.astype(float) - to_pixels(frames[3])).mean() < 12


@pytest.mark.skipif(HAS_ENCODER, reason="imageio-ffmpeg is there")
def test_mp4_says_what_it_needs(model, tmp_path):
    with pytest.raises(SinGANError, match=r"pip install 'singan_nb\[video\]'"): save_animation(animate(model, 1, frames=2), tmp_path/"film.mp4")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("name, fps, words", [("film.avi", 10, ".gif .webp .mp4"), ("film", 10, "suffix"), ("film.gif", 0, "fps=0"), ("film.gif", 60, "at most 50"), ("film.webp", float("nan"), "fps=nan")])
def test_no_such_file(model, tmp_path, name, fps, words):
    with pytest.raises(SinGANError, match=words): save_animation(animate(model, 1, frames=2), tmp_path/name, fps)
    assert not os.listdir(tmp_path)


def test_a_film_that_breaks_off_leaves_nothing(model, tmp_path):
    def broken():
        yield next(animate(model, 1))
        raise KeyboardInterrupt
    for suffix in (".gif", ".webp"):
        with pytest.raises(KeyboardInterrupt): save_animation(broken(), tmp_path/f"film{suffix}")
    assert not os.listdir(tmp_path)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads memory from /proc")
@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_a_hundred_frames_at_250_pixels_do_not_grow_memory(tmp_path, suffix):
    model, after = SinGAN(torch.zeros(1, 3, 160, 250)), []
    for k, size in enumerate([(40, 62), (80, 125), (160, 250)]):
        model.scales.append(Scale(init_weights(Generator(4), seeded(0)), size, [1, .1, .1][k], z_star=white_noise(size) if k == 0 else None))
    def watched():
        for frame in animate(model.eval(), 0, frames=100, loop=True): after.append(resident()); yield frame
    save_animation(watched(), tmp_path/f"film{suffix}")
    assert len(after) == 100 and after[-1] - after[20] < 10           # the frames themselves are 48 MB


def test_command(model, tmp_path, capsys):
    model.save(tmp_path/"model.safetensors")
    base = ["animate", str(tmp_path), "--out"]
    assert run_command([*base, str(tmp_path/"a.gif"), "--start-scale", "1", "--alpha", ".2", "--beta", ".8", "--frames", "5", "--fps", "8", "--loop"]) == 0
    assert "a.gif, 5 frames of 30×48 pixels, 0.6 s, from scale 1 of 0 to 2\n" in capsys.readouterr().out
    with Image.open(tmp_path/"a.gif") as film: assert film.n_frames == 5 and film.info["duration"] == 120
    assert run_command([*base, str(tmp_path/"c.webp"), "--frames", "4", "--strip"]) == 0
    said = capsys.readouterr().out
    assert "from scale 0 of 0 to 2, chosen; --start-scale sets it\n" in said and f"wrote {tmp_path/'c_strip.png'}" in said
    assert load_image(tmp_path/"c_strip.png").shape[-2] > 160
    before = sorted(os.listdir(tmp_path))
    for wrong, words in ((["b.gif", "--start-scale", "9"], "0 (coarsest) to 2"), (["b.avi"], ".gif .webp .mp4"), (["b.gif", "--alpha", "2"], "alpha=2.0"), (["b.gif", "--frames", "0"], "frames=0"),
                         (["b.gif", "--fps", "-1"], "fps=-1"), (["model.safetensors/b.gif"], "model.safetensors is no folder"), (["b.gif", "--border", "x"], "zero, noise")):
        assert run_command([*base, str(tmp_path/wrong[0]), *wrong[1:]]) == 2
        said = capsys.readouterr().err
        assert words in said and said.startswith("error: ") and said.count("\n") == 1, said
    assert sorted(os.listdir(tmp_path)) == before


def test_an_unfinished_model_is_refused():
    with pytest.raises(ModelError, match="no scale yet"): animate(SinGAN(torch.zeros(1, 3, 20, 20)))


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_frames_in_every_form(model, tmp_path, suffix):
    "Pillow pictures, arrays and tensors of any float type are the same film; what a filter overshoots is clipped."
    frames = list(animate(model, frames=3))
    forms = [[to_pixels(x) for x in frames], [Image.fromarray(to_pixels(x)) for x in frames], [x.double() for x in frames], torch.cat(frames), (x for x in frames), [x.clone().requires_grad_() for x in frames]]
    expected = save_animation(frames, tmp_path/f"film{suffix}").read_bytes()
    for form in forms: assert save_animation(form, tmp_path/f"other{suffix}").read_bytes() == expected
    assert save_animation([frames[0]*0 + 1.4], tmp_path/f"other{suffix}").read_bytes() == save_animation([frames[0]*0 + 1], tmp_path/f"film{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
@pytest.mark.parametrize("frames, words", [([], "no frames"), ([torch.zeros(1, 3, 4, 5), torch.zeros(1, 3, 5, 4)], "frame 1 has 5×4 pixels, the first 4×5"), ([torch.full((1, 3, 4, 5), float("nan"))], "NaN"), ([3], "a picture must be"), ([None], "a picture must be")])
def test_frames_that_cannot_be_written_leave_no_file(tmp_path, suffix, frames, words):
    with pytest.raises(SinGANError, match=words): save_animation(frames, tmp_path/f"film{suffix}")
    assert not list(tmp_path.iterdir())


WRONG_FILMS = {"one array": np.zeros((9, 9, 3), np.uint8), "one tensor": torch.zeros(3, 9, 9), "a number": 3, "nothing": None, "a name": "dunes", "grey levels": [torch.rand(1, 3, 9, 9)*255],
               "two in one": [torch.zeros(2, 3, 9, 9)], "whole numbers": torch.zeros(2, 3, 9, 9, dtype=torch.uint8)}


@pytest.mark.parametrize("name", WRONG_FILMS)
def test_one_picture_is_no_film_and_grey_levels_are_no_picture(tmp_path, name):
    with pytest.raises(SinGANError, match="frames must be several|must lie in|must have the shape|must hold floats") as refused: save_animation(WRONG_FILMS[name], tmp_path/"film.gif")
    assert "\n" not in str(refused.value) and not list(tmp_path.iterdir())


def test_an_array_of_pictures_is_a_film(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (4, 9, 11, 3), dtype=np.uint8)
    with Image.open(save_animation(pixels, tmp_path/"film.gif")) as film: assert film.n_frames == 4 and film.size == (11, 9)


@pytest.mark.parametrize("wrong, words", [(dict(alpha="a"), "alpha='a' must be a number"), (dict(beta=None), "beta=None must be a number"), (dict(frames=2.5), "whole number"), (dict(start_scale=.5), "whole number"), (dict(size=3), "two whole numbers")])
def test_what_is_no_number_is_refused_before_the_first_frame(model, wrong, words):
    with pytest.raises(SinGANError, match=words): animate(model, **wrong)


def test_the_format_is_checked_before_the_first_frame(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    def never(): raise AssertionError("a frame was asked for"); yield
    for name, fps, words in (("film.mp4", 10, r"pip install 'singan_nb\[video\]'"), ("film.avi", 10, "suffix"), ("film.gif", 1000, "fps=1000"), ("film.gif", "fast", "fps='fast' must be a number")):
        with pytest.raises(SinGANError, match=words): save_animation(never(), tmp_path/name, fps)


LINES = [torch.zeros(1, 3, 2, 17000)]*2                     # too wide for WebP and for H.264


@pytest.mark.parametrize("suffix, most", [(".gif", 65535), (".webp", 16383), (".mp4", 16384)])
def test_frames_too_large_for_the_format_are_refused_before_the_work(tmp_path, monkeypatch, suffix, most):
    monkeypatch.setattr("singan_nb.animate._encoder", lambda: None)
    check_film(tmp_path/f"film{suffix}", 10, (most, 3))
    for size in ((most + 1, 3), (3, most + 1)):
        with pytest.raises(SinGANError, match=rf"{size[0]}×{size[1]} pixels are too large for {suffix}, whose sides have at most {most}"): check_film(tmp_path/f"film{suffix}", 10, size)
    asked = []
    def frames():
        for frame in [torch.zeros(1, 3, 1, most + 1)]*2: asked.append(1); yield frame
    with pytest.raises(SinGANError, match="too large"): save_animation(frames(), tmp_path/f"film{suffix}")
    assert len(asked) == 1 and not list(tmp_path.iterdir())


@pytest.mark.skipif(not HAS_ENCODER, reason="needs imageio-ffmpeg")
def test_an_encoder_that_fails_is_an_error_and_the_old_film_survives(tmp_path, monkeypatch, capfd):
    (tmp_path/"film.mp4").write_bytes(b"an older film")
    monkeypatch.setitem(animate_module.LONGEST_SIDES, ".mp4", 10**6)
    with pytest.raises(SinGANError, match=r"^the MP4 cannot be written: ffmpeg says 'invalid width x height \(17000x2\)'$"): save_animation(LINES, tmp_path/"film.mp4")
    assert capfd.readouterr().err == "" and os.listdir(tmp_path) == ["film.mp4"] and (tmp_path/"film.mp4").read_bytes() == b"an older film"


@pytest.mark.skipif(os.name == "nt", reason="needs a shell")
@pytest.mark.parametrize("script, words", [("echo '[mp4 @ 0x55] No space left' >&2; echo more >&2; cat > /dev/null; exit 3", "ffmpeg says 'No space left'"), ("exit 0", "ffmpeg ended before the film did"), ("cat > /dev/null; exit 1", "ffmpeg ended")])
def test_the_exit_status_of_an_encoder_is_read(tmp_path, monkeypatch, script, words):
    "Also that of one that takes no frame and is content."
    (tmp_path/"ffmpeg").write_text(f"#!/bin/sh\nfor last; do :; done; echo film > $last\n{script}\n"); (tmp_path/"ffmpeg").chmod(0o755)
    monkeypatch.setattr("singan_nb.animate._encoder", lambda: SimpleNamespace(get_ffmpeg_exe=lambda: str(tmp_path/"ffmpeg")))
    with pytest.raises(SinGANError, match=words): save_animation([torch.zeros(1, 3, 200, 300)]*2, tmp_path/"film.mp4")
    assert os.listdir(tmp_path) == ["ffmpeg"]


@pytest.mark.skipif(not HAS_ENCODER, reason="needs imageio-ffmpeg")
def test_the_encoder_takes_no_path_for_an_option_or_an_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("-d", "a:b", "http:"): assert save_animation([torch.zeros(1, 3, 16, 16)]*2, f"{folder}/x.mp4").stat().st_size > 500


@pytest.mark.skipif(not HAS_ENCODER, reason="needs imageio-ffmpeg")
def test_a_film_that_breaks_off_ends_the_encoder(tmp_path, monkeypatch):
    started, Popen = [], subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **options: started.append(Popen(*args, **options)) or started[-1])
    def broken():
        yield torch.zeros(1, 3, 16, 16)
        raise OSError("a frame of one's own that cannot be read")
    with pytest.raises(OSError, match="of one's own"): save_animation(broken(), tmp_path/"film.mp4")
    assert len(started) == 1 and started[0].returncode and started[0].stdin.closed and not os.listdir(tmp_path)
