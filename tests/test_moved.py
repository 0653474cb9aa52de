"""Names that lived elsewhere before the modules were divided are still found there, so that older scripts and notebooks run."""
import json
from importlib import import_module
from pathlib import Path

import pytest

from singan_nb._moved import MOVED

OLD = json.loads((Path(__file__).parent/"old_names.json").read_text())                # public names of the modules of version 0.1.0 before the division


@pytest.mark.parametrize("module", OLD)
def test_old_places_give_every_name(module):
    there = import_module(f"singan_nb.{module}")
    assert [name for name in OLD[module] if not hasattr(there, name)] == []


def test_the_list_holds_nothing_else():
    "What it names exists in its new place, and the old place does not have it by itself."
    for module, places in MOVED.items():
        assert all(name in OLD[module] for names in places.values() for name in names.split())
        for place, names in places.items():
            for name in names.split():
                assert name in vars(import_module(f"singan_nb.{place}")) and name not in vars(import_module(f"singan_nb.{module}")), f"{module}.{name}"


def test_a_name_that_never_was_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'singan_nb.images' has no attribute 'nothing'"): import_module("singan_nb.images").nothing  # noqa: B018
    with pytest.raises(ImportError): exec("from singan_nb.training import nothing")
