"""Make the gallery: nbs/gallery.qmd and its pictures, by running the very commands that stand under them.

    python scripts/make_gallery.py

Everything comes from the pretrained models but super-resolution, which trains for a minute or two.
"""
import os
import shlex
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image, ImageDraw

from singan_nb.all import animate, bundled_images, copy_part, images_grid, load_image, load_pretrained, paste, resize, retarget, sample, save_image
from singan_nb.cli import run_command
from singan_nb.images import to_tensor

NBS = Path(__file__).resolve().parent.parent/"nbs"
PICTURES = NBS/"images"/"gallery"
HEIGHT = 250                            # of every picture, in pixels; smaller ones are enlarged smoothly
FLAGSHIP = "dunes"
LEAF = [(.685, .30), (.715, .43), (.76, .37), (.775, .45), (.85, .42), (.83, .52), (.88, .56), (.83, .63), (.87, .72), (.79, .74), (.79, .83),
        (.72, .80), (.70, .87), (.65, .77), (.56, .79), (.59, .70), (.52, .63), (.58, .58), (.53, .50), (.63, .52), (.64, .42)]


def singan(line:str):
    "Run a command of the command line; stop if it fails."
    if run_command(shlex.split(line)): raise SystemExit(f"this failed: singan {line}")


def figure(name:str, images:list, captions:list, alt:str, how:str, columns:int=None, height:int=HEIGHT) -> str:
    "Write a picture; returns the Markdown that shows it, with the command under it."
    path = PICTURES/f"{name}.webp"
    images_grid(images, captions, columns, height=height).save(path, "WEBP", quality=86, method=6)
    return f"![{alt}](images/gallery/{path.name})\n\n{how}\n"


def commands(*lines) -> str:
    "A block of shell commands."
    return "```bash\n" + "\n".join(lines) + "\n```"


def front_page():
    "The README's pictures: the photograph among three samples, and a walk through the model's noise."
    model = load_pretrained(FLAGSHIP)
    first, second, third = sample(model, 3, seed=1, start_scale=1).split(1)
    images_grid([first, model.image, second, third], columns=2, height=HEIGHT).save(NBS/"images"/"hero.webp", quality=92, method=6)
    frames = [images_grid([model.image, frame], ["the photograph", "its model, walking through noise"], 2, height=HEIGHT)
              for frame in animate(model, frames=24, seed=1, loop=True)]
    palette = frames[0].quantize(128)
    films = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    films[0].save(NBS/"images"/"walk.gif", save_all=True, append_images=films[1:], duration=125, loop=0)
    frames[0].save(NBS/"images"/"walk.webp", quality=88)


# ---------------------------------------------------------------- every photograph

def photograph(photo) -> str:
    "Samples by start scale, and other sizes, of one photograph."
    model = load_pretrained(photo.name)
    (h, w), starts = model.sizes[-1], range(len(model.scales))
    for k in starts: singan(f"sample {photo.name} -n 1 --seed 1 --start-scale {k} --out start{k}")
    strip = figure(f"{photo.name}_starts", [model.image] + [load_image(f"start{k}/sample_000.png") for k in starts],
                   ["photograph"] + [f"start scale {k}" for k in starts],
                   f"{photo.shows}: the photograph, and a sample for each start scale; the first changes the layout, the last hardly a detail",
                   commands(f"singan sample {photo.name} -n 1 --seed 1 --start-scale 0 --out start0    # and 1 to {starts[-1]}"), 3)
    singan(f"sample {photo.name} -n 1 --seed 2 --width {3*w} --height {h} --out wide")
    singan(f"sample {photo.name} -n 1 --seed 2 --width {w} --height {2*h} --out tall")
    sizes = figure(f"{photo.name}_sizes", [load_image("wide/sample_000.png"), load_image("tall/sample_000.png")], [f"{h}×{3*w}", f"{2*h}×{w}"],
                   f"{photo.shows}: a sample three times as wide as the photograph, and one twice as high",
                   commands(f"singan sample {photo.name} -n 1 --seed 2 --width {3*w} --height {h} --out wide",
                            f"singan sample {photo.name} -n 1 --seed 2 --width {w} --height {2*h} --out tall"), 1)
    return f"### {photo.name}: {photo.shows}\n\nPhotograph by {photo.author}, {photo.licence}.\n\n{strip}\n{sizes}"


# ---------------------------------------------------------------- every application

def painting() -> str:
    picture = Image.new("RGB", (240, 150), (142, 165, 196))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, 60, 240, 150), (70, 125, 165))
    pen.polygon([(0, 150), (0, 95), (120, 120), (240, 80), (240, 150)], (196, 140, 40))
    for x in range(15, 240, 30): pen.line([(x, 140), (x + 16, 45 + x % 7*6)], (120, 70, 15), 4)
    save_image(to_tensor(np.asarray(picture)), "drawing.png")
    line = "paint dunes drawing.png --out painted.png"
    singan(line)
    return figure("paint", [load_image("drawing.png"), load_image("painted.png")], ["drawing.png", "painted.png"],
                  "A drawing of sky, sea, sand and blades in flat colours, and the same with the texture of the dunes", commands(f"singan {line}"))


