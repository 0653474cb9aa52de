"""ONNX export: what a small model and the command line do. Equality with the page is in tests/docs."""
import sys

import numpy as np
import onnx
import pytest
import torch
from onnxruntime import InferenceSession

from singan_nb.all import SinGAN, SinGANError, export_onnx, export_scales, page_noises, page_sample, portable_noise, run_onnx, run_scales
from singan_nb.cli import run_command
from singan_nb.onnx_export import check_onnx


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx")/"model.onnx"
    return path, export_onnx(model, path)


def test_within_5e_4_of_pytorch_and_the_model_untouched(model, exported):
    path, worst = exported
    assert worst < 5e-4 and model.device.type == "cpu"
    about = {p.key: p.value for p in onnx.load(path).metadata_props}
    assert about["sizes"] == str([list(size) for size in model.sizes])


@pytest.fixture(scope="module")
def scales(model, tmp_path_factory):
    "Sessions of the graphs of all scales."
    folder = tmp_path_factory.mktemp("scales")
    assert export_scales(model, folder) < 5e-4
    assert sorted(file.name for file in folder.iterdir()) == [f"scale_{k}.onnx" for k in range(len(model.scales))]
    return [InferenceSession(folder/f"scale_{k}.onnx") for k in range(len(model.scales))]


@pytest.mark.parametrize("size", [None, (21, 90), (64, 31), (15, 20)])
@pytest.mark.parametrize("start", [0, 1, 2])
def test_every_start_and_size(model, exported, scales, size, start):
    noises, expected = page_noises(model.sizes_for(size), model.grey_noise, 5, start_scale=start), page_sample(model, 5, start, size=size)
    assert torch.allclose(run_onnx(InferenceSession(exported[0]), noises, start), expected, atol=5e-4)
    images = [*run_scales(scales, noises, start)]
    assert [tuple(image.shape[-2:]) for image in images] == model.sizes_for(size)[start:]
    assert torch.allclose(images[-1].clamp(-1, 1), expected, atol=5e-4)


def test_below_the_start_scale_noise_does_not_count(model, exported):
    session, noises = InferenceSession(exported[0]), page_noises(model.sizes, model.grey_noise, 5)
    assert torch.allclose(run_onnx(session, noises, 2), page_sample(model, 5, 2), atol=5e-4)
    assert torch.allclose(run_onnx(session, noises, len(model.scales)), model.reconstruct().clamp(-1, 1), atol=5e-4)
    assert not torch.allclose(run_onnx(session, noises, 0), page_sample(model, 5, 2), atol=1e-3)   # hardly trained: scale 0 decides little


def test_every_scale_s_image_is_pytorch_s(model, scales):
    noises = page_noises(model.sizes, model.grey_noise, 3)
    with torch.no_grad(): expected = model(noises, all_scales=True)
    assert all(torch.allclose(ours, theirs, atol=5e-4) for ours, theirs in zip(run_scales(scales, noises), expected))


def test_half_the_size_in_16_bits(model, exported, tmp_path):
    assert export_onnx(model, tmp_path/"half.onnx", half=True) < 5e-4
    assert (tmp_path/"half.onnx").stat().st_size < .7*exported[0].stat().st_size
    assert export_scales(model, tmp_path/"scales", half=True) < 5e-4
    assert sum(file.stat().st_size for file in (tmp_path/"scales").iterdir()) < 1.3*(tmp_path/"half.onnx").stat().st_size


def test_a_wrong_file_is_noticed(model, exported, tmp_path):
    graph = onnx.load(exported[0])
    weight = next(w for w in graph.graph.initializer if len(w.dims) == 4)
    weight.CopyFrom(onnx.numpy_helper.from_array(2*onnx.numpy_helper.to_array(weight), weight.name))
    onnx.save(graph, tmp_path/"wrong.onnx")
    with pytest.raises(SinGANError, match="differs from PyTorch"): check_onnx(tmp_path/"wrong.onnx", model)
    with pytest.raises(SinGANError, match="kept.onnx differs"): export_onnx(model, tmp_path/"kept.onnx", tolerance=0)
    with pytest.raises(SinGANError, match="differs"): export_scales(model, tmp_path/"kept", tolerance=0)
    assert not list(tmp_path.glob("*kept*"))


def test_noise_is_written_down():
    assert portable_noise(1, 0, (4,)).tolist() == [0.311187744140625, -0.53900146484375, -1.247802734375, 1.08734130859375]
    many = portable_noise(9, 2, (200_000,)).numpy()
    assert abs(many.mean()) < .01 and abs(many.std() - 1) < .01 and abs((many**4).mean() - 2.9) < .05   # 3 - 1.2/12
    assert not np.array_equal(many, portable_noise(9, 3, (200_000,)).numpy())


def test_command(model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model.save(tmp_path/"small.safetensors")
    assert run_command(["export-onnx", "small.safetensors"]) == 0
    assert "small.onnx" in capsys.readouterr().out and (tmp_path/"small.onnx").exists()


@pytest.mark.parametrize("arguments, says", [(["dunes", "--out", "a.pt"], "must end in .onnx"), (["nothing"], "no such model"),
                                             (["dunes", "--out", "a.onnx", "--tolerance", "0"], "differs")])
def test_refusals(tmp_path, capsys, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    assert run_command(["export-onnx", *arguments]) == 2
    assert says in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_without_the_packages_it_says_what_to_install(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(SinGANError, match=r"pip install 'singan_nb\[onnx\]'"): export_onnx(model, tmp_path/"a.onnx")
    with pytest.raises(SinGANError, match="no scale yet"): export_onnx(SinGAN(model.image), tmp_path/"a.onnx")
    with pytest.raises(SinGANError, match="no scale yet"): export_scales(SinGAN(model.image), tmp_path/"a")
