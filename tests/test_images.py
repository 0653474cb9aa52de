"""Every kind of file becomes the same kind of image, or one clear line."""
import io
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms, ImageDraw, ImageOps, features

import singan_nb.images
from singan_nb.images import ImageError, as_image, bundled_images, load_image, read_mask, resize, save_image, to_pixels, to_tensor
from singan_nb.sampling import load_mask

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


@pytest.mark.parametrize("source", [tiff(DEEP[..., 0] >> 4, "minisblack"), DEEP[..., 0] >> 4, encoded(Image.fromarray(DEEP[..., 0] >> 4))])
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
    monkeypatch.setattr(singan_nb.images, "_supported", lambda kind: False)
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
