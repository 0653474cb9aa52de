"""Every kind of file becomes the same kind of image, or one clear line."""
import io
import logging
import os
import struct
import subprocess
import sys
import threading
import warnings
import zlib

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms, ImageDraw, ImageOps, features

import singan_nb.formats
import singan_nb.tiff
from singan_nb.files import ImageError
from singan_nb.images import as_image, check_image, load_image, read_mask, resize, save_image, to_pixels, to_tensor
from singan_nb.masks import load_mask
from singan_nb.show import images_grid, show_images
from singan_nb.zoo import bundled_images

rng = np.random.default_rng(0)
PIXELS = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff", "bmp"])
def test_lossless_formats_keep_every_pixel(tmp_path, suffix):
    file = tmp_path/f"a.{suffix}"
    Image.fromarray(PIXELS).save(file, **({"lossless": True} if suffix == "webp" else {}))
    assert (to_pixels(load_image(file)) == PIXELS).all()


def test_jpeg_lies_on_its_side(tmp_path):
    "EXIF orientation 6: the camera was turned by 90 degrees."
    smooth = np.linspace(0, 255, 40, dtype=np.uint8)[None, :, None].repeat(24, 0).repeat(3, 2)
    exif = Image.Exif(); exif[0x0112] = 6
    Image.fromarray(smooth).save(tmp_path/"a.jpg", exif=exif, quality=95)
    image = load_image(tmp_path/"a.jpg")
    assert image.shape == (1, 3, 40, 24)
    assert np.abs(to_pixels(image).astype(int) - np.rot90(smooth, -1)).max() < 10


def test_cmyk_keeps_its_colours(tmp_path):
    Image.new("RGB", (8, 8), (200, 40, 90)).convert("CMYK").save(tmp_path/"a.jpg", quality=95)
    assert np.abs(to_pixels(load_image(tmp_path/"a.jpg"))[4, 4].astype(int) - (200, 40, 90)).max() < 8


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_16_bit_grey_keeps_its_depth(tmp_path, suffix):
    values = np.linspace(0, 65535, 600).astype(np.uint16).reshape(20, 30)
    Image.fromarray(values).save(tmp_path/f"a.{suffix}")
    image = load_image(tmp_path/f"a.{suffix}")
    assert torch.equal(image[:, 0], image[:, 2])
    assert len(image.unique()) == 600 and image.min() == -1 and image.max() == 1


def test_16_bit_colour_tiff(tmp_path):
    tifffile.imwrite(tmp_path/"a.tif", PIXELS.astype(np.uint16)*257, photometric="rgb")
    assert (to_pixels(load_image(tmp_path/"a.tif")) == PIXELS).all()


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_grey_bilevel_and_palette(tmp_path, mode):
    picture = Image.fromarray(PIXELS).convert(mode)
    picture.save(tmp_path/"a.png")
    assert (to_pixels(load_image(tmp_path/"a.png")) == np.asarray(picture.convert("RGB"))).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_become_white_and_it_is_said_once(tmp_path, mode):
    picture = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    (picture.convert(mode) if mode != "P" else picture.quantize()).save(tmp_path/"a.png")
    with pytest.warns(UserWarning, match="white") as said: image = load_image(tmp_path/"a.png")
    assert (image == 1).all() and len(said) == 1


def test_opaque_alpha_is_not_worth_a_word(tmp_path):
    Image.fromarray(PIXELS).convert("RGBA").save(tmp_path/"a.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (to_pixels(load_image(tmp_path/"a.png")) == PIXELS).all()


def broken_files(folder):
    whole = folder/"whole.jpg"; Image.fromarray(rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)).save(whole)
    (folder/"cut.jpg").write_bytes(whole.read_bytes()[:3000])
    (folder/"text.png").write_text("this is not a picture")
    (folder/"empty.png").write_bytes(b"")
    png = folder/"whole.png"; Image.fromarray(PIXELS).save(png)
    (folder/"cut.png").write_bytes(png.read_bytes()[:300])
    (folder/"nan.tif").write_bytes(b""); tifffile.imwrite(folder/"nan.tif", np.full((8, 8), np.nan, dtype=np.float32))
    return {"cut.jpg": "damaged", "cut.png": "damaged", "text.png": "not a picture", "empty.png": "not a picture", ".": "folder", "nothing.png": "no such file", "nan.tif": "finite"}


def test_broken_files_get_one_line(tmp_path):
    for name, word in broken_files(tmp_path).items():
        with pytest.raises(ImageError, match=word) as error: load_image(tmp_path/name)
        assert "\n" not in str(error.value)


def test_decompression_bomb_is_refused(tmp_path, monkeypatch):
    Image.fromarray(PIXELS).save(tmp_path/"a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ImageError, match="unpacks to more than"): load_image(tmp_path/"a.png")


def test_credits_are_complete():
    photos = bundled_images()
    assert 6 <= len(photos) <= 8
    for photo in photos:
        assert all([photo.author, photo.source, photo.licence, photo.shows]) and max(load_image(photo.name).shape) <= 300


def test_resize_is_antialiased_bicubic_as_in_pillow():
    "Against an independent implementation, to within its rounding to 8 bits."
    ours = to_pixels(resize(load_image("dunes"), (47, 75)))
    theirs = np.asarray(Image.fromarray(to_pixels(load_image("dunes"))).resize((75, 47), Image.BICUBIC))
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_save_image_refuses_several_and_unknown_formats(tmp_path):
    with pytest.raises(ImageError, match="one image"): save_image(torch.zeros(2, 3, 4, 4), tmp_path/"a.png")
    with pytest.raises(ImageError, match="suffix"): save_image(torch.zeros(1, 3, 4, 4), tmp_path/"a.xyz")
    assert not list(tmp_path.iterdir())


# What follows makes its files itself. The right values come from formulas, and agree with libvips 8.18 within one level.

def encoded(picture, form="PNG", **options):
    out = io.BytesIO(); picture.save(out, form, **options)
    return out.getvalue()


def tiff(values, photometric="rgb", **options):
    out = io.BytesIO(); tifffile.imwrite(out, values, photometric=photometric, **options)
    return out.getvalue()


def levels(source):
    return to_pixels(load_image(source)).astype(int)


def profile(space, pcs, **tags):
    "An ICC profile (version 2.4, D50) with these tags."
    tags = {"desc": b"desc" + struct.pack(">II", 0, 5) + b"test\0" + bytes(79), "cprt": b"text\0\0\0\0none", "wtpt": xyz(D50), **tags}
    index, body = b"", b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        index += name.encode() + struct.pack(">II", 132 + 12*len(tags) + len(body), len(data)); body += data
    kind = {b"CMYK": b"prtr"}.get(space, b"mntr")
    head = struct.pack(">I4sI4s4s4s12s4s", 132 + len(index) + len(body), b"test", 0x02400000, kind, space, pcs, bytes(12), b"acsp").ljust(68, b"\0")
    return (head + struct.pack(">3i", *(round(v*65536) for v in D50))).ljust(128, b"\0") + struct.pack(">I", len(tags)) + index + body


D50, D65 = np.array([.9642, 1, .8249]), np.array([.3127/.3290, 1, (1 - .3127 - .3290)/.3290])
BRADFORD = np.array([[.8951, .2664, -.1614], [-.7502, 1.7135, .0367], [.0389, -.0685, 1.0296]])
PRIMARIES = {"sRGB": [(.64, .33), (.30, .60), (.15, .06)], "Display P3": [(.680, .320), (.265, .690), (.150, .060)], "Adobe RGB": [(.64, .33), (.21, .71), (.15, .06)]}


def xyz(value): return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v*65536) for v in value))
def curve(*values): return b"curv\0\0\0\0" + struct.pack(f">I{len(values)}H", len(values), *values)
def linear(v): return np.where(v <= .04045, v/12.92, ((v + .055)/1.055)**2.4)
def companded(v): v = v.clip(0, 1); return 255*np.where(v <= .0031308, 12.92*v, 1.055*v**(1/2.4) - .055)


