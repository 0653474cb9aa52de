"""Every kind of file becomes the same kind of image, or one clear line."""
import warnings

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from singan_nb.images import ImageError, bundled_images, load_image, resize, save_image, to_pixels

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
