"""Names that moved to another module when the modules were divided: the old place still gives them, so that older scripts run.

`from singan_nb.images import show_images` finds the function in `show`. New code takes a name from where it lives now.
"""
from importlib import import_module

MOVED = {                                                        # old module: {new module: names}
    "training": {
        "devices": "MPS_TORCH ConfigError DeviceError pick_precision processor_name threads_for",
        "config": "RANGES CHOICES LIGHT default_preset",
        "checkpoints": "CHECKPOINTS RunError Checkpoint read_checkpoint",
        "runs": "run_folder RunBusy locked read_config read_log Run",
        "progress": "iteration_cost scale_costs LogLines progress_bar TensorBoard",
        "plans": "COPIES PROCESS Plan"},
    "sampling": {
        "devices": "free_memory",
        "masks": "check_number load_mask membrane"},
}


def forward(module):
    "Give a module a `__getattr__` for what has moved from it."
    places = {name: place for place, names in MOVED.get(module.__name__.removeprefix("singan_nb."), {}).items() for name in names.split()}
    if not places: return
    def find(name):
        if name not in places: raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"singan_nb.{places[name]}"), name)
    module.__getattr__ = find
