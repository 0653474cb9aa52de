"""Super-resolution: ratios that agree, sizes, what is compared, refusals."""
import json
import os

import pytest
import torch
from conftest import TINY

from singan_nb.all import (
    Config,
    SinGAN,
    SinGANError,
    enlarge_by_passes,
    load_image,
    load_pretrained,
    plan_enlargement,
    plan_official,
    resize,
    rmse,
    save_image,
    sharpness,
    super_resolve,
    superres_config,
)
from singan_nb.cli import run_command

QUICK = dict(TINY, iters=2, precision="fp32")


@pytest.mark.parametrize("size", [(30, 48), (48, 30), (64, 64), (80, 128), (166, 250), (24, 200)])
@pytest.mark.parametrize("factor", [1.1, 1.5, 2, 3.3, 4, 8, 16])
def test_training_and_passes_have_one_ratio(size, factor):
    plan = plan_enlargement(size, factor)
    config = superres_config(size, plan)
    made = config.schedule(size)
    assert made.sizes[-1] == size and abs(made.factor*plan.ratio - 1) < .03 and config.rec_weight == 100
    assert plan.ratio**plan.passes == pytest.approx(factor) and plan == plan_enlargement(size[::-1], factor)


def test_the_official_slips():
    plan = plan_official((48, 77))
    assert plan.scale_factor*plan.ratio > 1.01                                        # trained at another ratio than used
    steps = [round(torch.log(torch.tensor(18/48)).item()/torch.log(torch.tensor(plan_official(size).scale_factor)).item()) for size in ((48, 77), (77, 48))]
    assert steps[1] > steps[0]                                                        # a portrait gets extra scales


@pytest.mark.parametrize("shape, factor, size", [((30, 48), 4, (120, 192)), ((48, 30), 2.5, (120, 75)), ((31, 45), 1.3, (40, 58))])
def test_sizes(dunes, shape, factor, size):
    small = resize(dunes, shape).clamp(-1, 1)
    large = super_resolve(small, factor, Config.preset("fast", **QUICK), device="cpu", progress=False)
    assert large.shape[-2:] == size and torch.isfinite(large).all() and large.abs().max() <= 1
    assert rmse(resize(large, shape), small) < .05                                    # consistent with what was given


def test_options_of_the_passes(model):
    plan = plan_enlargement(model.sizes[-1], 2)
    last = lambda **options: list(enlarge_by_passes(model, model.image, plan, **options))[-1]
    assert torch.equal(last(seed=3), last(seed=3)) and not torch.equal(last(seed=3), last(seed=4))
    assert torch.equal(last(noise=False, seed=3), last(noise=False, seed=4))
    assert not torch.equal(last(), last(grey_first=True))
    assert sharpness(last(strength=0)) < sharpness(last(strength=1))


@pytest.mark.parametrize("strength", [float("nan"), 9, -.1, "a", None])
def test_a_strength_that_cannot_be_is_no_fault_of_the_model(model, strength):
    with pytest.raises(SinGANError, match="strength=.* at least 0 and at most 1"): next(enlarge_by_passes(model, model.image, plan_enlargement(model.sizes[-1], 2), strength=strength))
    with pytest.raises(SinGANError, match="strength=.* at least 0 and at most 1"): super_resolve(model.image, 2, strength=strength)


def test_a_configuration_by_name_or_as_a_dict(dunes):
    plan, small = plan_enlargement((30, 48), 2), resize(dunes, (30, 48)).clamp(-1, 1)
    assert superres_config((30, 48), plan, "class") == superres_config((30, 48), plan, Config.preset("class"))
    assert superres_config((30, 48), plan, dict(iters=3)) == superres_config((30, 48), plan, Config(iters=3)) and superres_config((30, 48), plan) == superres_config((30, 48), plan, Config())
    given = dict(width=8, iters=2, precision="fp32")
    assert torch.equal(super_resolve(small, 1.5, given, device="cpu", progress=False), super_resolve(small, 1.5, Config(**given), device="cpu", progress=False))
    with pytest.raises(SinGANError, match="preset 'slow' is unknown"): super_resolve(small, 1.5, "slow")


