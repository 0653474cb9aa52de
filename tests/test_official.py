"""Models of the official code: a small folder in its format, made here, and everything that can be wrong with it."""
import math
import os
import shutil

import pytest
import torch
from torch import nn
from torch.nn.functional import pad

from singan_nb.all import Generator, OfficialError, SinGAN, SinGANError, enlarge_official, import_official, init_weights, load_image, official_factor, resize, rmse, sample, seeded, white_noise
from singan_nb.cli import run_command


def official_names(generator):
    "A state dict under the names of the official code, which are written out here once more."
    names = {"0.0": "head.conv", "0.1": "head.norm", "4": "tail.0"} | {f"{i}.{j}": f"body.block{i}.{kind}" for i in (1, 2, 3) for j, kind in enumerate(("conv", "norm"))}
    return {f"{names[name[4:].rpartition('.')[0]]}.{name.rpartition('.')[2]}": value for name, value in generator.state_dict().items()}


def write_official(folder, finest=(44, 66), least=18, steps=3, width=8):
    "A folder as the official code leaves it; returns its reconstruction at every scale, in the official arithmetic."
    draw, factor = seeded(1, "official"), (least/min(finest))**(1/steps)
    sizes = [tuple(math.ceil(side*factor**k - 1e-9) for side in finest) for k in range(steps, -1, -1)]
    images, amps, reals = [], [1], []
    for k, size in enumerate(sizes):
        (folder/str(k)).mkdir(parents=True)
        generator = init_weights(Generator(width), draw).eval()
        for module in generator.modules():
            if isinstance(module, nn.Conv2d): module.weight.data *= 6
            if isinstance(module, nn.BatchNorm2d): module.running_var.data *= 1.3
        torch.save(official_names(generator), folder/str(k)/"netG.pth")
        z = white_noise(size, 1, True, draw) if k == 0 else torch.zeros(1, 3, *size, dtype=torch.int64)
        torch.save(pad(z, [5]*4)[0] if k else pad(z, [5]*4), folder/str(k)/"z_opt.pth")
        if k: amps.append(torch.tensor(.05))
        reals.append(resize(load_image("boats"), size).clamp(-1, 1))
        x = enlarge_official(images[-1], size, [out*factor/n for out, n in zip(size, sizes[k - 1])]) if k else torch.zeros(1, 3, *size)
        with torch.no_grad(): images.append(generator(x if k else z, x))
    torch.save(amps, folder/"NoiseAmp.pth"); torch.save(reals, folder/"reals.pth")
    return images


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    folder = tmp_path_factory.mktemp("official")/"scale_factor=0.750000,alpha=10"
    return folder, write_official(folder)


@pytest.fixture
def copy(official, tmp_path):
    shutil.copytree(official[0], tmp_path/"model")
    return tmp_path/"model"


def test_every_scale_reconstructs_the_same(official):
    folder, theirs = official
    model = import_official(folder)
    assert model.grey_noise and [scale.noise_amp.item() for scale in model.scales] == pytest.approx([1, .05, .05, .05])
    for ours, image in zip(model.reconstruct(every=True), theirs): assert rmse(ours.clamp(-1, 1), image.clamp(-1, 1))*127.5 < .5


def test_the_file_keeps_it(official, tmp_path):
    model = import_official(official[0])
    again = SinGAN.load(model.save(tmp_path/"model.safetensors"))
    assert torch.equal(again.reconstruct(), model.reconstruct()) and again.scales[2].reach == model.scales[2].reach != None  # noqa: E711
    assert sample(again, 2, size=(33, 90), start_scale=1).shape == (2, 3, 33, 90)


def test_what_enters_a_start_scale_is_enlarged_once(official):
    model = import_official(official[0])
    for scale in (1, 2, 3): assert torch.allclose(model([None]*(4 - scale), model.entry(scale), scale), model.reconstruct(), atol=1e-5)


def cubic(x):
    "Keys' kernel, by its definition."
    x = abs(x)
    return 1.5*x**3 - 2.5*x**2 + 1 if x <= 1 else -.5*x**3 + 2.5*x**2 - 4*x + 2 if x <= 2 else 0


def test_the_official_enlargement_by_loops():
    "Each value a weighted sum over mirrored pixels, as MATLAB's imresize defines it; ratio 1.25, one row of 5 to 7."
    row, ratio, out = [10, 200, 30, 40, 250], 1.25, 7
    mirrored = lambda i: row[i if 0 <= i < 5 else -1 - i if i < 0 else 9 - i]
    want = []
    for place in range(out):
        middle = (place + .5)/ratio - .5
        taps = range(math.floor(middle) - 2, math.floor(middle) + 4)
        want.append(sum(cubic(middle - i)*mirrored(i) for i in taps)/sum(cubic(middle - i) for i in taps))
    image = torch.tensor(row, dtype=torch.float32).add(.4).div(127.5).sub(1).expand(1, 3, 5, 5)          # .4 is cut off
    got = (enlarge_official(image, (5, out), (1, out/ratio/5))[0, 0, 2] + 1)*127.5
    assert torch.allclose(got, torch.tensor(want).clamp(0, 255), atol=1e-3)


