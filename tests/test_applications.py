"""Paint, edit, harmonize: what they keep exactly, what they refuse, and their commands."""
import numpy as np
import pytest
import torch
from PIL import Image

from singan_nb.all import (
    EDIT_SHARE,
    HARMONIZE_SHARE,
    PAINT_SHARE,
    RETARGET_SHARE,
    ModelError,
    SinGAN,
    SinGANError,
    animate,
    as_mask,
    copy_part,
    edit,
    enlarge_by_passes,
    harmonize,
    inject,
    inject_everywhere,
    inject_masked,
    load_image,
    load_mask,
    membrane,
    move_part,
    paint_to_image,
    palette,
    paste,
    plan_enlargement,
    recolour,
    region,
    resize,
    retarget,
    save_image,
    scale_at,
    soft_mask,
    to_pixels,
)
from singan_nb.cli import run_command


@pytest.fixture
def edited(model):
    "The photograph with a part copied, and the mask."
    return copy_part(model.image, (.5, .1, .3, .3), (.2, .6))


@pytest.fixture
def files(model, edited, tmp_path):
    "A model file, an edited picture and its mask, as a user has them."
    model.save(tmp_path/"model.safetensors"); save_image(edited[0], tmp_path/"edited.png"); save_image(edited[1].expand(1, 3, -1, -1)*2 - 1, tmp_path/"mask.png")
    return tmp_path


@pytest.mark.filterwarnings("ignore:.*other proportions")
@pytest.mark.parametrize("size", [None, (20, 90), (75, 40)])
@pytest.mark.parametrize("noise", [True, False])
def test_injection_of_any_size_everywhere(model, dunes, size, noise):
    every = inject_everywhere(model, dunes, seed=3, size=size, noise=noise)
    assert every.shape == (len(model.scales) - 1, 3, *(size or model.sizes[-1])) and every.abs().max() <= 1
    for k in range(1, len(model.scales)): assert torch.equal(every[k-1:k], inject(model, dunes, k, seed=3, size=size, noise=noise))


@pytest.mark.parametrize("scale", [0, -1, 3, 99])
def test_the_range_of_scales_is_named(model, dunes, edited, scale):
    for call in (lambda: inject(model, dunes, scale), lambda: edit(model, *edited, start_scale=scale), lambda: harmonize(model, *edited, start_scale=scale), lambda: paint_to_image(model, dunes, scale),
                 lambda: paint_to_image(model, dunes, scale, quantize=True)):
        with pytest.raises(SinGANError, match="scale from 1 to 2"): call()


class Pyramid:
    "As much of a model as `scale_at` looks at."
    def __init__(self, number): self.scales = [None]*number
    check_scale = SinGAN.check_scale


@pytest.mark.parametrize("number, answers", [(2, [1, 1, 1, 1, 1]), (3, [1, 1, 1, 2, 2]), (6, [1, 1, 2, 4, 5]), (9, [1, 2, 4, 6, 8])])
def test_a_share_is_a_scale_of_any_pyramid(number, answers):
    assert [scale_at(Pyramid(number), share) for share in (0, .25, .5, .75, 1)] == answers
    assert scale_at(Pyramid(number), 0, first=0) == 0 and scale_at(Pyramid(number), -3) == 1 and scale_at(Pyramid(number), 3) == number - 1
    assert all(1 <= scale_at(Pyramid(number), share) < number for share in (PAINT_SHARE, EDIT_SHARE, HARMONIZE_SHARE, RETARGET_SHARE))


def test_default_scales_are_those_of_the_shares(model, dunes, edited):
    for default, given, share in ((edit(model, *edited), lambda k: edit(model, *edited, start_scale=k), EDIT_SHARE), (harmonize(model, *edited), lambda k: harmonize(model, *edited, start_scale=k), HARMONIZE_SHARE),
                                  (paint_to_image(model, dunes), lambda k: paint_to_image(model, dunes, k), PAINT_SHARE),
                                  (retarget(model, (30, 70)), lambda k: retarget(model, (30, 70), k), RETARGET_SHARE)):
        assert torch.equal(default, given(scale_at(model, share)))


