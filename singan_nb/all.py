"""Every public name of the package, for scripts and notebooks: `from singan_nb.all import *`."""
from singan_nb.images import *
from singan_nb.gan import *
from singan_nb.wgan import *
from singan_nb.pyramid import *
from singan_nb.models import *
from singan_nb.losses import *
from singan_nb.scale import *
from singan_nb.engine import *
from singan_nb.training import *
from singan_nb.sampling import *
from singan_nb.paint import *
from singan_nb.edit import *
from singan_nb.harmonize import *
from singan_nb.metrics import *
from singan_nb.superres import *
from singan_nb.animate import *
from singan_nb.official import *
