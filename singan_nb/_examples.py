"""A runnable example of each public name. `help` shows it below the docstring, and a test runs all of them (doctest).

Each begins after `from singan_nb.all import *`.
"""
EXAMPLES = {
    "load_image": """
>>> load_image("dunes").shape                             # or a path, bytes, an array, a Pillow picture
torch.Size([1, 3, 188, 300])
""",
    "load_mask": """
>>> from PIL import Image
>>> drawing = Image.new("L", (300, 188)); drawing.paste(255, (100, 60, 160, 120))
>>> mask = load_mask(drawing)                             # or a path; a warning tells how much it marks
>>> mask.shape, mask.sum().item()                         # 1 where it is white: 60 × 60 pixels
(torch.Size([1, 1, 188, 300]), 3600.0)
""",
    "bundled_images": """
>>> [photograph.name for photograph in bundled_images()][:3]
['dunes', 'boats', 'forest']
""",
    "as_image": """
>>> import numpy as np
>>> as_image(np.full((20, 30, 3), 255, np.uint8))[0, :, 0, 0]
tensor([1., 1., 1.])
""",
    "save_image": """
>>> save_image(load_image("dunes"), "pictures/dunes.png") # the folder is made
PosixPath('pictures/dunes.png')
""",
    "show_images": """
>>> show_images([load_image("dunes"), load_image("boats")], ["dunes", "boats"], alt="Two photographs")
Picture('Two photographs')
""",
    "images_grid": """
>>> images_grid([load_image("dunes"), load_image("boats")], ["dunes", "boats"]).save("both.png")
""",
    "train": """
>>> model = train(load_image("dunes"), Config.preset("class", max_size=50, iters=5), out="runs/dunes", progress=False)
>>> len(model.scales), model.sizes[-1]
(2, (31, 50))
>>> model = train(load_image("dunes"), Config.preset("class", max_size=50, iters=5), out="runs/dunes", resume=True, progress=False)
""",
    "Config": """
>>> Config().iters, Config.preset("class").iters, Config.preset("class", iters=50).iters
(2000, 400, 50)
""",
    "Callback": """
>>> class Halfway(Callback):
...     def on_iteration(self, watch):
...         if (watch.scale, watch.iteration) == (1, 2): watch.stop()
>>> model = train(load_image("dunes"), Config.preset("class", max_size=50, iters=5), progress=False, callbacks=[Halfway()])
>>> len(model.scales)                                     # the last one as it stood after two iterations
2
""",
    "plan_training": """
>>> plan_training((188, 300), "class").sizes[-1]          # printed, the plan tells time and memory too
(157, 250)
""",
    "train_many": """
>>> saved = save_image(load_image("dunes"), "pictures/dunes.png")
>>> [row] = train_many("pictures", "runs", Config.preset("class", max_size=40, iters=1), jobs=1, progress=False)
>>> row["name"], row["status"]
('dunes', 'trained')
""",
    "SinGAN": """
>>> model = load_pretrained("dunes")
>>> model.sizes[0], model.sizes[-1], model.reconstruct().shape
((25, 40), (157, 250), torch.Size([1, 3, 157, 250]))
>>> copy = SinGAN.load(model.save("dunes.safetensors"))
""",
    "load_pretrained": """
>>> len(load_pretrained("dunes").scales)
8
""",
    "import_official": """
>>> model = import_official("TrainedModels/balloons")     # a folder that the official code wrote
>>> saved = model.save("balloons.safetensors")
""",
    "export_onnx": """
>>> difference = export_onnx("dunes", "dunes.onnx")       # needs: pip install 'singan_nb[onnx]'
>>> difference < 1e-3                                     # from PyTorch's pictures
True
""",
    "sample": """
>>> sample("dunes", 2, seed=1, size=(157, 500)).shape     # a model, its file, its run, or a bundled name
torch.Size([2, 3, 157, 500])
>>> near = sample("dunes", 2, seed=1, start_scale=3)      # a higher start scale keeps more of the photograph's layout
""",
    "sample_batches": """
>>> sum(len(images) for images in sample_batches("dunes", 10, seed=1, batch=4))
10
""",
    "inject": """
>>> inject("dunes", load_image("boats"), 2, seed=1).shape # boats enter at scale 2, with the look of dunes
torch.Size([1, 3, 157, 250])
""",
    "paint_to_image": """
>>> import torch
>>> drawing = torch.full((1, 3, 157, 250), -.3); drawing[..., :80, :] = .8
>>> paint_to_image("dunes", drawing, start_scale=1, seed=1).shape
torch.Size([1, 3, 157, 250])
""",
    "edit": """
>>> from singan_nb.edit import copy_part
>>> edited, mask = copy_part(load_pretrained("dunes").image, (.4, .6, .4, .25), to=(.4, .1))
>>> edit("dunes", edited, mask, start_scale=5, seed=1).shape
torch.Size([1, 3, 157, 250])
""",
    "harmonize": """
>>> import torch
>>> composite = load_pretrained("dunes").image.clone(); mask = torch.zeros(1, 1, 157, 250)
>>> composite[..., 60:90, 100:140] = .9; mask[..., 60:90, 100:140] = 1
>>> harmonize("dunes", composite, mask, start_scale=6, seed=1).shape
torch.Size([1, 3, 157, 250])
""",
    "super_resolve": """
>>> image = images_grid([load_image("dunes")], height=40)
>>> super_resolve(image, 1.5, dict(iters=2, width=4), progress=False).shape[-2]
60
""",
    "animate": """
>>> frames = animate("dunes", start_scale=3, frames=4, loop=True, seed=1)
>>> [tuple(frame.shape) for frame in frames][:2]          # they are made one at a time
[(1, 3, 157, 250), (1, 3, 157, 250)]
""",
    "save_animation": """
>>> save_animation(animate("dunes", frames=4, loop=True), "dunes.gif", fps=10)
PosixPath('dunes.gif')
""",
    "retarget": """
>>> retarget("dunes", (157, 400), seed=1).shape
torch.Size([1, 3, 157, 400])
""",
    "evaluate": """
>>> model = load_pretrained("dunes")
>>> sorted(evaluate(model.image, sample(model, 3, seed=1)))
['diversity', 'notes', 'real', 'sifid', 'swd']
""",
    "sifid": """
>>> model = load_pretrained("dunes")
>>> bool(sifid(model.image, sample(model, 2, seed=1)).max() < sifid(model.image, load_image("boats")))
True
""",
    "swd": """
>>> model = load_pretrained("dunes")
>>> bool(swd(model.image, sample(model, 2, seed=1)).max() < swd(model.image, load_image("boats")))
True
""",
    "diversity": """
>>> model = load_pretrained("dunes")
>>> diversity(model.image, sample(model, 8, seed=1)) > diversity(model.image, sample(model, 8, seed=1, start_scale=5))
True
""",
    "SinGANError": """
>>> try: sample("dunes", start_scale=99)
... except SinGANError as error: print(error)
scale 99 does not exist; the model has the scales 0 (coarsest) to 7 (finest)
""",
}