def test_models_of_few_scales(model, dunes, edited):
    "Two scales are enough for everything; with one, nothing can enter, and that is one line."
    none, one, two = map(model.below, range(3))
    assert len(two.scales) == 2 and two.scales[1] is model.scales[1] and two.training == model.training
    calls = [lambda m: inject(m, dunes, 1), lambda m: edit(m, *edited), lambda m: harmonize(m, *edited), lambda m: paint_to_image(m, dunes), lambda m: paint_to_image(m, dunes, quantize=True, iters=1),
             lambda m: retarget(m, (20, 50))]
    for call in calls:
        assert call(two).shape[0] == 1
        with pytest.raises(SinGANError, match="one scale only, so no image can enter"): call(one)
        with pytest.raises(ModelError, match="no scale yet"): call(none)
    assert len(list(animate(one, frames=2))) == 2


def test_other_proportions_are_resized_and_said(model, dunes, edited, recwarn):
    inject(model, dunes, 1); paint_to_image(model, dunes, 1)
    assert not recwarn
    with pytest.warns(UserWarning, match="80×80 pixels has other proportions than the result of 30×48"): inject(model, torch.zeros(1, 3, 80, 80), 1)
    image, mask = torch.zeros(1, 3, 90, 60), torch.zeros(1, 1, 90, 60)
    mask[..., 40:60, 10:30] = 1
    with pytest.warns(UserWarning, match="other proportions"): assert edit(model, image, mask, start_scale=1).shape == model.image.shape


@pytest.mark.parametrize("function", [edit, harmonize])
@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("blend", ["feather", "gradient"])
def test_beyond_the_margins_nothing_changes(model, edited, function, scale, blend):
    grow, feather = (.08, .04) if function is edit else (.03, .03)
    results, beyond = function(model, *edited, start_scale=scale, n=3, seed=4, blend=blend), (soft_mask(edited[1], grow, feather) == 0).expand_as(model.image)
    assert 0 < beyond.float().mean() < 1
    for result in results[:, None]:
        assert torch.equal(result[beyond], model.image[beyond]) and not torch.equal(result, model.image)
    assert torch.equal(results, function(model, *edited, start_scale=scale, n=3, seed=4, blend=blend)) and not torch.equal(results[0], results[1])


def neighbours(x): return x[..., :-2, 1:-1] + x[..., 2:, 1:-1] + x[..., 1:-1, :-2] + x[..., 1:-1, 2:]


def test_a_membrane_is_the_mean_of_its_neighbours():
    "Inside each pixel is; outside nothing changes; at the image's border it uses the neighbours that exist; with nothing outside it is 0."
    generator = torch.Generator().manual_seed(0)
    offset, region = torch.randn(2, 3, 20, 30, generator=generator), torch.zeros(1, 1, 20, 30)
    region[..., 5:15, 3:12] = 1; region[..., 8:12, 20:] = 1
    filled, inside = membrane(offset, region), (region > 0).expand_as(offset)
    assert torch.equal(filled[~inside], offset[~inside]) and filled[inside].abs().max() < offset[~inside].abs().max()
    assert (4*filled - torch.nn.functional.pad(neighbours(filled), [1]*4))[..., 5:15, 3:12].abs().max() < 1e-5
    assert torch.allclose(3*filled[..., 9, 29], filled[..., 8, 29] + filled[..., 10, 29] + filled[..., 9, 28], atol=1e-5)
    assert torch.equal(membrane(offset, region*0 + 1), offset*0) and torch.equal(membrane(offset, region*0), offset)


def test_gradient_blending_adds_a_membrane(model, edited):
    "What is added to the redrawn part has no curvature inside, so that differences stay; next to the border it is what the photograph asks for."
    result, redrawn, region = edit(model, *edited, start_scale=1, seed=4, blend="gradient"), inject(model, edited[0], 1, seed=4), soft_mask(edited[1], .08, .04) > 0
    added, free = result - redrawn, (region & (result.abs() < 1).all(1, keepdim=True)).float()
    deep = (-torch.nn.functional.max_pool2d(-free, 3, 1, 1))[..., 1:-1, 1:-1].expand(1, 3, -1, -1) > 0       # its neighbours are inside, too, and not clipped
    assert deep.sum() > 50 and (4*added[..., 1:-1, 1:-1] - neighbours(added))[deep].abs().max() < 1e-5
    assert torch.allclose(membrane(model.image - (model.image + .25), region.float())[region.expand(1, 3, -1, -1)], torch.tensor(-.25), atol=1e-5)


