"""The public names, for scripts and notebooks: `from singan_nb.all import *`. The list of them stands in `singan_nb/__init__.py`.

Names that the star does not bring can be imported from here by name: `from singan_nb.all import white_noise`.
"""
from typing import TYPE_CHECKING

from singan_nb.files import *
from singan_nb.zoo import *
from singan_nb.colours import *
from singan_nb.formats import *
from singan_nb.tiff import *
from singan_nb.reading import *
from singan_nb.images import *
from singan_nb.show import *
from singan_nb.gan import *
from singan_nb.wgan import *
from singan_nb.pyramid import *
from singan_nb.networks import *
from singan_nb.model_file import *
from singan_nb.models import *
from singan_nb.losses import *
from singan_nb.scale import *
from singan_nb.passes import *
from singan_nb.engine import *
from singan_nb.devices import *
from singan_nb.config import *
from singan_nb.checkpoints import *
from singan_nb.runs import *
from singan_nb.progress import *
from singan_nb.plans import *
from singan_nb.training import *
from singan_nb.masks import *
from singan_nb.sampling import *
from singan_nb.paint import *
from singan_nb.edit import *
from singan_nb.harmonize import *
from singan_nb.superres import *
from singan_nb.animate import *
from singan_nb.retarget import *
from singan_nb.metrics import *
from singan_nb.bench import *
from singan_nb.official import *
from singan_nb.gather import *
from singan_nb.workers import *
from singan_nb.many import *
from singan_nb.onnx_export import *

if not TYPE_CHECKING: from singan_nb import __all__                # which a type checker does not follow: to it, the star brings all of the above