def matrix(name):
    "Linear RGB of a colour space to XYZ, for its own white, D65 (Lindbloom)."
    corners = np.array([[x/y, 1, (1 - x - y)/y] for x, y in PRIMARIES[name]]).T
    return corners*np.linalg.solve(corners, D65)


def rgb_profile(name):
    adapted = np.linalg.inv(BRADFORD) @ np.diag(BRADFORD @ D50/(BRADFORD @ D65)) @ BRADFORD @ matrix(name)
    line = curve(563) if name == "Adobe RGB" else curve(*(linear(np.linspace(0, 1, 1024))*65535).round().astype(int))      # 563/256: 2.2
    return profile(b"RGB ", b"XYZ ", **{f"{c}XYZ": xyz(column) for c, column in zip("rgb", adapted.T)}, **{f"{c}TRC": line for c in "rgb"})


COLOURS = np.array([[[200, 100, 50], [255, 0, 0], [50, 200, 100], [120, 130, 140], [255, 255, 255], [30, 60, 200]]], np.uint8)
WIDE = [("Display P3", [[215, 93, 31], [255, 0, 0], [0, 203, 86], [118, 130, 141], [255, 255, 255], [17, 61, 208]]),          # from libvips
        ("Adobe RGB", [[227, 100, 42], [255, 0, 0], [0, 201, 92], [116, 131, 142], [255, 255, 255], [0, 57, 205]])]


@pytest.mark.parametrize("name, right", WIDE)
def test_wide_colours_become_srgb(name, right):
    "A profile of primaries: decode, to XYZ and back with the other primaries, encode; what sRGB does not have is clipped."
    light = (COLOURS/255)**(563/256) if name == "Adobe RGB" else linear(COLOURS/255)
    formula = companded(light @ (np.linalg.inv(matrix("sRGB")) @ matrix(name)).T)
    assert np.abs(formula - [right]).max() < 1
    for source in (encoded(Image.fromarray(COLOURS), icc_profile=rgb_profile(name)), encoded(Image.fromarray(COLOURS), "WEBP", lossless=True, icc_profile=rgb_profile(name)),
                   tiff(COLOURS, iccprofile=rgb_profile(name)), tiff(COLOURS.astype(np.uint16)*257, iccprofile=rgb_profile(name)), tiff((COLOURS/255).astype("f4"), iccprofile=rgb_profile(name))):
        assert np.abs(levels(source) - [right]).max() <= 1
    jpeg = encoded(Image.fromarray(COLOURS[:, :1].repeat(16, 0).repeat(16, 1)), "JPEG", quality=100, icc_profile=rgb_profile(name))
    assert np.abs(levels(jpeg)[8, 8] - right[0]).max() <= 2


def test_profile_of_srgb_changes_nothing():
    known = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for icc in (known, rgb_profile("sRGB")):
        assert (levels(encoded(Image.fromarray(PIXELS), icc_profile=icc)) == PIXELS).all()
        assert (levels(encoded(Image.fromarray(PIXELS[..., 0]), icc_profile=icc)) == PIXELS[..., :1]).all()        # grey with a profile for colours


@pytest.mark.parametrize("depth", [1, 257])
def test_grey_with_a_profile(depth):
    "Gamma 1.8: the level 128 is (128/255)^1.8 of the light, which is 146 in sRGB."
    grey = np.array([[0, 64, 128, 192, 255]], np.uint8)
    assert np.abs(companded((grey/255)**1.8) - [[0, 81.4, 146.4, 203.4, 255]]).max() < .1
    values = grey if depth == 1 else grey.astype(np.uint16)*257
    icc = profile(b"GRAY", b"XYZ ", kTRC=curve(461))                                          # 461/256 = 1.8
    assert np.abs(levels(encoded(Image.fromarray(values), icc_profile=icc))[0, :, 0] - [0, 81, 146, 203, 255]).max() <= 1


def from_lab(lightness, a, b):
    "CIELAB (D50) as levels of sRGB."
    y = (lightness + 16)/116
    f = np.array([y + a/500, y, y - b/200])
    light = np.where(f > 6/29, f**3, 3*(6/29)**2*(f - 4/29))*D50
    return companded(np.linalg.inv(matrix("sRGB")) @ np.linalg.inv(BRADFORD) @ np.diag(BRADFORD @ D65/(BRADFORD @ D50)) @ BRADFORD @ light)


INKS = {(0, 0, 0, 0): (100, 0, 0), (1, 0, 0, 0): (55, -37, -50), (0, 1, 0, 0): (48, 74, -3), (0, 0, 1, 0): (89, -5, 93), (1, 1, 0, 0): (24, 22, -46),
        (1, 0, 1, 0): (50, -68, 25), (0, 1, 1, 0): (47, 68, 48), (1, 1, 1, 0): (23, 0, 0)}              # CIELAB of offset inks on paper


def test_inks_of_a_print_shop():
    "A CMYK JPEG, which is stored inverted, with the profile of its inks; cyan is (0, 151, 218), not (0, 255, 255)."
    corners = np.zeros((2, 2, 2, 2, 3))                                                           # with black ink: black
    for inks, lab in INKS.items(): corners[inks] = lab
    lut = (corners*[2.55, 1, 1] + [0, 128, 128]).round().clip(0, 255).astype(np.uint8).tobytes()
    ramp = bytes(range(256))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536) + ramp*4 + lut + ramp*3
    icc = profile(b"CMYK", b"Lab ", A2B0=table)
    for inks, lab in INKS.items():
        page = Image.new("CMYK", (16, 16), tuple(255*i for i in inks))
        for source in (encoded(page, "JPEG", quality=100, icc_profile=icc), encoded(page, "TIFF", icc_profile=icc)):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                assert np.abs(levels(source)[8, 8] - from_lab(*lab)).max() < 2.5, inks
    assert np.abs(from_lab(55, -37, -50) - [0, 151, 218]).max() < .5
    with pytest.warns(UserWarning, match="CMYK without a profile"): assert levels(encoded(page, "JPEG")).max() < 5