def test_an_edit_larger_than_the_model(model, edited):
    "A picture at another resolution gives a result of the model's size, and the rest of the photograph exactly."
    large, mask = (torch.nn.functional.interpolate(x, scale_factor=5) for x in edited)
    result = edit(model, large, mask, start_scale=1, seed=4)
    assert result.shape == model.image.shape
    assert (result == model.image).float().mean() >= (soft_mask(edited[1], .08, .04) == 0).float().mean() - .02


def test_a_model_in_training_can_edit(model, edited):
    "With the finest scale missing, the photograph is shown at the last finished one."
    assert edit(model.below(2), *edited, start_scale=1).shape == (1, 3, *model.sizes[1])


def test_margins_are_shares_of_the_image():
    small, large = torch.zeros(1, 1, 40, 60), torch.zeros(1, 1, 400, 600)
    small[..., 15:25, 20:30] = 1; large[..., 150:250, 200:300] = 1
    covered = [(soft_mask(mask, .1, .05) > 0).float().mean().item() for mask in (small, large)]
    assert covered[0] == pytest.approx(covered[1], abs=.03)
    sharp = soft_mask(small, 0, 0)
    assert torch.equal(sharp, small)


@pytest.mark.parametrize("change, words", [(lambda m: m[..., :-1], "30×47 pixels and its image 30×48"), (lambda m: m*0, "empty"), (lambda m: m*0 + 1, "covers the whole"), (lambda m: m*2, "values in"),
                                           (lambda m: m.expand(1, 3, -1, -1), "shape"), (lambda m: m*float("nan"), "values in")])
def test_masks_that_cannot_be(model, edited, change, words):
    for function in (edit, harmonize, inject_masked):
        with pytest.raises(SinGANError, match=words): function(model, edited[0], change(edited[1]), scale=1)


def test_ways_to_blend_that_cannot_be(model, edited):
    for function in (edit, harmonize):
        with pytest.raises(SinGANError, match="'glue' is unknown; it must be one of feather, gradient"): function(model, *edited, start_scale=1, blend="glue")


def test_a_mask_lost_in_resizing(model):
    image, mask = torch.zeros(1, 3, 300, 480), torch.zeros(1, 1, 300, 480)
    mask[..., 5, 5] = 1
    with pytest.raises(SinGANError, match="empty at the model's 30×48"): edit(model, image, mask, start_scale=1)


def test_copying_and_moving(dunes):
    copied, mask = copy_part(dunes, (.5, .5, .25, .25), (0, 0))
    assert torch.equal(copied[(mask == 0).expand_as(dunes)], dunes[(mask == 0).expand_as(dunes)])
    moved, both = move_part(dunes, (.5, .5, .25, .25), (0, 0), fill=(0, .5))
    assert both.sum() > 1.9*mask.sum() and torch.equal(moved[(both == 0).expand_as(dunes)], dunes[(both == 0).expand_as(dunes)])
    for box, to in (((.5, .5, .6, .2), (0, 0)), ((0, 0, .5, .5), (.6, 0)), ((-.1, 0, .5, .5), (0, 0))):
        with pytest.raises(SinGANError, match="does not lie in the image"): copy_part(dunes, box, to)


def test_pasting(dunes, model):
    outline = torch.zeros_like(dunes[:, :1]); outline[..., 40:90, 100:140] = 1
    composite, mask = paste(model.image, dunes, outline, at=(.5, .5), height=.5)
    assert mask.sum() == 15*12 and torch.equal(composite[(mask == 0).expand_as(composite)], model.image[(mask == 0).expand_as(composite)])
    for wrong, words in ((dict(height=2), "height=2 is out of range"), (dict(at=(.1, .5), height=.5), "does not lie")):
        with pytest.raises(SinGANError, match=words): paste(model.image, dunes, outline, **wrong)
    with pytest.raises(SinGANError, match="empty"): paste(model.image, dunes, outline*0)


def one_line(call, *words):
    "A call is refused in one line that holds the words."
    with pytest.raises(SinGANError) as refused: call()
    assert all(word in str(refused.value) for word in words) and "\n" not in str(refused.value), refused.value


@pytest.mark.parametrize("wrong", [(.1, .1, .5), (.1,)*5, (), None, .5, "abcd", ("0", "0", "1", "1"), (float("nan"), 0, .5, .5), (0, 0, float("inf"), .5), (None,)*4])
def test_boxes_that_are_none(dunes, wrong):
    for call in (lambda: region(dunes, wrong), lambda: copy_part(dunes, wrong, (0, 0)), lambda: move_part(dunes, wrong, (0, 0), fill=(0, 0))): one_line(call, f"box={wrong!r} must be (top, left, height, width)", "shares")