@pytest.mark.parametrize("finest, least, steps", [((44, 64), 25, 3), ((250, 167), 25, 8), ((64, 64), 25, 3), ((83, 250), 25, 5), ((30, 40), 25, 1)])
def test_the_factor_is_found_from_the_sizes(finest, least, steps):
    factor = (least/min(finest))**(1/steps)
    sizes = [tuple(math.ceil(side*factor**k - 1e-9) for side in finest) for k in range(steps, -1, -1)]
    assert official_factor(sizes) == pytest.approx(factor, rel=1e-9)


def test_sizes_of_no_pyramid_are_refused():
    with pytest.raises(OfficialError, match="no pyramid of one factor"): official_factor([(10, 10), (30, 10), (40, 40)])


class Hostile:
    def __init__(self, place): self.place = place
    def __reduce__(self): return os.mkdir, (str(self.place),)


@pytest.mark.parametrize("name", ["NoiseAmp.pth", "reals.pth", "1/netG.pth", "0/z_opt.pth"])
def test_nothing_in_a_file_is_run(copy, tmp_path, name):
    torch.save([Hostile(tmp_path/"was_run")], copy/name)
    with pytest.raises(OfficialError, match="holds more than tensors"): import_official(copy)
    assert not (tmp_path/"was_run").exists()


@pytest.mark.parametrize("name", ["NoiseAmp.pth", "reals.pth", "1/netG.pth", "0/z_opt.pth"])
def test_damaged_files_are_named(copy, name):
    whole = (copy/name).read_bytes()
    for part in (b"", whole[:50], whole[:len(whole)//2], b"hello"):
        (copy/name).write_bytes(part)
        with pytest.raises(OfficialError, match=name): import_official(copy)


def test_missing_files_are_named(copy):
    (copy/"1"/"z_opt.pth").unlink()
    with pytest.raises(OfficialError, match="1/z_opt.pth is missing"): import_official(copy)
    (copy/"reals.pth").unlink()
    with pytest.raises(OfficialError, match="reals.pth is missing"): import_official(copy)


def test_an_unfinished_training_gives_what_is_finished(copy):
    shutil.rmtree(copy/"3")
    with pytest.warns(UserWarning, match="3 of 4"): model = import_official(copy)
    assert len(model.scales) == 3 and model.image.shape[-2:] == model.sizes[-1]
    shutil.rmtree(copy/"0")
    with pytest.raises(OfficialError, match="no finished scale"): import_official(copy)


def test_other_networks_are_refused(copy):
    tensors = torch.load(copy/"1"/"netG.pth", weights_only=True)
    torch.save(tensors | {"body.block2.conv.weight": torch.zeros(8, 8, 5, 5)}, copy/"1"/"netG.pth")
    with pytest.raises(OfficialError, match="another network"): import_official(copy)
    torch.save({"a": torch.zeros(1)}, copy/"1"/"netG.pth")
    with pytest.raises(OfficialError, match="head.conv.weight"): import_official(copy)
    torch.save(tensors, copy/"1"/"netG.pth"); torch.save(torch.zeros(3, 20, 20), copy/"0"/"z_opt.pth")
    with pytest.raises(OfficialError, match="0/z_opt.pth has the shape"): import_official(copy)


def test_noise_at_the_border_is_noted(copy):
    torch.save(torch.randn_like(torch.load(copy/"0"/"z_opt.pth", weights_only=True)), copy/"0"/"z_opt.pth")
    with pytest.warns(UserWarning, match="animation"): import_official(copy)


def test_command(official, tmp_path, capsys):
    out = tmp_path/"boats.safetensors"
    assert run_command(["import-official", str(official[0]), "--out", str(out)]) == 0 and "4 scales" in capsys.readouterr().out
    assert run_command(["sample", str(out), "-n", "1", "--out", str(tmp_path/"samples")]) == 0
    capsys.readouterr()
    for arguments, words in (([official[0].parent, "--out", out], "give one of the folders in it: scale_factor"), ([tmp_path/"x", "--out", out], "no folder"),
                             ([official[0], "--out", tmp_path/"a.pth"], "must end in .safetensors"), ([tmp_path/"samples", "--out", out], "TrainedModels/NAME")):
        assert run_command(["import-official", *map(str, arguments)]) == 2
        said = capsys.readouterr().err
        assert words in said and said.startswith("error: ") and said.count("\n") == 1
    assert issubclass(OfficialError, SinGANError)
