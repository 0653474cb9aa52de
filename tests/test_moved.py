"""Old names of modules and of arguments still work, so that older scripts and notebooks run."""
import inspect
import json
from importlib import import_module
from pathlib import Path

import pytest
import torch

from singan_nb._moved import MOVED, RENAMED
from singan_nb.all import gradient_penalty, harmonize, inject, sample, seeded, white_noise

OLD = json.loads((Path(__file__).parent/"old_names.json").read_text())                # public names of the modules of version 0.1.0 before the division


@pytest.mark.parametrize("module", OLD)
def test_old_places_give_every_name(module):
    there = import_module(f"singan_nb.{module}")
    assert [name for name in OLD[module] if not hasattr(there, name)] == []


def test_the_list_holds_nothing_else():
    "What it names exists in its new place, and the old place does not have it by itself."
    for module, places in MOVED.items():
        assert all(name.partition("=")[0] in OLD[module] for names in places.values() for name in names.split())
        for place, names in places.items():
            for name in names.split():
                old, _, new = name.partition("=")
                assert (new or old) in vars(import_module(f"singan_nb.{place}")) and old not in vars(import_module(f"singan_nb.{module}")), f"{module}.{name}"


def test_a_name_that_never_was_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'singan_nb.images' has no attribute 'nothing'"): import_module("singan_nb.images").nothing  # noqa: B018
    with pytest.raises(ImportError): exec("from singan_nb.training import nothing")


def test_arguments_by_their_old_names(model, dunes):
    same = lambda a, b: torch.equal(torch.as_tensor(a), torch.as_tensor(b))
    assert same(sample(model, 1, generator=seeded(3)), sample(model, 1, rng=seeded(3))) and same(white_noise((3, 4), generator=seeded(1)), white_noise((3, 4), rng=seeded(1)))
    assert same(inject(model, dunes, scale=2, seed=1), inject(model, dunes, 2, seed=1))
    half = torch.ones_like(model.image[:, :1]).tril()
    assert same(harmonize(model, model.image, half, scale=2), harmonize(model, model.image, half, start_scale=2))
    assert all(map(same, sample(model, 1, every=True), sample(model, 1, all_scales=True)))
    assert all(map(same, model.reconstruct(every=True), model.reconstruct(all_scales=True)))
    critic = lambda x: x.square().mean()
    photo, noise = torch.rand(2, 1, 3, 8, 8, generator=seeded(0)).unbind()
    assert same(gradient_penalty(critic, photo, noise, generator=seeded(2)), gradient_penalty(critic, photo, noise, rng=seeded(2)))


def test_an_argument_by_both_names_is_refused(model, dunes):
    with pytest.raises(TypeError, match=r"inject\(\) got start_scale twice: scale is its former name"): inject(model, dunes, start_scale=1, scale=1)


@pytest.mark.parametrize("old, place, path", [(old, place, path) for old, (_, places) in RENAMED.items() for place, paths in places.items() for path in paths.split()])
def test_each_renamed_argument_has_its_new_name(old, place, path):
    function = import_module(f"singan_nb.{place}")
    for name in path.split("."): function = getattr(function, name)
    names = inspect.signature(function).parameters
    assert RENAMED[old][0] in names and old not in names