@pytest.mark.parametrize("wrong", [(.1,), (.1, .1, .1), (), None, .5, "ab", ("0", "1"), (float("nan"), 0), (0, float("inf")), (None, None)])
def test_places_that_are_none(dunes, wrong):
    box = (0, 0, .5, .5)
    for call in (lambda: copy_part(dunes, box, wrong), lambda: move_part(dunes, box, wrong, fill=(0, 0))): one_line(call, f"to={wrong!r} must be (top, left)", "shares")
    one_line(lambda: move_part(dunes, box, (0, 0), fill=wrong), f"fill={wrong!r} must be (top, left)")
    one_line(lambda: paste(dunes, dunes, dunes[:, :1]*0 + 1, at=wrong, height=.5), f"at={wrong!r} must be (y, x)")


@pytest.mark.parametrize("box", [(0, 0, 0, 0), (.5, .5, 0, .2), (.5, .5, .2, -.1), (0, 0, .5, 1.2), (-.1, 0, .5, .5)])
def test_boxes_without_pixels_or_outside(dunes, box):
    for call in (lambda: region(dunes, box), lambda: copy_part(dunes, box, (0, 0)), lambda: move_part(dunes, box, (0, 0), fill=(0, 0))): one_line(call, "does not lie in the image")


def test_a_box_that_ends_at_the_border_is_in_the_image():
    "Top and height may both be rounded up: the part is moved by a pixel, and keeps its size."
    for side in range(1, 40):
        for share in np.linspace(.01, .99, 33):
            rows, columns = region(torch.zeros(1, 3, side, 2*side), (share, 1 - share, 1 - share, share))
            assert rows.stop <= side and columns.stop <= 2*side and rows.stop - rows.start == max(1, round((1 - share)*side)) and abs(rows.start - share*side) <= 1
    assert region(torch.zeros(1, 3, 5, 5), (.3, 0, .7, 1)) == (slice(1, 5), slice(0, 5))


def test_the_outline_has_the_size_of_its_picture(dunes, model):
    "Another size would cut out another place; the whole picture may be pasted."
    outline = torch.zeros_like(dunes[:, :1]); outline[..., 40:90, 100:140] = 1
    for wrong in (outline[..., :-1], torch.nn.functional.pad(outline, (0, 9, 0, 9)), np.ones((7, 9))): one_line(lambda wrong=wrong: paste(model.image, dunes, wrong), "must be of one size", "188×300")
    for wrong in (0, -1, 1.01, float("nan"), None, "a"): one_line(lambda wrong=wrong: paste(model.image, dunes, outline, height=wrong), f"height={wrong!r}", "above 0 and at most 1")
    assert torch.equal(paste(model.image, dunes, outline*0 + 1, height=1)[0], resize(dunes, model.sizes[-1]).clamp(-1, 1))


def test_palette_is_found_again():
    "Five colours with a little noise: k-means finds them, pixels as colours, not channels as triples."
    generator = torch.Generator().manual_seed(0)
    true = torch.tensor([[-.8, -.5, .9], [.7, .1, -.6], [-.2, .6, -.9], [.9, .9, .8], [-.9, -.9, -.9]])
    which = torch.randint(5, (30, 40), generator=generator)
    image = (true[which].permute(2, 0, 1)[None] + .02*torch.randn(1, 3, 30, 40, generator=generator)).clamp(-1, 1)
    found = palette(image, 5)
    nearest = torch.cdist(true, found).argmin(1)
    assert sorted(nearest.tolist()) == [0, 1, 2, 3, 4] and (found[nearest] - true).abs().max() < .02
    assert torch.allclose(recolour(image, true), true[which].permute(2, 0, 1)[None]) and torch.equal(palette(image, 5), found)
    for wrong in (0, 1, 1201):
        with pytest.raises(SinGANError, match="at least 2 and at most 1200"): palette(image, wrong)


