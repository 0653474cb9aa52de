"""SinGAN: a generative model from a single photograph. Start with `model = singan_nb.train(singan_nb.load_image("dunes"))`.

PyTorch takes seconds to import, so it is imported with the first name that is used, not with the package.
"""
import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING: from singan_nb.all import *

__version__ = "0.1.0"

__all__ = [
    # photographs and masks: open, look, save
    "load_image", "load_mask", "bundled_images", "as_image", "save_image", "show_images", "images_grid",
    # training on a photograph, or on many
    "train", "Config", "Callback", "plan_training", "train_many",
    # the model, those that come with the package, and other formats
    "SinGAN", "load_pretrained", "import_official", "export_onnx",
    # samples, and images that enter at a scale
    "sample", "sample_batches", "inject",
    # the applications
    "paint_to_image", "edit", "harmonize", "super_resolve", "animate", "save_animation", "retarget",
    # measures
    "evaluate", "sifid", "swd", "diversity",
    # what every function raises for what it cannot do
    "SinGANError",
]


if not TYPE_CHECKING:                                             # a checker would take this for a promise of any name
    def __getattr__(name):
        "A public name or a module, imported when it is first asked for."
        from singan_nb._moved import FORMER
        if name in __all__ or name in FORMER: import_module("singan_nb.all")
        elif name.startswith("_") or not find_spec(f"singan_nb.{name}"): raise AttributeError(f"module 'singan_nb' has no attribute {name!r}")
        else: import_module(f"singan_nb.{name}")
        return globals().get(name) or getattr(sys.modules["singan_nb.all"], name)


def __dir__(): return sorted({*__all__, *(name for name in globals() if name.startswith("__") or f"singan_nb.{name}" in sys.modules)})


class _Package(ModuleType):
    "This package and those inside it; Python hands a package each of its modules once that is imported."
    def __setattr__(self, name, value):
        if isinstance(value, ModuleType) and value.__name__ == f"{self.__name__}.{name}" and not name.startswith("_"):
            from singan_nb._help import explain_module
            from singan_nb._moved import keep_old_names
            explain_module(value); keep_old_names(value)
            if hasattr(value, "__path__"):                                    # a package, whose own import has brought modules
                value.__class__ = _Package
                for inner, module in [*vars(value).items()]: setattr(value, inner, module)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
