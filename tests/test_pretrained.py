"""The models that come with the package."""
import json
import warnings

import pytest
import torch

from singan_nb.all import ModelError, SinGAN, bundled_images, checksum, evaluate, load_image, load_pretrained, model_path, read_tensors, resize, sample, sifid, write_tensors
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


@pytest.mark.parametrize("name", NAMES)
def test_a_checksum_changes_no_bit_of_a_model(name, tmp_path):
    "Nobody is told about a bundled file without one; written again, it has one, and everything else is as it was."
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = SinGAN.from_pretrained(name)
    metadata, tensors = read_tensors(model_path(name))
    again, same = read_tensors(write_tensors(tmp_path/"again.safetensors", tensors, metadata))
    assert again.pop("checksum") == checksum(tensors, metadata) and again == {key: value for key, value in metadata.items() if key != "checksum"}
    assert tensors.keys() == same.keys() and all(torch.equal(tensors[key], same[key]) and tensors[key].dtype == same[key].dtype for key in tensors)
    assert torch.equal(SinGAN.load(tmp_path/"again.safetensors").reconstruct(), model.reconstruct())


def test_a_new_model_takes_the_state_of_another(tmp_path):
    "Through PyTorch's own file, without unpickling; a model of another photograph, without or with scales."
    model = SinGAN.from_pretrained("dunes")
    torch.save(model.state_dict(), tmp_path/"state.pt")
    state = torch.load(tmp_path/"state.pt", weights_only=True)
    for fresh in (SinGAN(load_image("boats")), SinGAN.from_pretrained("boats")):
        assert str(fresh.load_state_dict(state)) == "<All keys matched successfully>"
        assert fresh.sizes == model.sizes and fresh.grey_noise == model.grey_noise and torch.equal(sample(fresh, 2, seed=1), sample(model, 2, seed=1))
    with pytest.raises(RuntimeError, match="scales.0"): SinGAN(model.image).load_state_dict({"image": model.image, "scales.0.noise_amp": torch.tensor(1.)})


def test_a_folder_without_a_model_does_not_hide_a_pretrained_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path/"dunes").mkdir()
    assert len(SinGAN.load("dunes").scales) == len(load_pretrained("dunes").scales)
    (tmp_path/"other").mkdir()
    with pytest.raises(ModelError, match="no model.safetensors"): SinGAN.load("other")