def test_cielab():
    source = tiff(np.array([[[128, 20, 226]]], np.uint8), "cielab")                               # L = 50.2, a = 20, b = -30
    assert np.abs(levels(source)[0, 0] - [133.4, 108.5, 171.0]).max() < 1.5


@pytest.mark.parametrize("icc", [b"x"*200, rgb_profile("Display P3")[:500], profile(b"GRAY", b"XYZ ", kTRC=curve(461))])
def test_broken_profile_is_a_note(icc):
    with pytest.warns(UserWarning, match="profile that is damaged or does not fit"):
        assert (levels(encoded(Image.fromarray(PIXELS), icc_profile=icc)) == PIXELS).all()


GREY, DEEP = PIXELS[..., 0], PIXELS.astype(np.uint16)*257
FLOATS = (PIXELS/255).astype("f4")
HALF = np.dstack([FLOATS, np.full(GREY.shape, .5, "f4")])
DARKENED = np.dstack([FLOATS/2, np.full(GREY.shape, .5, "f4")])                                      # colours multiplied by alpha
PINK = PIXELS/2 + 127.5
most_is = lambda value, n=1: dict(extratags=[(281, "H", n, value, True)])                            # MaxSampleValue


@pytest.mark.parametrize("source, right", [
    (tiff(DEEP), PIXELS), (tiff(DEEP.transpose(2, 0, 1), planarconfig="separate"), PIXELS), (tiff(PIXELS.transpose(2, 0, 1), planarconfig="separate"), PIXELS),
    (tiff(DEEP, byteorder=">"), PIXELS), (tiff(DEEP, tile=(16, 16)), PIXELS), (tiff(DEEP, compression="deflate", predictor=True), PIXELS), (tiff(PIXELS, bigtiff=True), PIXELS),
    (tiff(65535 - DEEP[..., 0], "miniswhite"), GREY), (tiff(255 - GREY, "miniswhite"), GREY), (encoded(Image.fromarray(DEEP[..., 0]), "TIFF", compression="tiff_lzw"), GREY),
    (tiff(DEEP >> 4, **most_is((4095,)*3, 3)), PIXELS), (tiff(DEEP[..., 0] >> 2, "minisblack", **most_is(16000)), GREY), (tiff(GREY.astype(np.uint32)*16843009, "minisblack"), GREY),
    (tiff(FLOATS), PIXELS), (tiff(FLOATS.astype("f2")), PIXELS), (tiff(FLOATS.astype("f8")), PIXELS), (tiff(FLOATS.transpose(2, 0, 1), planarconfig="separate"), PIXELS),
    (tiff((HALF*65535).astype(np.uint16), extrasamples=["unspecified"]), PIXELS), (tiff(np.zeros((4, 4, 4), np.uint16), "separated"), np.full((4, 4, 3), 255))])
def test_every_tiff(source, right):
    if right.ndim == 2: right = right[..., None]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "(?!.*CMYK)")
        assert np.abs(levels(source) - right).max() <= 1


@pytest.mark.parametrize("source", [tiff(HALF, extrasamples=["unassalpha"]), tiff(DARKENED, extrasamples=["assocalpha"]), tiff((HALF*65535).astype(np.uint16), extrasamples=["unassalpha"]), HALF])
def test_alpha_of_deep_pictures(source):
    with pytest.warns(UserWarning, match="white"): assert np.abs(levels(source) - PINK).max() <= 1


@pytest.mark.parametrize("source", [tiff(DEEP[..., 0] >> 4, "minisblack"), DEEP[..., 0] >> 4, Image.fromarray(DEEP[..., 0] >> 4)])
def test_12_bits_in_16_are_said(source):
    with pytest.warns(UserWarning, match="taken as 12 bits"): assert np.abs(levels(source)[..., 0] - GREY).max() <= 1


@pytest.mark.parametrize("turn", range(1, 9))
def test_orientation_of_a_float_tiff(turn):
    "As Pillow turns the same picture of 8 bits."
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(tiff(PIXELS, extratags=[(274, "H", 1, turn, True)])))))
    assert (levels(tiff(FLOATS, extratags=[(274, "H", 1, turn, True)])) == upright).all()


def pages(*writes):
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as file:
        for values, options in writes: file.write(values, **{"photometric": "rgb", **options})
    return out.getvalue()


THUMB = PIXELS[::4, ::4].copy()


def test_the_photograph_not_its_thumbnail():
    for source in (pages((THUMB, dict(subfiletype=1)), (PIXELS, {})), pages((THUMB, dict(subfiletype=1, subifds=1)), (PIXELS, {})), pages((THUMB, dict(subfiletype=1)), (DEEP, {})), pages((PIXELS, {}), (THUMB, dict(subfiletype=1)))):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert (levels(source) == PIXELS).all()


def test_raw_data_of_a_camera_is_refused_by_name(tmp_path):
    dng = tiff(THUMB, subfiletype=1, extratags=[(50706, "B", 4, (1, 4, 0, 0), True)])
    nef = pages((THUMB, dict(subfiletype=1, subifds=1)), (DEEP[..., 0], dict(photometric=32803)))
    cr2 = tiff(PIXELS); cr2 = cr2[:8] + b"CR\2\0" + cr2[12:]
    (tmp_path/"a.tif").write_bytes(nef)
    for source in (dng, nef, cr2, b"FUJIFILMCCD-RAW 0201", b"IIRO\x08\0\0\0", b"\0\0\0\x18ftypcrx \0\0\0\1", tmp_path/"a.tif"):
        with pytest.raises(ImageError, match="raw data of a camera.*darktable"): load_image(source)


@pytest.mark.parametrize("source, words", [
    (tiff(PIXELS.astype("f4")), r"floats in \[0, 255\]"), (tiff(GREY.astype("f4"), "minisblack"), "floats in"), (tiff(np.full((4, 4, 3), np.nan, "f4")), "finite"),
    (tiff(GREY.astype(np.int16), "minisblack"), "int16"), (tiff(np.zeros((8, 8, 5), np.uint16), "minisblack", planarconfig="contig"), "5 grey channels"),
    (PIXELS.astype(float), "floats in"), (-PIXELS.astype(int), "no grey levels"), (PIXELS.astype(int)*300, "no grey levels"), (PIXELS.astype(complex), "complex"), (np.array(["a"]), "holds <U1"),
    (PIXELS.transpose(2, 0, 1), "colours last"), (PIXELS[None], "one picture"), (np.zeros((0, 4, 3)), "no pixels"),
    (None, "not NoneType"), (3, "not int"), ([1], "not list"), (io.StringIO("text"), "'rb'"), (b"", "empty"), (io.BytesIO(), "empty"), ("\0", "no such file|name of a file"), ("a"*5000, "name of a file"),
    ("~/nothing.png", "no such file"), ("/dev/zero", "pipe or a device"), ("https://example.org/a.png", "no such file")])
