"""Files from anywhere: mutated model files and images never crash, run nothing, and take no more memory than they declare.

A few hundred inputs by default; SINGAN_HOSTILE=10000 (make test-nightly) tries as many of each of the two kinds.
"""
import io
import json
import lzma
import os
import pickle
import re
import resource
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from PIL import EpsImagePlugin, Image, features

import singan_nb.formats
from singan_nb.all import ImageError, ModelError, SinGAN, check_image, load_image, sample
from singan_nb.cli import run_command
from singan_nb.formats import MOST_UPLOADED, open_picture
from singan_nb.images import read_mask, to_pixels

INPUTS = int(os.environ.get("SINGAN_HOSTILE", 200))
RECORD = os.environ.get("SINGAN_HOSTILE_RECORD")           # a JSON file for the figures
MORE = 300                                                 # MB that reading a small file may take at most

fuzz = settings(max_examples=INPUTS, deadline=None, database=None, derandomize=not RECORD, suppress_health_check=list(HealthCheck))
tally, largest = {}, [0]


def count(kind, outcome):
    counts = tally.setdefault(kind, {})
    counts[outcome] = counts.get(outcome, 0) + 1


@pytest.fixture(scope="module", autouse=True)
def report(model):
    "How far peak memory rises while files are read: by the pixels that one of them declares; and the tally if it is asked for."
    sample(model, 1); load_image("dunes")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/2**10
    yield
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/2**10 - before
    if RECORD: Path(RECORD).write_text(json.dumps(dict(inputs=INPUTS, outcomes=tally, largest_image_declared_in_megapixels=round(largest[0]/1e6, 1), peak_memory_grew_by_mb=round(grown, 1), torch=torch.__version__, python=sys.version.split()[0]), indent=1) + "\n")
    assert grown < MORE + 40*largest[0]/2**20, f"reading hostile files took {grown:.0f} MB"      # uint8, and float32 three times


@st.composite
def mutated(draw, wholes):
    "One of the files with bytes changed, cut out, doubled or put in, or cut short."
    data = bytearray(draw(st.sampled_from(wholes)))
    for _ in range(draw(st.integers(1, 6))):
        head = draw(st.booleans())                          # headers are where files lie
        at = draw(st.integers(0, max(0, (min(len(data), 2000) if head else len(data)) - 1)))
        what = draw(st.sampled_from(("byte", "number", "cut", "double", "insert", "truncate")))
        if what == "byte": data[at:at+1] = bytes([draw(st.integers(0, 255))])
        elif what == "number": data[at:at+4] = struct.pack("<I", draw(st.sampled_from((0, 1, 0x7fffffff, 0xffffffff, 0x10000, 0xffff))))
        elif what == "cut": del data[at:at + draw(st.integers(1, 40))]
        elif what == "double": data[at:at] = data[at:at + draw(st.integers(1, 200))]
        elif what == "insert": data[at:at] = draw(st.binary(max_size=30))
        else: del data[at:]
    return bytes(data)


def declared(file):
    "Pixels that the header of a picture promises, up to what we open at all."
    try:
        with Image.open(file) as picture: pixels = picture.width*picture.height
    except Exception: return 0
    return pixels if pixels <= Image.MAX_IMAGE_PIXELS else 0


def encoded(form, mode="RGB", **options):
    pixels = np.random.default_rng(0).integers(0, 256, (13, 17, 3), dtype=np.uint8)
    out = io.BytesIO(); Image.fromarray(pixels).convert(mode).save(out, form, **options)
    return out.getvalue()


