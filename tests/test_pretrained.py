"""The models that come with the package."""
import json

import pytest
import torch

from singan_nb.all import ModelError, SinGAN, bundled_images, evaluate, load_image, load_pretrained, resize, sample, sifid
from singan_nb.models import PRETRAINED, pretrained_models

NAMES = [photo.name for photo in bundled_images()]


def test_every_photograph_has_a_model_and_all_are_small():
    assert pretrained_models() == sorted(NAMES)
    sizes = [file.stat().st_size for file in PRETRAINED.iterdir()]
    assert max(sizes) < 2*2**20 and sum(sizes) < 20*2**20


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_good_and_says_how_it_was_made(name):
    "Its samples are nearer to its photograph than any other photograph is, and as good as its record says."
    model = load_pretrained(name)
    assert max(model.sizes[-1]) == 250 == model.record["config"]["max_size"]
    said, scores = model.record["quality"], evaluate(model.image, sample(model, 16))
    assert abs(scores["sifid"].mean().item()/said["sifid"] - 1) < .3
    others = [resize(load_image(other), model.image.shape[-2:]).clamp(-1, 1) for other in NAMES if other != name]
    assert scores["sifid"].max() < sifid(model.image, others).min()
    assert scores["diversity"] > .05 and said["rmse"] < .06


def test_sixteen_bits_do_not_show(tmp_path):
    "A model, and the same stored in 16 bits: half a grey level in the mean, and one value in a thousand off by more than three."
    model = load_pretrained("dunes")
    with torch.no_grad():
        for p in model.parameters(): p.mul_(1 + 1e-4)                       # numbers that 16 bits cannot hold
    short = SinGAN.load(model.save(tmp_path/"short.safetensors", half=True))
    difference = (sample(model, 2) - sample(short, 2)).abs()*127.5
    assert 0 < difference.mean() < .5 and (difference > 3).float().mean() < 1e-3


def test_command_line_takes_a_name(singan, tmp_path):
    done = singan("sample", "dunes", "-n", 2, "--out", tmp_path/"pictures")
    assert done.returncode == 0 and len(list((tmp_path/"pictures").glob("*.png"))) == 2
    about = json.loads(singan("info", "dunes", "--json").stdout)
    assert about["record"]["quality"]["samples"] == 50


def test_an_unknown_name_lists_the_known_ones(singan, tmp_path):
    done = singan("sample", "dune", "--out", tmp_path/"pictures")
    assert done.returncode == 2 and all(name in done.stderr for name in NAMES) and not (tmp_path/"pictures").exists()
    with pytest.raises(ModelError, match="dunes"): load_pretrained("dune")