def test_what_is_no_picture_gets_one_line(source, words):
    with pytest.raises(ImageError, match=words) as error: load_image(source)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path/"a.png")
    with pytest.raises(ImageError, match="pipe or a device"): load_image(tmp_path/"a.png")


def test_a_picture_in_any_form(tmp_path, monkeypatch):
    "Each of them is the same picture."
    monkeypatch.setenv("HOME", str(tmp_path)); monkeypatch.setenv("USERPROFILE", str(tmp_path))
    file, data = tmp_path/"a.png", encoded(Image.fromarray(PIXELS))
    file.write_bytes(data)
    forms = [file, str(file), "~/a.png", data, bytearray(data), memoryview(data), io.BytesIO(data), file.open("rb"), Image.fromarray(PIXELS), PIXELS, DEEP, PIXELS/255, FLOATS, PIXELS.astype(int), PIXELS.astype(np.int32)*257, PIXELS[::-1][::-1]]
    right = load_image(file)
    for form in (*forms, right, right.double(), right.clone().requires_grad_()):
        image = load_image(form)
        assert image.dtype == torch.float32 and not image.requires_grad and (image - right).abs().max() < 1e-6
        if hasattr(form, "seek"): form.seek(0)
        assert torch.equal(as_image(form), image)
    for form in (GREY, GREY[..., None], GREY.astype(np.int64)): assert (levels(form) == GREY[..., None]).all()
    assert (levels(GREY > 127)[..., 0] == 255*(GREY > 127)).all()
    assert (forms[9] == PIXELS).all() and (forms[12] == FLOATS).all()                                  # arrays of ours are not written to


def test_to_tensor_refuses_what_it_would_read_wrongly():
    for wrong in (PIXELS.astype(int), PIXELS > 3, GREY, np.dstack([PIXELS, GREY])):
        with pytest.raises(ImageError, match="load_image"): to_tensor(wrong)
    floats = FLOATS.copy(); to_tensor(floats)
    assert (floats == FLOATS).all()


def test_a_photograph_between_0_and_1_is_said():
    photo = load_image("dunes")
    with pytest.warns(UserWarning, match="black is -1"): as_image((photo + 1)/2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for image in (photo, torch.zeros(1, 3, 8, 8), photo*.5): as_image(image)
    for wrong in (photo.to(torch.uint8), photo[0], photo*float("nan")):
        with pytest.raises(ImageError): as_image(wrong)


@pytest.mark.parametrize("picture, clear, seen", [
    (Image.fromarray(PIXELS), (1, 2, 3), False), (Image.fromarray(PIXELS), tuple(map(int, PIXELS[0, 0])), True), (Image.fromarray(GREY | 1), 0, False), (Image.fromarray(GREY | 1), int(GREY[0, 0] | 1), True),
    (Image.fromarray(DEEP[..., 0] | 1), 0, False), (Image.fromarray(DEEP[..., 0] | 1), int(DEEP[0, 0, 0] | 1), True),
    (Image.fromarray(PIXELS).quantize(16), 200, False), (Image.fromarray(PIXELS).quantize(16), 3, True), (Image.fromarray(PIXELS).quantize(16), bytes([255]*16), False)])
def test_a_transparent_colour_counts_where_it_occurs(picture, clear, seen):
    if picture.mode != "I;16": data = encoded(picture, transparency=clear)
    else:                                                                                                # Pillow 10 does not write it
        before, pixels = (data := encoded(picture))[:(at := data.index(b"IDAT") - 4)], data[at:]
        chunk = b"tRNS" + struct.pack(">H", clear)
        data = before + struct.pack(">I", 2) + chunk + struct.pack(">I", zlib.crc32(chunk)) + pixels
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        image = levels(data)
    assert bool(said) == seen
    if seen and picture.mode != "P": assert (image[0, 0] == 255).all()


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_pictures_the_first_is_taken_and_it_is_said(form):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "lime", "blue")]
    with pytest.warns(UserWarning, match="holds 3 pictures: the first is taken") as said:
        image = levels(encoded(frames[0], form, save_all=True, append_images=frames[1:]))
    assert np.abs(image - [255, 0, 0]).max() < 5 and len(said) == 1


def test_depths_beside_a_photograph_are_not_worth_a_word():
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "lime")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_image(encoded(frames[0], "MPO", save_all=True, append_images=frames[1:]))


@pytest.mark.skipif(not features.check("jpg_2000"), reason="Pillow without JPEG 2000")
def test_jpeg_2000(): assert (levels(encoded(Image.fromarray(PIXELS), "JPEG2000")) == PIXELS).all()


@pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
def test_avif(): assert np.abs(levels(encoded(Image.new("RGB", (32, 32), (200, 40, 90)), "AVIF", quality=95)) - [200, 40, 90]).max() < 5


def test_heic_lies_as_the_camera_was_held():
    plugin = pytest.importorskip("pillow_heif")
    plugin.register_heif_opener()
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)[None].repeat(48, 0)
    exif = Image.Exif(); exif[0x0112] = 6
    data = encoded(Image.fromarray(np.stack([ramp, ramp, 255 - ramp], -1)), "HEIF", quality=95, exif=exif.tobytes())
    assert np.abs(levels(data) - np.rot90(np.stack([ramp, ramp, 255 - ramp], -1), -1)).max() < 10


@pytest.mark.parametrize("first, words", [(b"\0\0\0\x1cftypheic", "HEIC.*pillow-heif"), (b"\0\0\0\x1cftypavif", "AVIF.*pillow>=11.3"), (b"\0\0\0\x0cjP  ", "JPEG 2000.*convert")])
def test_a_missing_plugin_is_named(monkeypatch, first, words):
    monkeypatch.setattr(singan_nb.formats, "supported", lambda kind: False)
    with pytest.raises(ImageError, match=words): load_image(first + bytes(40))


SQUARE = np.zeros((64, 64), bool); SQUARE[10:30, 20:40] = True


def drawn(ink, ground, mode="RGB"):
    picture = Image.new(mode, (64, 64), ground); ImageDraw.Draw(picture).rectangle((20, 10, 39, 29), fill=ink)
    return picture