@pytest.mark.filterwarnings("ignore:.*other proportions")
def test_painting_with_quantized_training(model, dunes):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    painted = paint_to_image(model, dunes, 1, quantize=True, iters=3, seed=2, n=2)
    assert painted.shape == (2, *model.image.shape[1:])
    assert torch.equal(painted, paint_to_image(model, dunes, 1, quantize=True, iters=3, seed=2, n=2))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items()) and not any(p.requires_grad for p in model.parameters())
    assert not torch.equal(painted, paint_to_image(model, dunes, 1, seed=2, n=2))
    before = torch.get_rng_state()
    paint_to_image(model, dunes, 1, quantize=True, iters=1)
    assert torch.equal(torch.get_rng_state(), before)                              # the program's own random numbers stay its own
    assert paint_to_image(model, dunes, 1, quantize=True, iters=2, size=(33, 100)).shape[-2:] == (33, 100)


@pytest.mark.parametrize("flag", ["--start-scale", "--scale"])
def test_commands_equal_functions(files, model, capsys, flag):
    "Each command writes what its function gives, and says where and from which scale; --scale is the old name of --start-scale."
    f = lambda name: str(files/name)
    image, mask = load_image(files/"edited.png"), load_mask(files/"mask.png")
    for words, expected in ((["edit", f("model.safetensors"), f("edited.png"), f("mask.png")], edit(model, image, mask, start_scale=2, seed=1)),
                            (["harmonize", f("model.safetensors"), f("edited.png"), f("mask.png")], harmonize(model, image, mask, start_scale=2, seed=1)),
                            (["paint", f("model.safetensors"), f("edited.png")], paint_to_image(model, image, 2, seed=1))):
        assert run_command([*words, flag, "2", "--seed", "1", "--out", f("out.png"), "--strip"]) == 0
        said = capsys.readouterr().out
        assert f"wrote {f('out.png')}, 30×48 pixels, from scale 2 of 1 to 2\n" in said and f"wrote {f('out_strip.png')}" in said
        assert (load_image(files/"out.png") - expected).abs().max() < .005 and load_image(files/"out_strip.png").shape[-2] > 160
        (files/"out_strip.png").unlink()


def test_commands_choose_a_scale_and_say_it(files, model, capsys):
    "Without --start-scale they use the function's default; --grid is the old name of --strip; --blend is handed on."
    f = lambda name: str(files/name)
    image, mask = load_image(files/"edited.png"), load_mask(files/"mask.png")
    for words, expected in ((["edit", f("model.safetensors"), f("edited.png"), f("mask.png"), "--blend", "gradient"], edit(model, image, mask, seed=1, blend="gradient")),
                            (["harmonize", f("model.safetensors"), f("edited.png"), f("mask.png")], harmonize(model, image, mask, seed=1)),
                            (["paint", f("model.safetensors"), f("edited.png")], paint_to_image(model, image, seed=1))):
        assert run_command([*words, "--seed", "1", "--out", f("out.png"), "--grid"]) == 0
        assert "from scale 1 of 1 to 2, chosen; --start-scale sets it\n" in capsys.readouterr().out
        assert (load_image(files/"out.png") - expected).abs().max() < .005 and (files/"out_strip.png").exists()
        (files/"out_strip.png").unlink()


@pytest.mark.parametrize("words, message", [
    ("edit MODEL edited.png mask.png --scale 0 --out o.png", "scale from 1 to 2"), ("harmonize MODEL edited.png mask.png --scale 5 --out o.png", "scale from 1 to 2"),
    ("paint MODEL edited.png --scale 9 --out o.png", "scale from 1 to 2"), ("edit MODEL edited.png small.png --scale 1 --out o.png", "9×9 pixels and its image 30×48"),
    ("edit MODEL edited.png black.png --scale 1 --out o.png", "empty"), ("harmonize MODEL edited.png white.png --scale 1 --out o.png", "covers the whole image"),
    ("paint MODEL edited.png --scale 1 --out o.bmp", ".png"), ("paint MODEL edited.png --scale 1 --out o", "suffix"), ("paint MODEL none.png --scale 1 --out o.png", "no such file"),
    ("paint MODEL edited.png --scale 1 --quantize --colours 1 --out o.png", "at least 2"), ("edit MODEL edited.png mask.png --blend glue --out o.png", "feather, gradient"), ("paint nothing edited.png --scale 1 --out o.png", "no such model"),
    ("edit MODEL edited.png mask.png --scale 1 --out model.safetensors/o.png", "model.safetensors")])
