"""Files from anywhere: mutated model files and images never crash, run nothing, and take no more memory than they declare.

A few hundred inputs by default; SINGAN_HOSTILE=10000 (make test-nightly) tries as many of each of the two kinds.
"""
import io
import json
import os
import pickle
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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from singan_nb.all import ImageError, ModelError, SinGAN, check_image, load_image, sample
from singan_nb.cli import run_command

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
    return [encoded("PNG"), encoded("PNG", "P"), encoded("PNG", "LA"), encoded("JPEG"), encoded("JPEG", "CMYK"), encoded("JPEG", progressive=True), encoded("WEBP"),
            encoded("WEBP", lossless=True), encoded("TIFF"), encoded("TIFF", compression="tiff_lzw"), encoded("GIF", "P"), encoded("BMP"), deep.getvalue()]


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


def test_no_program_is_started_for_a_picture(tmp_path, monkeypatch):
    "Pillow hands an EPS to Ghostscript; we do not open it."
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    (tmp_path/"a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\nshowpage\n")
    with pytest.raises(ImageError, match="not a picture"): load_image(tmp_path/"a.png")


def bomb_png(width, height):
    "A valid PNG of black pixels, in the fewest bytes."
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = zlib.compressobj(9)
    data = b"".join(rows.compress(bytes(1 + (width + 7)//8)) for _ in range(height)) + rows.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_decompression_bombs(tmp_path, capsys):
    "Real ones: 900 million pixels in 113 kB, and a TIFF that declares four thousand million."
    (tmp_path/"bomb.png").write_bytes(bomb_png(30_000, 30_000))
    assert (tmp_path/"bomb.png").stat().st_size < 200_000
    tifffile.imwrite(tmp_path/"bomb.tif", np.zeros((8, 8, 3), np.uint16), photometric="rgb")
    whole = (tmp_path/"bomb.tif").read_bytes()
    with tifffile.TiffFile(tmp_path/"bomb.tif") as file: places = [file.pages[0].tags[name].valueoffset for name in ("ImageWidth", "ImageLength")]
    data = bytearray(whole)
    for at in places: data[at:at+2] = struct.pack("<H", 65535)
    (tmp_path/"bomb.tif").write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name in ("bomb.png", "bomb.tif"):
        assert run_command(["train", str(tmp_path/name), "--out", str(tmp_path/"run")]) == 2
        said = capsys.readouterr().err
        assert "unpacks to" in said and "make it smaller" in said and said.count("\n") == 1, said
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000 and not (tmp_path/"run").exists()