def indexed(*colours):
    picture = drawn(1, 0, "P"); picture.putpalette([value for colour in colours for value in colour])
    return picture


@pytest.mark.parametrize("source, part", [
    *((encoded(drawn(ink, (0, 0, 0, 0), "RGBA")), "not transparent") for ink in ("black", "red", "white")), (drawn("black", (255, 255, 255, 0), "RGBA"), "not transparent"),
    (drawn("white", "black"), "white part"), (encoded(drawn("white", "black"), "JPEG", quality=50), "white part"), (drawn(1, 0, "1"), "white part"), (SQUARE, "white part"), (SQUARE.astype(float), "white part"),
    (drawn("red", "black"), "not black"), (drawn("blue", "black"), "not black"), (drawn("red", "white"), "not white"), (encoded(indexed((0, 0, 0), (128, 0, 0))), "not black"),
    (SQUARE.astype(np.uint8), "labels but 0"), (SQUARE.astype(int)*3, "labels but 0"), ((SQUARE*100).astype(np.uint8), "white part"), (encoded(indexed((255, 255, 255), (0, 0, 0)), "GIF", transparency=0), "not transparent")])
def test_masks_as_they_are_saved(source, part):
    with pytest.warns(UserWarning, match=f"marks 10 % of its pixels: .*{part}$") as said: mask = read_mask(source)
    assert mask.shape == (1, 1, 64, 64) and ((mask[0, 0] > .5).numpy() == SQUARE).all() and len(said) == 1
    with pytest.warns(UserWarning): assert torch.equal(load_mask(source), mask)


@pytest.mark.parametrize("source", [drawn("black", "white"), encoded(indexed((255, 255, 255), (0, 0, 0)))])
def test_an_inverted_mask_does_not_pass_in_silence(source):
    with pytest.warns(UserWarning, match="marks 90 % .*its white part; if the other part is meant, invert it"): mask = read_mask(source)
    assert ((mask[0, 0] > .5).numpy() == ~SQUARE).all()


def test_what_marks_nothing_for_sure_is_refused():
    three = drawn("white", "black", "RGBA"); ImageDraw.Draw(three).rectangle((0, 50, 63, 63), fill=(0, 0, 0, 0))
    both = drawn("white", "black"); ImageDraw.Draw(both).rectangle((0, 50, 63, 63), fill="red")
    for source, words in ((three, "transparent parts"), (both, "black, white and colours"), ("dunes", "photograph"), (drawn("red", "lime"), "no black or white"), (b"no", "not a picture"), (3, "not int")):
        with pytest.raises(ImageError, match=words): read_mask(source)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_save_image_writes_any_form(tmp_path, monkeypatch, suffix):
    monkeypatch.setenv("HOME", str(tmp_path)); monkeypatch.setenv("USERPROFILE", str(tmp_path))
    flat = np.full((16, 16, 3), (200, 40, 90), np.uint8)
    tensor = to_tensor(flat)
    for form in (tensor, tensor[0], tensor.double(), tensor.clone().requires_grad_(), torch.from_numpy(flat).permute(2, 0, 1), flat, flat/255, flat.astype(np.uint16)*257, flat.astype(int), Image.fromarray(flat), Image.fromarray(flat).quantize(4)):
        assert np.abs(levels(save_image(form, f"~/a{suffix}")) - flat).max() <= 4
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a{suffix}"]


def test_save_image_keeps_or_says(tmp_path):
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    with pytest.warns(UserWarning, match="white"): assert Image.open(save_image(clear, tmp_path/"a.jpg")).getpixel((0, 0)) == (255, 255, 255)
    for form in (clear, np.asarray(clear)): assert Image.open(save_image(form, tmp_path/"a.png")).getpixel((0, 0)) == (0, 0, 0, 0)
    wide = Image.open(io.BytesIO(encoded(Image.fromarray(COLOURS.repeat(16, 0).repeat(16, 1)), icc_profile=rgb_profile("Display P3"))))
    assert np.abs(levels(save_image(wide, tmp_path/"b.jpg"))[8, 8] - WIDE[0][1][0]).max() <= 3                   # with its profile
    for form in (Image.new("F", (4, 4), .5), Image.fromarray(np.full((4, 4), 40000, np.uint16))): save_image(form, tmp_path/"c.jpg")


@pytest.mark.parametrize("wrong, words", [(torch.full((3, 4, 4), float("nan")), "NaN"), (torch.zeros(3, 4, 4, dtype=torch.long), "uint8"), (torch.zeros(3, 0, 4), "one image"), (np.full((4, 4), 300.), "floats"), (None, "NoneType"), ([1], "list")])
def test_save_image_refuses(tmp_path, wrong, words):
    with pytest.raises(ImageError, match=words): save_image(wrong, tmp_path/"a.png")
    with pytest.raises(ImageError, match="path"): save_image(torch.zeros(3, 4, 4), None)
    assert not list(tmp_path.iterdir())


# What a file says in its small print.

def png(size, depth, colour, rows, *chunks):
    "A PNG with these bytes in its rows and these chunks before them."
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in ((b"IHDR", head), *chunks, (b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))), (b"IEND", b"")))


def said_of(call, *given):
    "What a call returns, and its notes."
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        return call(*given), [str(note.message) for note in notes]


GREYS = profile(b"GRAY", b"XYZ ", kTRC=curve(461))


@pytest.mark.parametrize("values", [DEEP, FLOATS])
def test_a_profile_for_greys_leaves_deep_colours_alone(values):
    image, notes = said_of(levels, tiff(values, iccprofile=GREYS))
    assert np.abs(image - PIXELS).max() <= 1 and len(notes) == 1 and "does not fit" in notes[0]


def test_a_palette_with_alpha_is_transparent(tmp_path):
    picture = drawn((255, 0, 0, 255), (0, 0, 0, 0), "RGBA").quantize()
    assert picture.mode == "P" and picture.palette.mode == "RGBA" and "transparency" not in picture.info
    image, notes = said_of(levels, picture)
    assert image[0, 0].tolist() == [255]*3 and image[20, 30].tolist() == [255, 0, 0] and "transparent parts" in notes[0]
    assert ((said_of(read_mask, picture)[0][0, 0] > .5).numpy() == SQUARE).all()
    for suffix, white in ((".jpg", True), (".tif", False), (".webp", False), (".png", False)):
        file, notes = said_of(save_image, picture, tmp_path/f"a{suffix}")
        back = np.asarray(Image.open(file).convert("RGBA")).astype(int)
        assert len(notes) == white and back[0, 0, 3] == 255*white and back[20, 30, 3] == 255 and np.abs(back[20, 30, :3] - [255, 0, 0]).max() < 9
        if white: assert back[0, 0].tolist() == [255]*4


