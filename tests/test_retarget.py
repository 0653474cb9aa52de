"""Retargeting: what is kept and what is redrawn, on every photograph; sizes, seeds, refusals, the command."""
import pytest
import torch

from singan_nb.all import SinGANError, apparent_stretch, inject, layout_error, load_image, load_pretrained, pretrained_models, resize, retarget, sample
from singan_nb.cli import run_command


@pytest.mark.parametrize("name", pretrained_models())
def test_nearer_to_the_layout_than_a_sample_and_less_stretched_than_stretching(name):
    model = load_pretrained(name)
    h, w = model.sizes[-1]
    size = h, round(1.6*w)
    result, random, stretched = retarget(model, size, seed=3), sample(model, 2, seed=3, size=size), resize(model.image, size).clamp(-1, 1)
    assert layout_error(result, model.image, model.sizes[0]) < .75*layout_error(random, model.image, model.sizes[0])
    if name == "lake": return                  # nothing in it but gradients: a wider ripple does not look stretched
    assert apparent_stretch(result, model.image) < apparent_stretch(stretched, model.image)


@pytest.mark.parametrize("size", [(30, 90), (75, 20), (17, 23), (1, 60)])
def test_any_size(model, size, recwarn):
    results = retarget(model, size, n=3, seed=5)
    assert results.shape == (3, 3, *size) and results.abs().max() <= 1 and not recwarn
    assert torch.equal(results, retarget(model, size, n=3, seed=5)) and not torch.equal(results, retarget(model, size, n=3, seed=6))
    assert torch.allclose(results[2], retarget(model, size, n=4, seed=5)[2], atol=1e-4)
    assert not torch.equal(results[0], results[1])
    assert torch.equal(*retarget(model, size, n=2, noise=False).split(1))


def test_at_its_own_size_it_is_an_injection_of_the_photograph(model):
    assert torch.equal(retarget(model, model.sizes[-1], 1, seed=2), inject(model, model.image, 1, seed=2))


def test_the_measures():
    "Twice as wide by hand: every difference to the right is halved. Layout knows no proportions."
    ramp = lambda across, down: (across*torch.arange(12.)[None] + down*torch.arange(8.)[:, None]).expand(1, 3, 8, 12)/20
    assert apparent_stretch(ramp(.5, 1), ramp(1, 1)) == pytest.approx(2) and apparent_stretch(ramp(1, .5), ramp(1, 1)) == pytest.approx(.5)
    dark, light = torch.full((1, 3, 20, 20), -.5), torch.full((2, 3, 30, 50), .25)
    assert layout_error(light, dark, (5, 5)) == pytest.approx(.75, abs=1e-4)
    assert apparent_stretch(dark, ramp(1, 1)) == 0                                      # nothing to see: no division by zero


@pytest.mark.parametrize("wrong, words", [
    (dict(start_scale=0), "from 1 to 2"), (dict(start_scale=3), "scale 3 does not exist"), (dict(start_scale=-1), "scale -1"),
    (dict(size=(0, 40)), "at least 1"), (dict(size=(40, -3)), "at least 1"), (dict(n=0), "n=0")])
def test_refusals(model, wrong, words):
    with pytest.raises(SinGANError, match=words): retarget(model, **{"size": (30, 80), **wrong})


def test_command_equals_function(model, tmp_path, capsys):
    model.save(tmp_path/"model.safetensors")
    run = lambda *words: run_command(["retarget", str(tmp_path/"model.safetensors"), "--seed", "4", *words])
    for i, (words, size) in enumerate(((("--width", "90"), (30, 90)), (("--height", "70"), (70, 48)), (("--width", "33", "--height", "44"), (44, 33)))):
        out = tmp_path/f"{i}.png"
        assert run(*words, "--out", str(out)) == 0
        assert f"wrote {out}, {size[0]}×{size[1]} pixels, from scale 1 of 1 to 2, chosen; --start-scale sets it\n" in capsys.readouterr().out
        assert (load_image(out) - retarget(model, size, seed=4)).abs().max() < .005
    assert run("--width", "90", "--start-scale", "2", "--strip", "--out", str(tmp_path/"a.png")) == 0 and (tmp_path/"a_strip.png").exists()
    assert "from scale 2 of 1 to 2\n" in capsys.readouterr().out
    assert (load_image(tmp_path/"a.png") - retarget(model, (30, 90), 2, seed=4)).abs().max() < .005


@pytest.mark.parametrize("words, message", [
    ("--out o.png", "no size is given"), ("--width 0 --out o.png", "--width 0 is out of range"), ("--height -5 --out o.png", "--height -5"), ("--width 99999 --out o.png", "32768"),
    ("--width 90 --start-scale 0 --out o.png", "from 1 to 2"), ("--width 90 --start-scale 7 --out o.png", "0 (coarsest) to 2 (finest)"), ("--width 90 --out o.xyz", "suffix"), ("--width 90", "--out"),
    ("--width 90 --out model.safetensors/o.png", "model.safetensors")])
def test_refusals_are_one_line(model, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    model.save(tmp_path/"model.safetensors")
    assert run_command(["retarget", "model.safetensors", *words.split()]) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and message in said.err and said.out == ""
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]