def images():
    deep = io.BytesIO(); tifffile.imwrite(deep, np.zeros((9, 11, 3), np.uint16), photometric="rgb")
    packed = io.BytesIO(); Image.fromarray(np.arange(9*11, dtype=np.uint16).reshape(9, 11)*600).save(packed, "TIFF", compression="tiff_lzw")
    modern = [encoded(form) for form, codec in (("AVIF", "avif"), ("JPEG2000", "jpg_2000")) if features.check(codec)]
    return [*modern, encoded("PNG"), encoded("PNG", "P"), encoded("PNG", "LA"), encoded("JPEG"), encoded("JPEG", "CMYK"), encoded("JPEG", progressive=True), encoded("WEBP"),
            encoded("WEBP", lossless=True), encoded("TIFF"), encoded("TIFF", compression="tiff_lzw"), encoded("GIF", "P"), encoded("BMP"), deep.getvalue(), packed.getvalue()]


@fuzz
@given(data=mutated(images()), suffix=st.sampled_from((".png", ".jpg", ".tif")))
def test_mutated_images(tmp_path_factory, data, suffix):
    file = tmp_path_factory.getbasetemp()/f"hostile{suffix}"
    file.write_bytes(data)
    largest[0] = max(largest[0], declared(file))
    try: image = check_image(load_image(file))
    except ImageError as error:
        assert "\n" not in str(error) and str(file) in str(error)
        return count("images", "refused")
    assert image.numel() <= 3*Image.MAX_IMAGE_PIXELS
    count("images", "read")


def split(data):
    "The header of a safetensors file as JSON, and the rest."
    size, = struct.unpack("<Q", data[:8])
    return json.loads(data[8:8+size]), data[8+size:]


def joined(header, rest):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + rest


@pytest.fixture(scope="module")
def model_file(model, tmp_path_factory):
    return model.save(tmp_path_factory.mktemp("model")/"model.safetensors")


VALUES = st.one_of(st.none(), st.booleans(), st.integers(-2, 3), st.sampled_from([2**31, 2**63, 10**30, 1e300, "image", "", [], {}, [[1, 1]], [[10**9, 10**9]], [["a", 2]], "é\u0000"]), st.text(max_size=5),
                   st.lists(st.lists(st.integers(0, 10**6), max_size=3), max_size=4))