@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".webp", ".png"])
def test_a_transparent_colour_survives_saving_or_becomes_white(tmp_path, suffix):
    picture = drawn((255, 0, 0), (0, 0, 255)); picture.info["transparency"] = (0, 0, 255)
    back = np.asarray(Image.open(said_of(save_image, picture, tmp_path/f"a{suffix}")[0]).convert("RGBA"))
    assert (back[0, 0, :3] == 255).all() if suffix == ".jpg" else back[0, 0, 3] == 0


@pytest.mark.parametrize("depth, colour, row, clear, right", [
    (1, 0, b"\x50", (1,), [0, 255, 0, 255]), (1, 0, b"\x50", (0,), [255]*4), (2, 0, b"\x1b", (2,), [0, 85, 255, 255]), (2, 0, b"\x1b", (1,), [0, 255, 170, 255]), (4, 0, b"\x01\x2f", (1,), [0, 255, 34, 255]),
    (8, 0, bytes([0, 9, 34, 255]), (9,), [0, 255, 34, 255]), (16, 2, struct.pack(">12H", *[0]*3, *[9000]*3, *[8000]*3, *[65535]*3), (9000,)*3, [0, 255, 31, 255]), (8, 2, bytes([0]*3 + [9]*3 + [34]*3 + [255]*3), (9,)*3, [0, 255, 34, 255])])
def test_a_transparent_colour_of_any_depth_becomes_white(tmp_path, depth, colour, row, clear, right):
    data = png((4, 1), depth, colour, [row], (b"tRNS", struct.pack(f">{len(clear)}H", *clear)))
    image, notes = said_of(levels, data)
    assert image[0, :, 1].tolist() == right and len(notes) == 1 and "transparent parts" in notes[0]
    with Image.open(io.BytesIO(data)) as picture: again = save_image(picture, tmp_path/"a.png")
    assert said_of(levels, again)[0][0, :, 1].tolist() == right


def lzw(data):
    "As TIFF has it, without saving anything: 9 bits a byte, and a new table before it fills."
    codes = [code for at in range(0, len(data), 200) for code in (256, *data[at:at+200])] + [257]
    return np.packbits((np.array(codes)[:, None] >> np.arange(8, -1, -1) & 1).astype(np.uint8)).tobytes()


def lzw_tiff(values, photometric="rgb", byteorder="<", predictor=1, **options):
    "A TIFF whose strips or tiles are compressed afterwards; its last tag becomes that of the predictor."
    plain = tiff(values, photometric, byteorder=byteorder, software=False, metadata=None, **options)
    with tifffile.TiffFile(io.BytesIO(plain)) as file:
        page, data, (starts, counts) = file.pages[0], bytearray(plain), (file.pages[0].tags[324 if "tile" in options else 273], file.pages[0].tags[325 if "tile" in options else 279])
        strips = [lzw(plain[at:at+length]) for at, length in zip(page.dataoffsets, page.databytecounts)]
        at = len(data) + np.cumsum([0, *map(len, strips)])[:-1]
        for tag, numbers in ((page.tags[259], [5]), (starts, at), (counts, map(len, strips))):
            struct.pack_into(f"{byteorder}{tag.count}{'HI'[int(tag.dtype) == 4]}", data, tag.valueoffset, *numbers)
        if predictor > 1: struct.pack_into(f"{byteorder}H", data, page.tags[296].offset, 317); struct.pack_into(f"{byteorder}H", data, page.tags[296].valueoffset, predictor)
    return bytes(data) + b"".join(strips)


STEPS = np.diff(DEEP.astype(int), axis=1, prepend=0).astype(np.uint16)                               # from pixel to pixel
strips = dict(rowsperstrip=7)


@pytest.mark.parametrize("source, right, note", [
    (lzw_tiff(DEEP, **strips), PIXELS, None), (lzw_tiff(DEEP >> 4, **strips), PIXELS, "taken as 12 bits"), (lzw_tiff(DEEP >> 4, **most_is((4095,)*3, 3)), PIXELS, None), (lzw_tiff(DEEP, byteorder=">"), PIXELS, None),
    (lzw_tiff(DEEP, tile=(16, 16)), PIXELS, None), (lzw_tiff(DEEP.transpose(2, 0, 1), planarconfig="separate", **strips), PIXELS, None), (lzw_tiff(STEPS, predictor=2, **strips), PIXELS, None),
    (lzw_tiff(FLOATS, **strips), PIXELS, None), (lzw_tiff(GREY.astype(np.uint32)*16843009, "minisblack"), GREY, None), (lzw_tiff(65535 - DEEP[..., 0], "miniswhite"), GREY, None), (lzw_tiff(PIXELS, **strips), PIXELS, None),
    (lzw_tiff((HALF*65535).astype(np.uint16), extrasamples=["unassalpha"], **strips), PINK, "transparent parts"), (lzw_tiff(65535 - DEEP[..., 0], "miniswhite", iccprofile=GREYS), companded((GREY/255)**1.8), None)])
def test_every_tiff_with_lzw(source, right, note):
    image, notes = said_of(levels, source)
    assert np.abs(image - right.reshape(*right.shape[:2], -1)).max() <= (1 if right.dtype == np.uint8 else 4) and len(notes) == bool(note) and (not note or note in notes[0])


def test_strips_that_overlap_are_no_endless_work():
    data = bytearray(lzw_tiff(DEEP, rowsperstrip=1))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file: tag = file.pages[0].tags[279]
    struct.pack_into(f"<{tag.count}{'HI'[int(tag.dtype) == 4]}", data, tag.valueoffset, *[len(data)]*tag.count)
    with pytest.raises(ImageError, match="strips overlap"): load_image(bytes(data))


def bits_of(values, depth, photometric):
    "A TIFF of packed bits."
    packed = np.packbits((values[..., None] >> np.arange(depth - 1, -1, -1) & 1).astype(np.uint8).reshape(len(values), -1), axis=1)
    data = bytearray(tiff(packed, "minisblack"))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        for code, number in ((256, values.shape[1]), (258, depth), (262, photometric)): struct.pack_into("<H", data, file.pages[0].tags[code].valueoffset, number)
    return bytes(data)


SUPPORTED_NOT = [(tiff(np.zeros((4, 4, 3), np.uint8), "icclab"), "3 × uint8 .ICCLAB, compression NONE"), (bits_of(DEEP[..., 0] >> 6, 10, 1), "1 × 10 bits"), (bits_of(DEEP[..., 0] >> 2, 14, 0), "1 × 14 bits"),
                 (tiff(GREY.astype(np.int16), "minisblack"), "1 × int16"), (lzw_tiff(GREY.astype(np.int16), "minisblack"), "compression LZW"), (lzw_tiff(FLOATS, predictor=3), "3 × float32 .RGB, compression LZW")]


