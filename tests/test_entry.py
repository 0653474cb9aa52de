"""One way to start at a scale: everything that does enters where `SinGAN.entry` says, at any size."""
import copy

import onnxruntime
import pytest
import torch
import torch.nn.functional as F

from singan_nb.all import ModelError, animate, enlarge, export_onnx, export_scales, inject, load_pretrained, page_noises, page_sample, retarget, run_onnx, run_scales, sample
from singan_nb.explore import ScalesController, steer

SIZES = (60, 300), (160, 100), None                              # None: the training's


@pytest.fixture(scope="module")
def quiet():
    "A pretrained model without noise above scale 0: what comes out depends on nothing but what entered."
    model = copy.deepcopy(load_pretrained("dunes"))
    for scale in model.scales[1:]: scale.noise_amp.zero_()
    return model


@pytest.fixture(scope="module")
def session(quiet, tmp_path_factory):
    path = tmp_path_factory.mktemp("entry")/"quiet.onnx"
    export_onnx(quiet, path); export_scales(quiet, path.parent)
    open_ = lambda file: onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return open_(path), [open_(path.parent/f"scale_{k}.onnx") for k in range(len(quiet.scales))]


def resized(image, size): return F.interpolate(image, size=tuple(size), mode="bicubic", antialias=True)


def by_hand(model, below, start, sizes):
    "What the finer scales make of an image that enters."
    image = below
    for k in range(start, len(sizes)):
        base = resized(resized(image, sizes[k - 1]), sizes[k]).clamp(-1, 1)
        image = model.scales[k].generator(base, base)
    return image.clamp(-1, 1)


@pytest.fixture(scope="module", params=[(size, start) for size in SIZES for start in (1, 3)], ids=str)
def case(request, quiet):
    "Size, start scale, sizes, and the right picture: the reconstruction is made at the training's size, then resized."
    size, start = request.param
    sizes = quiet.sizes_for(size)
    with torch.no_grad(): return size, start, sizes, by_hand(quiet, quiet.reconstruct(upto=start), start, sizes)


def near(a, b): return torch.allclose(a, b, atol=5e-4)


USERS = {
    "sample": lambda model, session, size, start, sizes: sample(model, 1, 7, start_scale=start, size=size),
    "steer": lambda model, session, size, start, sizes: steer(model, [7]*len(sizes), [1]*len(sizes), start_scale=start, size=size)[-1].clamp(-1, 1),
    "animate": lambda model, session, size, start, sizes: [*animate(model, start, frames=3, seed=7, size=size)][-1],
    "page_sample": lambda model, session, size, start, sizes: page_sample(model, 7, start, size=size),
    "run_onnx": lambda model, session, size, start, sizes: run_onnx(session[0], page_noises(sizes, True, 7, start_scale=start), start),
    "run_scales": lambda model, session, size, start, sizes: [*run_scales(session[1], page_noises(sizes, True, 7, start_scale=start), start)][-1].clamp(-1, 1),
    "scales explorer": lambda model, session, size, start, sizes: explored(model, start, sizes).shown.result,
}


def explored(model, start, sizes):
    control = ScalesController({"model": model})
    control.answer(start_scale=start, height=sizes[-1][0], width=sizes[-1][1])
    return control


@pytest.mark.parametrize("user", USERS)
def test_all_enter_alike(quiet, session, case, user):
    size, start, sizes, right = case
    assert near(USERS[user](quiet, session, size, start, sizes), right)


def test_a_photograph_enters_like_the_reconstruction(quiet, case):
    size, start, sizes, _ = case
    with torch.no_grad(): right = by_hand(quiet, enlarge(quiet.image, sizes[-1]), start, sizes)
    assert near(retarget(quiet, sizes[-1], start), right)
    assert near(inject(quiet, enlarge(quiet.image, sizes[-1]), start, size=size), right)


def test_the_explorer_s_first_base_is_what_enters(quiet, case):
    size, start, sizes, _ = case
    control = ScalesController({"model": quiet})
    images = steer(quiet, [0]*len(sizes), [1]*len(sizes), start_scale=start, size=size)
    bases = control.bases(images, start, sizes[-1])
    assert torch.equal(bases[0], quiet.entry(start, sizes)) and len(bases) == len(images)
    with torch.no_grad(): assert all(near(quiet.scales[start + i].generator(base, base), image) for i, (base, image) in enumerate(zip(bases, images)))


def test_reconstructing_at_the_wanted_size_would_be_noticed(quiet, case):
    "The other way, which most users once had: another picture, except at the training's size."
    size, start, sizes, right = case
    with torch.no_grad(): other = by_hand(quiet, quiet.reconstruct(upto=start, size=size), start, sizes)
    assert near(other, right) == (size is None)


def test_entry_of_the_coarsest_scale_and_of_none(quiet):
    assert torch.equal(quiet.entry(0, quiet.sizes_for((60, 300))), torch.zeros(1, 3, *quiet.sizes_for((60, 300))[0]))
    assert quiet.entry(2).shape[-2:] == quiet.sizes[2]
    with pytest.raises(ModelError, match="scale 99 does not exist"): quiet.entry(99)