def test_refusals_are_one_line(files, monkeypatch, capsys, words, message):
    monkeypatch.chdir(files)
    for name, value in (("black", -1.), ("white", 1.)): save_image(torch.full((1, 3, 30, 48), value), files/f"{name}.png")
    save_image(torch.zeros(1, 3, 9, 9), files/"small.png")
    before = sorted(p.name for p in files.iterdir())
    assert run_command(words.replace("MODEL", "model.safetensors").split()) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and message in said.err and said.out == ""
    assert sorted(p.name for p in files.iterdir()) == before


def test_the_command_says_that_it_resized(files, singan):
    save_image(torch.zeros(1, 3, 60, 60), files/"square.png")
    done = singan("paint", files/"model.safetensors", files/"square.png", "--scale", 1, "--out", files/"o.png")
    assert done.returncode == 0 and done.stderr.startswith("note: the image of 60×60 pixels has other proportions")


def test_an_error_is_one_line_even_after_a_note(files, singan):
    "That a picture is resized is idle when nothing comes of it."
    save_image(torch.zeros(1, 3, 60, 60), files/"square.png")
    done = singan("paint", files/"model.safetensors", files/"square.png", "--scale", 1, "--quantize", "--colours", 99999, "--out", files/"o.png")
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    Image.new("RGBA", (60, 40), (200, 50, 50, 100)).save(files/"glass.png")
    done = singan("paint", files/"model.safetensors", files/"glass.png", "--scale", 9, "--out", files/"o.png")
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def forms(model, tmp_path_factory):
    "One photograph and one mask in every form in which users hold them."
    pixels, file = to_pixels(model.image), tmp_path_factory.mktemp("forms")/"picture.png"
    marked = np.zeros(model.sizes[-1], bool); marked[5:15, 10:30] = True
    save_image(model.image, file); Image.fromarray(marked).save(file.with_name("mask.png"))
    content, image = file.read_bytes(), load_image(file)
    pictures = {"array": pixels, "floats": pixels.astype(np.float32)/255, "16 bits": pixels.astype(np.uint16)*257, "Pillow": Image.fromarray(pixels), "path": file, "string": str(file), "bytes": content, "double": image.double(),
                "needs gradient": image.clone().requires_grad_()}
    masks = {"truth": marked, "0 and 1": marked.astype(np.uint8), "0 to 255": marked.astype(np.uint8)*255, "floats": marked.astype(np.float64), "three channels": np.repeat(marked[..., None].astype(np.uint8)*255, 3, 2),
             "Pillow, 1 bit": Image.fromarray(marked), "Pillow, grey": Image.fromarray(marked.astype(np.uint8)*255), "path": file.with_name("mask.png"), "bytes": file.with_name("mask.png").read_bytes(),
             "tensor of truth": torch.from_numpy(marked), "tensor of 3 axes": torch.from_numpy(marked)[None], "bytes as tensor": torch.from_numpy(marked).byte()[None, None]*255, "reversed": marked[::-1][::-1],
             "double": torch.from_numpy(marked)[None, None].double().requires_grad_()}
    return image, torch.from_numpy(marked)[None, None].float(), pictures, masks


WITH_A_PICTURE = {"inject": lambda m, p: inject(m, p, 1), "everywhere": lambda m, p: inject_everywhere(m, p), "paint": lambda m, p: paint_to_image(m, p), "quantized": lambda m, p: paint_to_image(m, p, 1, quantize=True, iters=1),
                  "palette": lambda m, p: palette(p), "copy": lambda m, p: copy_part(p, (0, 0, .5, .5), (.5, .5))[0], "move": lambda m, p: move_part(p, (0, 0, .3, .3), (.5, .5), fill=(0, .5))[0],
                  "passes": lambda m, p: list(enlarge_by_passes(m, p, plan_enlargement(m.sizes[-1], 1.3)))[-1]}
WITH_A_MASK = {"edit": lambda m, p, k: edit(m, p, k, start_scale=1), "harmonize": lambda m, p, k: harmonize(m, p, k, start_scale=1), "masked": lambda m, p, k: inject_masked(m, p, k, start_scale=1, blend="gradient"), "paste": lambda m, p, k: paste(p, p, k)[0],
               "outline": lambda m, p, k: paste(p, p, k)[1]}