@pytest.mark.parametrize("source, words", SUPPORTED_NOT)
def test_a_tiff_of_another_kind_is_not_called_damaged(source, words):
    with pytest.raises(ImageError, match=f"is a TIFF of .*{words}.*which is not read; export it as RGB of 8 or 16 bits"): load_image(source)


def test_what_pillow_does_not_know_is_read_by_tifffile():
    inks = np.dstack([255 - PIXELS, np.zeros((*GREY.shape, 2), np.uint8)])
    assert np.abs(said_of(levels, tiff(inks, "separated", extrasamples=["unassalpha"]))[0] - PIXELS).max() <= 2                    # CMYK and alpha
    assert (levels(tiff(PIXELS, bigtiff=True, byteorder=">")) == PIXELS).all()
    assert np.abs(levels(bits_of(DEEP[..., 0] >> 8 << 2, 12, 1))[..., 0] - GREY*(4*255/4095)).max() <= 1                              # white is 4095, whatever the brightest is


def pgm(values, top): return b"P5 %d %d %d\n" % (*values.shape[::-1], top) + values.astype(">u2").tobytes()


@pytest.mark.parametrize("source, right, note", [
    (pgm(np.full((4, 4), 200), 65535), 1, "nearly black: no level is above 200 of 65535"), (pgm(np.full((4, 4), 1000), 1023), 249, None), (pgm(np.full((4, 4), 100), 1023), 25, None), (pgm(np.full((4, 4), 3000), 4095), 187, None),
    (pgm(np.full((4, 4), 40000), 65535), 156, None), (encoded(Image.fromarray(np.full((4, 4), 3968, np.uint16))), 15, "nearly black: no level is above 3968 of 65535"), (np.array([[0, 1]]*2)[:, 1:], 1, "above 1 of 255"),
    (np.ones((4, 4, 3), np.uint8), 1, "above 1 of 255"), (np.zeros((4, 4), int), 0, None), (encoded(Image.new("L", (4, 4), 20)), 20, None)])
def test_white_is_not_guessed_where_it_is_defined(source, right, note):
    image, notes = said_of(levels, source)
    assert (image == right).all() and len(notes) == bool(note) and (not note or note in notes[0])


CHRM = lambda *corners: (b"cHRM", struct.pack(">8I", *(round(c*100000) for c in corners)))
GAMA = lambda value: (b"gAMA", struct.pack(">I", round(value*100000)))
SRGB, P3 = (.3127, .3290, .64, .33, .30, .60, .15, .06), (.3127, .3290, .680, .320, .265, .690, .150, .060)


@pytest.mark.parametrize("chunks, note", [
    ([GAMA(.45455)], None), ([GAMA(.45455), CHRM(*SRGB)], None), ([], None), ([(b"sRGB", b"\0"), GAMA(1), CHRM(*P3)], None), ([GAMA(1)], "declares a gamma of 1.0"), ([GAMA(.45455), CHRM(*P3)], "declares other primaries"), ([GAMA(1), CHRM(*P3)], "a gamma of 1.0 and other")])
def test_a_png_that_is_not_srgb_by_its_chunks_is_said(chunks, note):
    image, notes = said_of(levels, png((1, 1), 8, 2, [bytes([200, 100, 50])], *chunks))
    assert image.tolist() == [[[200, 100, 50]]] and len(notes) == bool(note) and (not note or note in notes[0])


