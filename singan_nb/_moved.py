"""Old names that still work, so that older scripts run: of the package, of functions that moved when the modules were divided, of arguments.

`from singan_nb.images import show_images` finds the function in `show`, and `sample(model, generator=...)` is `sample(model, rng=...)`.
New code takes a name from where it lives now, and calls an argument as the signature does.
"""
from functools import wraps
from importlib import import_module

FORMER = (                                                       # names that `singan_nb.` and the star had; the star has them no more
    "resize to_tensor to_pixels pick_device read_log pretrained_models page_sample scale_at inject_masked copy_part move_part paste "
    "plan_enlargement enlarge_by_passes superres_config show_animation rmse psnr ssim schedule build_pyramid receptive_field "
    "draw_windows Generator Critic Scale ScaleTrainer FastTrainer ImageError ConfigError DeviceError RunError ModelError OutOfMemory "
    "Interrupted"
).split()

MOVED = {                                                        # old module: {new module: names}
    "images": {
        "files": "printable",
        "zoo": "PHOTOGRAPHS Photograph bundled_images",
        "colours": "CORNERS CLEAR DEFINED",
        "formats": "DEVELOP KINDS OTHERS PLUGINS MOST_UPLOADED RUN_LENGTHS open_picture",
        "tiff": "RAW TURNS",
        "show": "Picture show_figure caption_font images_grid show_images",
    },
    "models": {"networks": "CRITIC_BORDERS Critic conv_block conv_stack init_weights", "model_file": "LARGEST checksum read_tensors"},
    "cli": {
        "commands.options": "GROUPS Commands command show images Quiet Device Seed Model Height Width Strip Picture Preset Settings SettingsFile Anyway Image MaxSize MinSize Iters ZStar AnySeed Precision SaveEvery",
        "commands.train": "read_settings shell_line train_command train_many_command info",
        "commands.draw": "SHEETS EntryScale Blend output_size sample_command paint_command edit_command harmonize_command animate_command",
        "commands.enlarge": "compare_enlargements superres_command retarget_command",
        "commands.measure": "evaluate_command quality bench",
        "commands.convert": "import_official_command export_onnx_command"},
    "many": {"gather": "picture_suffixes", "workers": "TRIES BACKENDS PACKAGES train_one free_device"},
    "training": {
        "devices": "MPS_TORCH ConfigError DeviceError pick_precision processor_name threads_for",
        "config": "RANGES CHOICES LIGHT default_preset",
        "checkpoints": "CHECKPOINTS RunError Checkpoint read_checkpoint",
        "runs": "run_folder RunBusy locked read_config read_log Run",
        "progress": "iteration_cost scale_costs LogLines progress_bar TensorBoard",
        "plans": "COPIES PROCESS Plan"},
    "sampling": {
        "devices": "free_memory",
        "files": "check_number check_shares",
        "masks": "load_mask membrane"},
    "engine": {"networks": "LEAK", "passes": "NormAct NormActSlope"},
    "superres": {"superres": "Plan=Enlargement"},                # old name=new name
}

RENAMED = {                                                      # old argument: (new one, the functions that have it, by module)
    "generator": ("rng", {
        "animate": "animate", "edit": "edit", "engine": "window_corner", "gan": "ring", "harmonize": "harmonize", "losses": "tune_noise",
        "models": "white_noise GeneratorPyramid.draw_noises", "networks": "init_weights", "paint": "paint_to_image", "retarget": "retarget",
        "sampling": "pick_seed sample sample_batches inject inject_everywhere inject_masked", "scale": "critic_step",
        "superres": "enlarge_by_passes super_resolve", "wgan": "gradient_penalty"}),
    "draw": ("rng", {"animate": "walk"}),
    "scale": ("start_scale", {"edit": "edit", "harmonize": "harmonize", "paint": "paint_to_image", "sampling": "check_injection inject inject_masked"}),
    "every": ("all_scales", {"models": "GeneratorPyramid.forward GeneratorPyramid.reconstruct", "sampling": "sample sample_batches"}),
}


def keep_old_names(module):
    "Give a module what has moved from it, and its functions the old names of their arguments."
    forward(module)
    for old, (new, places) in RENAMED.items():
        for path in places.get(module.__name__.removeprefix("singan_nb."), "").split():
            *owner, name = path.split(".")
            home = getattr(module, owner[0]) if owner else module
            setattr(home, name, with_old_argument(getattr(home, name), old, new))


def with_old_argument(function, old, new):
    "The same function, which takes a keyword argument by its old name too."
    @wraps(function)
    def call(*args, **given):
        if old in given:
            if new in given: raise TypeError(f"{function.__name__}() got {new} twice: {old} is its former name")
            given[new] = given.pop(old)
        return function(*args, **given)
    return call


def forward(module):
    "Give a module a `__getattr__` for what has moved from it."
    places = {name.partition("=")[0]: (place, name.rpartition("=")[2])
              for place, names in MOVED.get(module.__name__.removeprefix("singan_nb."), {}).items() for name in names.split()}
    if not places: return
    def find(name):
        if name not in places: raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        place, now = places[name]
        return getattr(import_module(f"singan_nb.{place}"), now)
    module.__getattr__ = find
