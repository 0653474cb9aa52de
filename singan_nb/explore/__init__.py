"""The explorers: small tools with sliders for notebooks and for a page in class, each in a module of its own.

`requests` knows nothing of a browser, `view` is what a browser shows, `canvas` is for drawings; every other module is one tool.
How to use them: nbs/practice/21_explore.ipynb
"""
from singan_nb.explore.requests import *
from singan_nb.explore.requests import OPENERS, as_given, input_line, packed, sheet, small, stacked
from singan_nb.explore.view import *                              # without ipywidgets and anywidget, this says what is missing
from singan_nb.explore.view import Names, belongings, choice, close_earlier, javascript, number, picture_html, slider, status_html
from singan_nb.explore.canvas import *
from singan_nb.explore.canvas import MOST_BYTES, Canvas, colour_name, data_url, from_data_url, uploaded
from singan_nb.explore.scales import *
from singan_nb.explore.pyramid import *
from singan_nb.explore.superres import *
from singan_nb.explore.animation import *
from singan_nb.explore.critic import *
from singan_nb.explore.paint import *
from singan_nb.explore.edit import *
from singan_nb.explore.training import *
from singan_nb.explore.training import look, losses_picture

__all__ = [                                                       # what the star brings; the modules themselves stay out, `edit` is a function of the library
    # requests, and what is saved
    "Shown", "Dropped", "Controller", "program", "save_shown",
    # the view
    "Explorer", "cancel_button", "check_box",
    # one line for each tool
    "steer", "ScalesController", "explore_scales",
    "PyramidController", "explore_pyramid",
    "Abort", "SuperresController", "explore_superres",
    "AnimationController", "explore_animation",
    "critic_history", "judge", "heat", "CriticController", "explore_critic",
    "PaintController", "explore_paint",
    "EDITS", "oval", "make_edit", "EditController", "explore_edit",
    "TrainingController", "TrainingExplorer", "explore_training",
]