@pytest.mark.parametrize("name", WITH_A_PICTURE)
def test_pictures_in_every_form(model, forms, name):
    image, _, pictures, _ = forms
    expected = WITH_A_PICTURE[name](model, image)
    for form, picture in pictures.items(): assert torch.allclose(WITH_A_PICTURE[name](model, picture), expected, atol=1e-5), form
    for wrong in (3, None, [1, 2], image.long(), image*3, image*float("nan"), np.zeros((4, 5, 7), np.uint8), "nothing.png"):
        with pytest.raises(SinGANError) as refused: WITH_A_PICTURE[name](model, wrong)
        assert "\n" not in str(refused.value)


@pytest.mark.filterwarnings("ignore:as a mask")
@pytest.mark.parametrize("name", WITH_A_MASK)
def test_masks_in_every_form(model, forms, name):
    image, mask, pictures, masks = forms
    expected = WITH_A_MASK[name](model, image, mask)
    for form, given in masks.items(): assert torch.equal(WITH_A_MASK[name](model, image, given), expected), form
    assert torch.allclose(WITH_A_MASK[name](model, pictures["array"], masks["truth"]), expected, atol=1e-5)
    for wrong in (3, None, [1, 2], mask*0, torch.zeros(0, 0), np.zeros((3, 4), complex), np.array(["a"]), "nothing.png"):
        with pytest.raises(SinGANError) as refused: WITH_A_MASK[name](model, image, wrong)
        assert "\n" not in str(refused.value)


@pytest.mark.filterwarnings("ignore:as a mask")
def test_labels_are_the_same_mask_in_every_form():
    "Labels in an array, a tensor or a picture: what is not 0 is marked, whatever its number; grey levels of any depth are divided by white."
    labels = np.zeros((20, 30), np.uint8); labels[5:9, 5:9] = 1; labels[10:12, 20:26] = 1
    expected = torch.from_numpy(labels)[None, None].float()
    for scale in (1, 2, 7):
        for dtype in (np.uint8, np.int64, ">u2", np.int16, "<i4"):
            made = (labels*scale).astype(dtype)
            for form in (made, made[None, None], torch.from_numpy(made.astype(made.dtype.newbyteorder("="))), made[..., None]): assert torch.equal(as_mask(form), expected), (scale, dtype)
    two = labels.copy(); two[10:12] *= 2
    assert torch.equal(as_mask(two), expected) and torch.equal(as_mask(torch.from_numpy(two)), expected)
    for dtype, white in ((np.uint8, 255), (np.uint16, 65535), (">u2", 65535), (np.int64, 255)): assert torch.equal(as_mask(labels.astype(dtype)*np.array(white, dtype)), expected)


def test_masks_of_foreign_bytes_and_of_read_only_memory(recwarn):
    truth = np.arange(600).reshape(20, 30) % 7 == 0
    expected = torch.from_numpy(truth)[None, None].float()
    for form in (truth.astype(">f4"), truth.astype(">f8"), truth.astype("<f2"), truth.astype(">i4"), truth.T.copy().T):
        form.flags.writeable = False
        assert torch.equal(as_mask(form), expected) and as_mask(form).dtype == torch.float32
    assert not recwarn


@pytest.mark.filterwarnings("ignore:as a mask")
def test_a_mask_from_labels_and_levels():
    levels = np.array([[0, 51], [255, 102]], np.uint8)
    assert torch.equal(as_mask(levels), torch.tensor([[[[0, .2], [1, .4]]]])) and torch.equal(as_mask(levels//255), torch.tensor([[[[0, 0], [1., 0]]]]))


def test_quantized_painting_has_any_seed(model, dunes):
    "The seeds of scikit-learn and SciPy end at 2**32; ours do not."
    for seed in (-1, 2**32, 2**61): assert paint_to_image(model, dunes, 1, quantize=True, iters=1, seed=seed).shape == model.image.shape
    assert torch.equal(palette(dunes, seed=3), palette(dunes, seed=2**32 + 3)) and torch.equal(palette(dunes, seed=-1), palette(dunes, seed=2**32 - 1))


@pytest.mark.parametrize("margin", ["grow", "feather"])
def test_a_margin_is_a_share_of_the_image(model, margin):
    mask = torch.zeros(1, 1, *model.sizes[-1]); mask[..., 5:9, 5:9] = 1
    for wrong in ("a", None, -.1, 1.1, float("nan"), torch.ones(2)):
        for change in (edit, harmonize):
            with pytest.raises(SinGANError, match=margin): change(model, model.image, mask, **{margin: wrong})
    assert torch.equal(edit(model, model.image, mask, **{margin: np.float32(.25)}), edit(model, model.image, mask, **{margin: .25}))