@pytest.mark.parametrize("size", [None, 3, "ab", (float("nan"), 30), (30.5, 40), (30, 40, 3)])
def test_a_size_that_is_none(size):
    for plan in (plan_enlargement, plan_official):
        with pytest.raises(SinGANError, match="must be two whole numbers"): plan(size)


def test_sharpness_knows_blur(dunes):
    blurred = resize(resize(dunes, (47, 75)), dunes.shape[-2:])
    assert sharpness(blurred) < .6*sharpness(dunes) and sharpness(dunes*0) == 0


@pytest.mark.parametrize("name", ["dunes", "forest", "boats", "moss", "leaves", "meadow"])
def test_sharper_than_bicubic_and_not_further_from_the_truth(name):
    "Factor 2 with the scales that know the photograph at half its size; factor 4 is measured by singan superres --benchmark."
    whole, photograph = load_pretrained(name), load_image(name)
    scales = [scale for scale, size in zip(whole.scales, whole.sizes) if 2*max(size) <= max(photograph.shape[-2:])]
    small, truth = (resize(photograph, [k*side for side in scales[-1].size]).clamp(-1, 1) for k in (1, 2))
    model = SinGAN(small); model.scales.extend(scales)
    *_, ours = enlarge_by_passes(model, small, plan_enlargement(model.sizes[-1], 2), seed=1)
    bicubic = resize(small, truth.shape[-2:]).clamp(-1, 1)
    assert sharpness(ours) > 1.1*sharpness(bicubic) and rmse(ours, truth) < 1.25*rmse(bicubic, truth)


@pytest.mark.parametrize("size, factor, words", [((60, 60), 1, "larger than 1"), ((60, 60), .5, "larger than 1"), ((60, 60), float("nan"), "factor=nan"), ((60, 60), 20, "at most 16"), ((20, 90), 4, "at least 24")])
def test_refusals(size, factor, words):
    with pytest.raises(SinGANError, match=words): super_resolve(torch.zeros(1, 3, *size), factor)


def test_strength_is_checked(dunes):
    with pytest.raises(SinGANError, match="strength=2"): super_resolve(dunes, 2, strength=2)


def test_command(dunes, tmp_path, capsys):
    save_image(resize(dunes, (26, 36)).clamp(-1, 1), tmp_path/"small"/"a.png")
    quick = ["--preset", "fast", "--iters", "1", "--device", "cpu"]
    out = tmp_path/"large.png"
    assert run_command(["superres", str(tmp_path/"small"/"a.png"), "--factor", "2", "--out", str(out), *quick]) == 0
    assert "52×72" in capsys.readouterr().out and out.exists()
    save_image(resize(dunes, (52, 72)).clamp(-1, 1), tmp_path/"small"/"a.png")
    assert run_command(["superres", "--benchmark", str(tmp_path/"small"), "--factor", "2", "--out", str(tmp_path/"scores"), *quick]) == 0
    assert "mean of 1, bicubic" in capsys.readouterr().out
    scores = json.loads((tmp_path/"scores"/"scores.json").read_text())["a.png"]
    assert set(scores) == {"bicubic", "ours", "truth"} and scores["truth"]["rmse"] == 0 and (tmp_path/"scores"/"a.png").exists()
    before = sorted(os.listdir(tmp_path))
    for arguments, words in ((["dunes", "--factor", "1", "--out", tmp_path/"x.png"], "factor=1.0"), (["dunes", "--out", tmp_path/"x.xyz"], "suffix"), (["--out", tmp_path/"x.png"], "--benchmark DIR"),
                             (["dunes", "--benchmark", tmp_path, "--out", tmp_path/"x"], "not both"), (["dunes", "--strength", "3", "--out", tmp_path/"x.png"], "strength=3.0"),
                             (["dunes", "--out", out/"x.png"], "is a file, where a folder is needed"), (["--benchmark", tmp_path/"small", "--out", out], "is a file, where a folder is needed")):
        assert run_command(["superres", *map(str, arguments)]) == 2
        said = capsys.readouterr().err
        assert words in said and said.startswith("error: ") and said.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == before