def editing() -> str:
    edited, mask = copy_part(load_pretrained("dunes").image, (.3, .35, .35, .25), to=(.12, .6))
    save_image(edited, "edited.png"); save_image(mask.expand(1, 3, -1, -1)*2 - 1, "mask.png")
    line = "edit dunes edited.png mask.png --out mended.png"
    singan(line)
    return figure("edit", [load_image(f"{name}.png") for name in ("edited", "mask", "mended")], ["edited.png", "mask.png", "mended.png"],
                  "Grass copied into the sky with hard edges, the mask of the copy, and the result: the grass has grown into the slope, a bluish patch of the copied sea is left in the sky",
                  "The edit is `copy_part(image, (.3, .35, .35, .25), to=(.12, .6))`.\n\n" + commands(f"singan {line}"))


def harmonizing() -> str:
    leaves = load_image("leaves")
    h, w = leaves.shape[-2:]
    outline = Image.new("L", (w, h))
    ImageDraw.Draw(outline).polygon([(x*w, y*h) for x, y in LEAF], fill=255)
    outline = torch.from_numpy(np.array(outline)).float()[None, None]/255
    composite, mask = paste(load_pretrained("autumn").image, leaves, outline, at=(.45, .28), height=.5)
    save_image(composite, "composite.png"); save_image(mask.expand(1, 3, -1, -1)*2 - 1, "mask.png")
    line = "harmonize autumn composite.png mask.png --out harmonized.png"
    singan(line)
    return figure("harmonize", [load_image(f"{name}.png") for name in ("composite", "mask", "harmonized")], ["composite.png", "mask.png", "harmonized.png"],
                  "A photographed leaf on a painting, its mask, and the result: its veins have become strokes and spots, its outline is frayed",
                  "The leaf of `leaves` is pasted with `paste`.\n\n" + commands(f"singan {line}"))


def enlarging() -> str:
    small = resize(load_image("boats"), (50, 80)).clamp(-1, 1)
    save_image(small, "small.png")
    line = "superres small.png --factor 3 --preset class --out large.png"
    singan(line)
    large = load_image("large.png")
    return figure("superres", [small, resize(small, large.shape[-2:]).clamp(-1, 1), large], ["small.png", "bicubic", "large.png"],
                  "Boats of 80 pixels: with visible pixels, enlarged smoothly, and enlarged with sharper edges",
                  "Some minutes of training.\n\n" + commands(f"singan {line}"))


def retargeting() -> str:
    model = load_pretrained("forest")
    h, w = model.sizes[-1]
    narrow = retarget(model, (h, w*5//8), seed=1)
    return figure("retarget", [model.image, narrow, resize(model.image, (h, w*5//8)).clamp(-1, 1)], ["photograph", "retargeted", "squeezed"],
                  "A forest; made narrower by the model, its trunks as thick as before; and squeezed, its trunks thinner",
                  f'```python\nretarget(load_pretrained("forest"), ({h}, {w*5//8}), seed=1)\n```')


def animation() -> str:
    line = "animate lake --frames 40 --loop --out lake.webp"
    singan(line)
    (PICTURES/"lake.webp").write_bytes(Path("lake.webp").read_bytes())
    return ("<details><summary>Play the animation</summary>\n\n![A lake whose ripples and clouds move; it ends as it began](images/gallery/lake.webp)\n\n</details>\n\n"
            + commands(f"singan {line}"))


APPLICATIONS = [("Paint", "10_paint", painting), ("Edit", "11_edit", editing), ("Harmonize", "12_harmonize", harmonizing),
                ("Super-resolution", "13_superres", enlarging), ("Animation", "14_animate", animation), ("Retargeting", "15_retarget", retargeting)]


@contextmanager
def scratch():
    "Work in a folder that disappears."
    before = Path.cwd()
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        try: yield
        finally: os.chdir(before)


def main():
    PICTURES.mkdir(parents=True, exist_ok=True)
    front_page()
    with scratch():
        applications = [f"### {title}\n\n{make()}\n\nThe lesson: [{title}](applications/{lesson}.ipynb).\n" for title, lesson, make in APPLICATIONS]
        photographs = [photograph(photo) for photo in bundled_images()]
    (NBS/"gallery.qmd").write_text("\n".join([
        "---\ntitle: Gallery\n---\n",
        "> What does it look like?\n",
        "Made by `make gallery` with the pretrained models, which have 250 pixels and come with the package. Under each picture stands the command that made it. "
        "Nothing is chosen: the seeds are 1 and 2 throughout.\n",
        "## Applications\n", *applications, "## Photographs\n",
        "At start scale 0 everything varies; each later one keeps more of the photograph.\n", *photographs]), encoding="utf-8")


if __name__ == "__main__": main()