@st.composite
def hostile_model(draw, whole):
    "A model file with its bytes mutated; or a well-formed one whose header or description says something else."
    if draw(st.integers(0, 2)) == 0: return draw(mutated([whole, whole[:3000]]))
    header, rest = split(whole)
    description = json.loads(header["__metadata__"]["about"])
    names = sorted(set(header) - {"__metadata__"})
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(names))
        what = draw(st.sampled_from(("about", "about", "metadata", "dtype", "shape", "offsets", "rename", "layer", "drop", "numbers")))
        if what == "about":
            about = dict(description)
            about[draw(st.sampled_from(sorted(about)))] = draw(VALUES)
            header["__metadata__"]["about"] = json.dumps(about)
        elif what == "metadata": header["__metadata__"][draw(st.sampled_from(("format", "format_version", "about")))] = draw(st.sampled_from(("", "2", "[", "[]", "null", "[" * 5000, '{"sizes":[]}')))
        elif name not in header: continue
        elif what == "dtype": header[name]["dtype"] = draw(st.sampled_from(("F64", "I64", "I32", "U8", "BOOL", "BF16", "F8_E4M3", "C64", "X")))
        elif what == "shape": header[name]["shape"] = draw(st.lists(st.sampled_from((0, 1, 2, 3, 8, 2**40, 2**62)), max_size=5))
        elif what == "offsets": header[name]["data_offsets"] = [draw(st.sampled_from((0, 1, 2**40, 2**63))), draw(st.sampled_from((0, 4, 2**40, 2**63)))]
        elif what == "rename": header[draw(st.sampled_from((name + "x", "image", "scales.9.z_star", "scales.-1.z_star")))] = header.pop(name)
        elif what == "layer": header[f"scales.{draw(st.integers(0, 3))}.generator.net.{draw(st.sampled_from((7, 10**9, 10**4000)))}.0.weight"] = header.pop(name)
        elif what == "drop": del header[name]
        else:
            begin, end = header[name]["data_offsets"]
            if 0 <= begin < end <= len(rest): rest = rest[:begin] + struct.pack("<f", draw(st.sampled_from((float("nan"), float("inf"), 1e38))))*((end - begin)//4) + rest[begin + (end - begin)//4*4:]
    return joined(header, rest)


@fuzz
@given(data=st.data())
def test_mutated_models(tmp_path_factory, model_file, data):
    file = tmp_path_factory.getbasetemp()/"hostile.safetensors"
    file.write_bytes(data.draw(hostile_model(model_file.read_bytes())))
    try: network = SinGAN.load(file)
    except ModelError as error:
        assert "\n" not in str(error) and str(file) in str(error)
        return count("models", "refused")
    count("models", "read")
    try: pictures = sample(network, 1)
    except ModelError as error: assert "no scale" in str(error); return
    assert pictures.shape[-2:] <= network.image.shape[-2:]


def test_nothing_is_unpickled(tmp_path, capsys):
    "A pickle that would run a command stands where a model is expected."
    class Bomb:
        def __reduce__(self): return os.system, (f"touch {tmp_path/'ran'}",)
    (tmp_path/"model.safetensors").write_bytes(pickle.dumps(Bomb()))
    torch.save(Bomb(), tmp_path/"other.safetensors")
    for name in ("model", "other"): assert run_command(["info", str(tmp_path/f"{name}.safetensors")]) == 2
    assert capsys.readouterr().err.count("\n") == 2 and not (tmp_path/"ran").exists()


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\n{} loop\nshowpage\n"
DOS_EPS = struct.pack("<IIIIIIIH", 0xC6D3D0C5, 30, len(POSTSCRIPT), 0, 0, 0, 0, 0xFFFF) + POSTSCRIPT


@pytest.fixture
def ghostscript(tmp_path, monkeypatch):
    "A stand-in for Ghostscript on the PATH, which leaves a file if it is ever called."
    folder = tmp_path/"bin"; folder.mkdir()
    for name in ("gs", "gswin64c", "gswin32c"):
        (folder/name).write_text(f"#!/bin/sh\ntouch '{tmp_path/'called'}'\nexit 1\n"); (folder/name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    return tmp_path/"called"


def test_no_program_is_started_for_a_picture(tmp_path, ghostscript, capsys):
    "Pillow by itself hands PostScript to Ghostscript, whatever the file is called; we never do."
    with pytest.raises((OSError, subprocess.CalledProcessError)): Image.open(io.BytesIO(POSTSCRIPT)).load()
    assert ghostscript.exists(); ghostscript.unlink()                              # the stand-in works
    for data in (POSTSCRIPT, DOS_EPS, b"\x04" + POSTSCRIPT):
        for suffix in (".png", ".jpg", ".tif", ".eps", ".ps", ".webp", ".gif", ""):
            file = tmp_path/f"a{suffix}"; file.write_bytes(data)
            for opened in (load_image, read_mask):
                for source in (file, str(file), data, io.BytesIO(data), file.open("rb")):
                    with pytest.raises(ImageError, match="PostScript, not a picture"): opened(source)
    assert run_command(["train", str(tmp_path/"a.png"), "--out", str(tmp_path/"run")]) == 2
    assert not ghostscript.exists() and "PostScript" in capsys.readouterr().err


def test_only_pillow_behind_our_door_opens_pictures():
    "No module of the package calls Pillow's open without naming the formats, nor another library that reads pictures or videos."
    for path in Path(singan_nb.formats.__file__).parent.glob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if "Image.open(" in line: assert "formats=" in line or "io.BytesIO(picture.png)" in line or "Image.open(buffer)" in line, f"{path.name}: {line}"
            assert not re.search(r"imageio\.|imread|VideoCapture|cairosvg|decode_image|read_image", line) or "imageio_ffmpeg" in line, f"{path.name}: {line}"


def box(brand, *others): return struct.pack(">I", 16 + 4*len(others)) + b"ftyp" + brand + bytes(4) + b"".join(others) + bytes(200)


OTHERS = {"ps": (POSTSCRIPT, "PostScript"), "eps": (DOS_EPS, "PostScript"), "pdf": (b"%PDF-1.7\n1 0 obj", "a PDF"), "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd"/></svg>', "an SVG"),
          "svgz": (b'<?xml version="1.0"?>\n<!-- x -->\n<!DOCTYPE svg PUBLIC "x" "y"><svg/>', "an SVG"), "fli": (struct.pack("<IH", 200, 0xAF11) + bytes(200), "FLIC"), "flc": (struct.pack("<IH", 200, 0xAF12) + bytes(200), "FLIC"),
          "wmf": (b"\xd7\xcd\xc6\x9a" + bytes(60), "metafile"), "emf": (b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(60), "metafile"), "mp4": (box(b"isom", b"mp42"), "a video"), "mov": (box(b"qt  "), "a video"), "avi": (b"RIFF\0\0\0\0AVI LIST", "a video"),
          "mkv": (b"\x1a\x45\xdf\xa3" + bytes(60), "a video"), "mpg": (b"\0\0\1\xba" + bytes(60), "a video"), "heic": (box(b"heic", b"mif1"), "HEIC|damaged"), "avif": (box(b"avif", b"mif1"), "AVIF|damaged"), "jp2": (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60), "JPEG 2000|damaged"),
          "jxl": (b"\xff\x0a" + bytes(60), "JPEG XL"), "dng": (None, "raw data"), "cr2": (b"II*\0\x10\0\0\0CR\2\0" + bytes(60), "raw data"), "cr3": (box(b"crx "), "raw data"), "raf": (b"FUJIFILMCCD-RAW 0201", "raw data"), "orf": (b"IIRO\x08\0\0\0", "raw data"), "rw2": (b"IIU\0\x18\0\0\0", "raw data"),
          "psd": (b"8BPS\0\1" + bytes(60), "Photoshop"), "xcf": (b"gimp xcf v011\0", "GIMP"), "ico": (b"\0\0\1\0\1\0" + bytes(60), "an icon"), "cur": (b"\0\0\2\0\1\0" + bytes(60), "an icon"), "tga": (b"\0\0\x0a" + bytes(60), "not a picture"), "xbm": (b"#define im_width 8\n#define im_height 8\n", "X bitmap"),
          "xpm": (b"/* XPM */\nstatic char", "X bitmap"), "exr": (b"\x76\x2f\x31\1" + bytes(60), "OpenEXR"), "hdr": (b"#?RADIANCE\n", "Radiance"), "html": (b"<!DOCTYPE html><title>404</title>", "a web page"), "zip": (b"PK\3\4" + bytes(60), "zip"), "lfs": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
          "txt": (b"hello", "not a picture"), "bin": (bytes(100), "not a picture")}
OURS = ("png", "jpg", "jpeg", "webp", "tif", "bmp", "gif", "ppm")


def test_other_formats_are_named_under_any_name(tmp_path):
    "Contents of nearly forty formats, each under the names of ours and of some others: one line says what the content is."
    dng = io.BytesIO(); tifffile.imwrite(dng, np.zeros((8, 8, 3), np.uint8), photometric="rgb", extratags=[(50706, "B", 4, (1, 4, 0, 0), True)])
    for i, (kind, (data, words)) in enumerate(OTHERS.items()):
        for suffix in (*OURS, *list(OTHERS)[i % 7::7]):
            file = tmp_path/f"a.{suffix}"; file.write_bytes(data or dng.getvalue())
            with pytest.raises(ImageError, match=words) as error: load_image(file)
            assert str(file) in str(error.value) and "\n" not in str(error.value), (kind, suffix)


def test_our_formats_are_read_under_any_name(tmp_path):
    "The content decides, not the name."
    pixels = np.full((16, 16, 3), (200, 40, 90), np.uint8)
    for form in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM"):
        for suffix in (*OURS, *list(OTHERS)[::5]):
            Image.fromarray(pixels).save(tmp_path/f"a.{suffix}", form)
            assert np.abs(to_pixels(load_image(tmp_path/f"a.{suffix}")).astype(int) - pixels).max() < 12, (form, suffix)


def bomb_png(width, height):
    "A valid PNG of black pixels, in the fewest bytes."
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = zlib.compressobj(9)
    data = b"".join(rows.compress(bytes(1 + (width + 7)//8)) for _ in range(height)) + rows.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def declaring(tiff, side, names=("ImageWidth", "ImageLength")):
    "The TIFF with another width and height in its header, or with tiles of another size."
    data = bytearray(tiff)
    with tifffile.TiffFile(io.BytesIO(tiff)) as file:
        for name in names:
            at = file.pages[0].tags[name].valueoffset
            data[at:at+2] = struct.pack("<H", side)
    return bytes(data)


def test_decompression_bombs(tmp_path, capsys):
    "Real ones: 900 million pixels in 113 kB, and a TIFF that declares four thousand million."
    (tmp_path/"bomb.png").write_bytes(bomb_png(30_000, 30_000))
    assert (tmp_path/"bomb.png").stat().st_size < 200_000
    tifffile.imwrite(tmp_path/"bomb.tif", np.zeros((8, 8, 3), np.uint16), photometric="rgb")
    (tmp_path/"bomb.tif").write_bytes(declaring((tmp_path/"bomb.tif").read_bytes(), 65535))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name in ("bomb.png", "bomb.tif"):
        assert run_command(["train", str(tmp_path/name), "--out", str(tmp_path/"run")]) == 2
        said = capsys.readouterr().err
        assert "unpacks to" in said and "make it smaller" in said and said.count("\n") == 1, said
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000 and not (tmp_path/"run").exists()


def scans(jpeg, times):
    "A progressive JPEG whose last scan comes again and again."
    begin, end = jpeg.rfind(b"\xff\xda"), jpeg.rfind(b"\xff\xd9")
    return jpeg[:begin] + jpeg[begin:end]*times + jpeg[end:]


def tiff(strips, shape, compression):
    "A grey TIFF of 16 bits whose strips, of a row each or of all, hold these bytes."
    height, width = shape
    places = [8 + sum(map(len, strips[:i])) for i in range(len(strips))] if len(strips) < 100 else range(8, 8 + len(strips[0])*len(strips), len(strips[0]))
    tags = {256: [width], 257: [height], 258: [16], 259: [compression], 262: [1], 273: places, 277: [1], 278: [height//len(strips)], 279: list(map(len, strips))}
    out, index = bytearray(b"II*\0\0\0\0\0" + b"".join(strips)), b""
    for tag, values in tags.items():
        packed = struct.pack(f"<{len(values)}I", *values)
        index += struct.pack("<HHI", tag, 4, len(values)) + (packed if len(values) == 1 else struct.pack("<I", len(out)))
        if len(values) > 1: out += packed
    out[4:8] = struct.pack("<I", len(out))
    return bytes(out) + struct.pack("<H", len(tags)) + index + bytes(4)


def zeros(packer, size=2**28):
    "So many zero bytes, packed."
    return b"".join(packer.compress(bytes(2**20)) for _ in range(size >> 20)) + packer.flush()


def run_lengths(side):
    "A BMP whose pixels are given as run lengths, of which there are few."
    data = b"\x01\x05\0\0"*side + b"\0\1"
    return b"BM" + struct.pack("<IHHI", 1078 + len(data), 0, 0, 1078) + struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(data), 2835, 2835, 256, 0) + bytes(1024) + data


def clear_gif(side):
    return b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff!\xf9\4\1\0\0\0\0," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\2\2D\1\0;"


def small_files_of_gigabytes():
    screen = b"GIF89a" + struct.pack("<HH", 9400, 9400) + b"\0\0\0," + struct.pack("<HHHH", 0, 0, 9400, 9400) + b"\0\2\2D\1\0;"
    deep = io.BytesIO(); tifffile.imwrite(deep, np.zeros((8, 8)), photometric="minisblack", compression="deflate")
    tiled = io.BytesIO(); tifffile.imwrite(tiled, np.zeros((16, 16), np.uint16), photometric="minisblack", compression="deflate", tile=(16, 16))
    out = io.BytesIO(); Image.new("RGB", (2000, 2000)).save(out, "JPEG", progressive=True)
    return {"a screen of 88 megapixels": screen, "a PNG of 169 megapixels": bomb_png(13_000, 13_000), "a float64 TIFF": declaring(deep.getvalue(), 6500), "tiles of 4 gigapixels": declaring(tiled.getvalue(), 65520, ("TileWidth", "TileLength")), "a thousand scans": scans(out.getvalue(), 1000),
            "a thousand hidden scans": b"\xff\1\xff\xda".join(scans(out.getvalue(), 1000).split(b"\xff\xda")).replace(b"\xff\1", b"", 1), "a strip of 256 MB, deflate": tiff([zeros(zlib.compressobj(9))], (16, 16), 8),
            "a strip of 256 MB, LZMA": tiff([zeros(lzma.LZMACompressor(preset=1))], (16, 16), 34925), "a strip of run lengths": tiff([b"\x81\0"*100_000], (16, 16), 32773),
            "strips of too much": tiff([zlib.compress(bytes(2**16))]*6000, (6000, 2**13), 8), "strips of LZW": tiff([b"\x80\0\0@P\x10"]*(2**15 + 1), (2**15 + 1, 1), 5),
            "a clear GIF": clear_gif(8000), "a BMP of run lengths": run_lengths(2100)}


def test_work_is_limited_before_decoding():
    "Each is small, and would take gigabytes or minutes; peak memory does not move."
    small = small_files_of_gigabytes()
    load_image("dunes")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, data in small.items():
        assert len(data) < 600_000
        with pytest.raises(ImageError, match="unpacks to .*make it smaller|holds more than its pixels|in 32,769 strips|run lengths"): load_image(data)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


def test_uploads_are_limited_further():
    "14 megapixels of 8 bits need 18 bytes each; a limit for a drawing admits its own size alone."
    data = encoded_size(4000, 4000)
    with pytest.raises(ImageError, match="4000 × 4000 pixels .* 288 MB; the limit is 268 MB"): load_image(data, most=MOST_UPLOADED)
    assert open_picture(data).size == (4000, 4000)
    with pytest.raises(ImageError, match="is JPEG; give PNG"): load_image(encoded("JPEG"), formats=("PNG",))
    with pytest.raises(ImageError, match="is TIFF; give PNG"): load_image(encoded("TIFF"), formats=("PNG",))
    with pytest.raises(ImageError, match="larger than the limit"): load_image(b"x"*1001, most=1000)
    assert load_image(encoded("PNG"), formats=("PNG",)).shape == (1, 3, 13, 17)


def encoded_size(width, height):
    out = io.BytesIO(); Image.new("RGB", (width, height)).save(out, "PNG", compress_level=1)
    return out.getvalue()


def test_a_movie_ends_where_the_picture_does(tmp_path):
    "Phones put a film behind a JPEG: whatever stands there is no scan."
    film = b"\xff\xda\0\2"*100_000
    assert load_image(encoded("JPEG") + film).shape == (1, 3, 13, 17)
    assert singan_nb.formats._scans(scans(encoded("JPEG", progressive=True), 5)) == 14


def test_out_of_memory_is_one_line(tmp_path):
    "16 megapixels where the process may take 100 MB more than it has."
    (tmp_path/"a.png").write_bytes(bomb_png(4000, 4000))
    code = ("import resource; from singan_nb.images import load_image, ImageError\nload_image('dunes')\n"
            "size = int(open('/proc/self/statm').read().split()[0])*resource.getpagesize()\n"
            "resource.setrlimit(resource.RLIMIT_AS, (size + 100*2**20,)*2)\n"
            f"try: load_image({str(tmp_path/'a.png')!r})\nexcept ImageError as error: print(error)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "needs more memory than there is" in done.stdout and not done.stderr, done.stderr