@pytest.mark.parametrize("exif", [b"garbage", b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\xff\xff", b"II*\0\xff\xff\xff\xff"])
def test_garbage_about_the_camera_is_a_note_at_most(tmp_path, exif):
    data = png((30, 20), 8, 2, [row.tobytes() for row in PIXELS], (b"eXIf", exif))
    assert (said_of(levels, data)[0] == PIXELS).all()
    assert (levels(said_of(save_image, Image.open(io.BytesIO(data)), tmp_path/"a.png")[0]) == PIXELS).all()
    with pytest.raises(ImageError, match="damaged"): load_image(data[:-40])                              # pixels that are missing


def test_an_open_file_is_read_from_its_start():
    file = io.BytesIO(); Image.fromarray(PIXELS).save(file, "PNG")
    for _ in range(2): assert (levels(file) == PIXELS).all()

    class Download:                                                                                      # cannot go back
        def __init__(self, data): self.read = io.BytesIO(data).read
        def seek(self, at): raise io.UnsupportedOperation
    assert (levels(Download(file.getvalue())) == PIXELS).all()


def test_a_file_that_cannot_be_read_gets_one_line(tmp_path):
    (tmp_path/"a.png").write_bytes(encoded(Image.fromarray(PIXELS)))
    closed = (tmp_path/"a.png").open("rb"); closed.close()
    with (tmp_path/"a.png").open(encoding="utf-8") as text, (tmp_path/"b.png").open("wb") as written:
        for file, words in ((text, "a.png is open as text"), (closed, "a.png cannot be read .*closed file"), (written, "b.png cannot be read .*'rb'")):
            with pytest.raises(ImageError, match=words): load_image(file)
    for path, words in (("x\0.png", "cannot be the name of a file"), ("~nobody_of_that_name/x.png", "home")):
        with pytest.raises(ImageError, match=words): save_image(torch.zeros(3, 4, 4), path)


@pytest.mark.parametrize("first, words", [(b"<svg xmlns='x'>", "SVG drawing.*; convert it to PNG"), (b"%PDF-1.7", "PDF.*; convert it"), (b"<html>", "web page.*; download the picture itself"), (b"\0\0\2\0\0\0\0\0\0\0\0\0\x04\0\x04\0\x18\0", "is not a picture"),
                                          (b"\0\0\2\0\1\0", "an icon"), (b"PF\n1 1\n-1\n" + bytes(12), "not a picture that can be read")])
def test_a_file_is_called_by_its_name(first, words):
    with pytest.raises(ImageError, match=words) as error: load_image(first + bytes(60))
    assert "darktable" not in str(error.value)


def test_a_small_limit_is_said_in_bytes():
    with pytest.raises(ImageError, match="limit of 100 bytes"): load_image(b"x"*101, most=100)
    with pytest.raises(ImageError, match="take 10,800 bytes; the limit is 10,000 bytes"): load_image(encoded(Image.new("RGB", (20, 30))), most=10_000)


def test_threads_leave_the_settings_of_warnings_and_logs_alone():
    sources = encoded(Image.fromarray(PIXELS)), tiff(DEEP)
    for source in sources: load_image(source)
    before, switch = list(warnings.filters), sys.getswitchinterval()
    workers = [threading.Thread(target=lambda: [load_image(source) for _ in range(30) for source in sources]) for _ in range(6)]
    sys.setswitchinterval(1e-4)
    try:
        for worker in workers: worker.start()
        for worker in workers: worker.join()
    finally: sys.setswitchinterval(switch)
    assert warnings.filters == before and not logging.getLogger("tifffile").disabled


def test_tifffile_is_silent_for_us_alone(caplog):
    log = logging.getLogger("tifffile")
    with singan_nb.tiff._silent(): log.warning("ours")
    log.warning("theirs")
    assert [record.message for record in caplog.records] == ["theirs"]


@pytest.mark.skipif(not features.check("jpg_2000"), reason="Pillow without JPEG 2000")
def test_the_first_picture_of_a_process_may_be_a_jpeg_2000(tmp_path):
    "Pillow loads most of its plug-ins later than the first question whether it has one."
    Image.fromarray(PIXELS).save(tmp_path/"a.jp2")
    code = f"from singan_nb.images import load_image; print(load_image({str(tmp_path/'a.jp2')!r}).shape)"
    assert "20, 30" in subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout


ODD = [(torch.zeros(1, 3, 4, 4).to_sparse(), "sparse"), (torch.zeros(1, 3, 4, 4, device="meta"), "meta"), (torch.nested.nested_tensor([torch.zeros(3, 4, 4)]), "nested"), (torch.zeros(1, 3, 4, 4).to(torch.float8_e4m3fn), "float8"), (torch.zeros(1, 3, 4, 4)*float("nan"), "NaN")]


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("wrong, words", ODD)
def test_tensors_that_hold_no_picture_get_one_line(tmp_path, wrong, words):
    for call in (load_image, as_image, to_pixels, lambda x: save_image(x, tmp_path/"a.png"), lambda x: images_grid([x]), lambda x: check_image(x)):
        with pytest.raises(ImageError, match=words): call(wrong)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", [torch.zeros(2, 3, 4, 4), torch.zeros(1, 4, 4), torch.zeros(4, 4), torch.zeros(1, 3, 4, 4, dtype=torch.uint8), torch.zeros(1, 3, 4, 4, dtype=torch.long), None, PIXELS, "dunes"])
def test_to_pixels_takes_one_image(wrong):
    with pytest.raises(ImageError): to_pixels(wrong)


@pytest.mark.parametrize("wrong", [PIXELS.astype(float), FLOATS*float("nan"), -FLOATS - .1, PIXELS.astype(np.uint32), PIXELS.astype(np.uint64)])
def test_to_tensor_takes_levels_in_range(wrong):
    with pytest.raises(ImageError, match="see load_image"): to_tensor(wrong)


def test_save_image_checks_the_range(tmp_path):
    photo = load_image("dunes")
    with pytest.raises(ImageError, match="values reach .*must lie in"): save_image((photo + 1)*127.5, tmp_path/"a.png")
    assert not list(tmp_path.iterdir())
    assert "black is -1" in said_of(save_image, (photo + 1)/2, tmp_path/"a.png")[1][0]
    for fine in (photo, photo*5, torch.ones(3, 4, 4), torch.full((3, 4, 4), .6), torch.zeros(3, 4, 4), resize(torch.ones(1, 3, 4, 4), (9, 9)), photo*.2 + .5):
        assert said_of(save_image, fine, tmp_path/"a.png")[1] == []


def test_a_sheet_shows_every_picture_or_says_why_not():
    red = torch.zeros(3, 8, 8) - 1; red[0] = 1
    pixels = np.asarray(images_grid([red]))
    forms = [red, red[None], to_pixels(red), Image.fromarray(to_pixels(red)), encoded(Image.fromarray(to_pixels(red)))]
    for form in (*forms, [forms[0]], red[None].double()): assert (np.asarray(images_grid(form)) == pixels).all()
    assert images_grid(forms).width == 5*8 + 4*8 and images_grid(forms, columns=2).size == (2*8 + 8, 3*8 + 2*8)
    assert images_grid(red, "a caption").size == images_grid([red], ["a caption"]).size and show_images(red, "a caption").alt == "a caption"
    assert (np.asarray(images_grid([red], ["one", "two"])) == np.asarray(images_grid([red], ["one"]))).all()
    for wrong in (dict(captions=["one"]), dict(captions="five!"), dict(columns=0), dict(columns=-1), dict(height=0)):
        for call in (images_grid, show_images):
            with pytest.raises(ImageError, match="captions|must be at least 1"): call(forms, **wrong)
    for wrong in ([], [torch.zeros(2, 3, 4, 4)], [None], [torch.zeros(1, 4, 4)]):
        with pytest.raises(ImageError): images_grid(wrong)


@pytest.mark.parametrize("alpha", [20, 100, 127])
def test_a_weak_brush_marks_as_a_weak_grey_does(alpha):
    for source in (drawn((255, 0, 0, alpha), (0, 0, 0, 0), "RGBA"), encoded(drawn((0, 0, 0, alpha), (255, 255, 255, 0), "RGBA"))):
        mask, notes = said_of(read_mask, source)
        assert ((mask[0, 0] == 1).numpy() == SQUARE).all() and mask.sum() == 400 and "marks 10 %" in notes[0]


@pytest.mark.parametrize("compression", [None, "zlib", "lzma", "packbits"])
@pytest.mark.parametrize("layout", [{}, dict(rowsperstrip=5), dict(tile=(16, 16)), dict(planarconfig="separate", rowsperstrip=7)])
def test_packed_strips_of_16_bits_are_read(compression, layout):
    "Strips that the height is no multiple of, tiles over the edge, planes of their own."
    pixels, out = np.random.default_rng(0).integers(0, 65536, (23, 37, 3), dtype=np.uint16), io.BytesIO()
    planes = pixels.transpose(2, 0, 1) if "planarconfig" in layout else pixels
    try: tifffile.imwrite(out, planes, photometric="rgb", compression=compression, **layout)
    except (ValueError, KeyError, ImportError) as error: pytest.skip(str(error))
    assert torch.equal(load_image(out.getvalue()), to_tensor(pixels))


def test_transparent_pixels_keep_their_exact_levels():
    "Wholly opaque and wholly clear ones, beside others; against the formula in 64 bits."
    rgba = np.random.default_rng(1).integers(0, 256, (20, 20, 4), dtype=np.uint8)
    rgba[0, :, 3], rgba[1, :, 3], rgba[2, :, :3] = 255, 0, 255
    with pytest.warns(UserWarning, match="transparent"): got = load_image(Image.fromarray(rgba))
    alpha = rgba[..., 3:]/255
    want = torch.from_numpy((rgba[..., :3]/255*alpha + 1 - alpha)*2 - 1).permute(2, 0, 1)[None]
    assert got.max() <= 1 and (got - want).abs().max() < 1e-6
    assert (to_pixels(got)[:2] == np.stack([rgba[0, :, :3], np.full((20, 3), 255, np.uint8)])).all() and (to_pixels(got)[2] == 255).all()
