"""Models of the official code: a small folder in its format, made here, and everything that can be wrong with it."""
import collections
import io
import math
import os
import pickle
import shutil
import struct
import subprocess
import sys
import zipfile

import pytest
import torch
from torch import nn
from torch.nn.functional import pad

from singan_nb.all import Generator, OfficialError, SinGAN, SinGANError, enlarge_official, import_official, init_weights, load_image, official_factor, resize, rmse, sample, seeded, white_noise
from singan_nb.cli import run_command


def official_names(generator):
    "A state dict under the names of the official code, which are written out here once more."
    names = {"0.0": "head.conv", "0.1": "head.norm", "4": "tail.0"} | {f"{i}.{j}": f"body.block{i}.{kind}" for i in (1, 2, 3) for j, kind in enumerate(("conv", "norm"))}
    return {f"{names[name[4:].rpartition('.')[0]]}.{name.rpartition('.')[2]}": value for name, value in generator.state_dict().items()}


def write_official(folder, finest=(44, 66), least=18, steps=3, width=8):
    "A folder as the official code leaves it; returns its reconstruction at every scale, in the official arithmetic."
    rng, factor = seeded(1, "official"), (least/min(finest))**(1/steps)
    sizes = [tuple(math.ceil(side*factor**k - 1e-9) for side in finest) for k in range(steps, -1, -1)]
    images, amps, reals = [], [1], []
    for k, size in enumerate(sizes):
        (folder/str(k)).mkdir(parents=True)
        generator = init_weights(Generator(width), rng).eval()
        for module in generator.modules():
            if isinstance(module, nn.Conv2d): module.weight.data *= 6
            if isinstance(module, nn.BatchNorm2d): module.running_var.data *= 1.3
        torch.save(official_names(generator), folder/str(k)/"netG.pth")
        z = white_noise(size, 1, True, rng=rng) if k == 0 else torch.zeros(1, 3, *size, dtype=torch.int64)
        torch.save(pad(z, [5]*4)[0] if k else pad(z, [5]*4), folder/str(k)/"z_opt.pth")
        if k: amps.append(torch.tensor(.05))
        reals.append(resize(load_image("boats"), size).clamp(-1, 1))
        x = enlarge_official(images[-1], size, [out*factor/n for out, n in zip(size, sizes[k - 1])]) if k else torch.zeros(1, 3, *size)
        with torch.no_grad(): images.append(generator(x if k else z, x))
    torch.save(amps, folder/"NoiseAmp.pth"); torch.save(reals, folder/"reals.pth")
    return images


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    folder = tmp_path_factory.mktemp("official")/"scale_factor=0.750000,alpha=10"
    return folder, write_official(folder)


@pytest.fixture
def copy(official, tmp_path):
    shutil.copytree(official[0], tmp_path/"model")
    return tmp_path/"model"


def test_every_scale_reconstructs_the_same(official):
    folder, theirs = official
    model = import_official(folder)
    assert model.grey_noise and [scale.noise_amp.item() for scale in model.scales] == pytest.approx([1, .05, .05, .05])
    for ours, image in zip(model.reconstruct(all_scales=True), theirs): assert rmse(ours.clamp(-1, 1), image.clamp(-1, 1))*127.5 < .5


def test_the_file_keeps_it(official, tmp_path):
    model = import_official(official[0])
    again = SinGAN.load(model.save(tmp_path/"model.safetensors"))
    assert torch.equal(again.reconstruct(), model.reconstruct()) and again.scales[2].reach == model.scales[2].reach != None  # noqa: E711
    assert sample(again, 2, size=(33, 90), start_scale=1).shape == (2, 3, 33, 90)


def test_what_enters_a_start_scale_is_enlarged_once(official):
    model = import_official(official[0])
    for scale in (1, 2, 3): assert torch.allclose(model([None]*(4 - scale), model.entry(scale), scale), model.reconstruct(), atol=1e-5)


def cubic(x):
    "Keys' kernel, by its definition."
    x = abs(x)
    return 1.5*x**3 - 2.5*x**2 + 1 if x <= 1 else -.5*x**3 + 2.5*x**2 - 4*x + 2 if x <= 2 else 0


def test_the_official_enlargement_by_loops():
    "Each value a weighted sum over mirrored pixels, as MATLAB's imresize defines it; ratio 1.25, one row of 5 to 7."
    row, ratio, out = [10, 200, 30, 40, 250], 1.25, 7
    mirrored = lambda i: row[i if 0 <= i < 5 else -1 - i if i < 0 else 9 - i]
    want = []
    for place in range(out):
        middle = (place + .5)/ratio - .5
        taps = range(math.floor(middle) - 2, math.floor(middle) + 4)
        want.append(sum(cubic(middle - i)*mirrored(i) for i in taps)/sum(cubic(middle - i) for i in taps))
    image = torch.tensor(row, dtype=torch.float32).add(.4).div(127.5).sub(1).expand(1, 3, 5, 5)          # .4 is cut off
    got = (enlarge_official(image, (5, out), (1, out/ratio/5))[0, 0, 2] + 1)*127.5
    assert torch.allclose(got, torch.tensor(want).clamp(0, 255), atol=1e-3)


@pytest.mark.parametrize("finest, least, steps", [((44, 64), 25, 3), ((250, 167), 25, 8), ((64, 64), 25, 3), ((83, 250), 25, 5), ((30, 40), 25, 1)])
def test_the_factor_is_found_from_the_sizes(finest, least, steps):
    factor = (least/min(finest))**(1/steps)
    sizes = [tuple(math.ceil(side*factor**k - 1e-9) for side in finest) for k in range(steps, -1, -1)]
    assert official_factor(sizes) == pytest.approx(factor, rel=1e-9)


def test_sizes_of_no_pyramid_are_refused():
    with pytest.raises(OfficialError, match="no pyramid of one factor"): official_factor([(10, 10), (30, 10), (40, 40)])


class Hostile:
    def __init__(self, place): self.place = place
    def __reduce__(self): return os.mkdir, (str(self.place),)


@pytest.mark.parametrize("name", ["NoiseAmp.pth", "reals.pth", "1/netG.pth", "0/z_opt.pth"])
def test_nothing_in_a_file_is_run(copy, tmp_path, name):
    torch.save([Hostile(tmp_path/"was_run")], copy/name)
    with pytest.raises(OfficialError, match="holds more than tensors"): import_official(copy)
    assert not (tmp_path/"was_run").exists()


@pytest.mark.parametrize("name", ["NoiseAmp.pth", "reals.pth", "1/netG.pth", "0/z_opt.pth"])
def test_damaged_files_are_named(copy, name):
    whole = (copy/name).read_bytes()
    for part in (b"", whole[:50], whole[:len(whole)//2], b"hello"):
        (copy/name).write_bytes(part)
        with pytest.raises(OfficialError, match=name): import_official(copy)


def test_missing_files_are_named(copy):
    (copy/"1"/"z_opt.pth").unlink()
    with pytest.raises(OfficialError, match="1/z_opt.pth is missing"): import_official(copy)
    (copy/"reals.pth").unlink()
    with pytest.raises(OfficialError, match="reals.pth is missing"): import_official(copy)


def test_an_unfinished_training_gives_what_is_finished(copy):
    shutil.rmtree(copy/"3")
    with pytest.warns(UserWarning, match="3 of 4"): model = import_official(copy)
    assert len(model.scales) == 3 and model.image.shape[-2:] == model.sizes[-1]
    shutil.rmtree(copy/"0")
    with pytest.raises(OfficialError, match="no finished scale"): import_official(copy)


def test_other_networks_are_refused(copy):
    tensors = torch.load(copy/"1"/"netG.pth", weights_only=True)
    torch.save(tensors | {"body.block2.conv.weight": torch.zeros(8, 8, 5, 5)}, copy/"1"/"netG.pth")
    with pytest.raises(OfficialError, match="another network"): import_official(copy)
    torch.save({"a": torch.zeros(1)}, copy/"1"/"netG.pth")
    with pytest.raises(OfficialError, match="head.conv.weight"): import_official(copy)
    torch.save(tensors, copy/"1"/"netG.pth"); torch.save(torch.zeros(3, 20, 20), copy/"0"/"z_opt.pth")
    with pytest.raises(OfficialError, match="0/z_opt.pth has the shape"): import_official(copy)


class Call:
    "What a pickle writes as a call of a function."
    def __init__(self, *parts): self.parts = parts
    def __reduce__(self): return self.parts


def repacked(file, compression=zipfile.ZIP_STORED, **changed):
    "A .pth file packed again, with other parts."
    with zipfile.ZipFile(file) as parts: content = {name: parts.read(name) for name in parts.namelist()}
    with zipfile.ZipFile(file, "w", compression) as parts:
        for name, data in content.items(): parts.writestr(name, changed.get(name.rpartition("/")[2].replace(".", "_"), data))


def other(name, change):
    "A spoiler: rewrite what a file of the folder holds."
    def spoil(folder):
        value = torch.load(folder/name, weights_only=True)
        torch.save(change(value), folder/name)
    return spoil


def pipe(folder): (folder/"reals.pth").unlink(); os.mkfifo(folder/"reals.pth")
def device(folder): (folder/"reals.pth").unlink(); (folder/"reals.pth").symlink_to("/dev/zero")
def directory(folder): (folder/"1"/"netG.pth").unlink(); (folder/"1"/"netG.pth").mkdir()
def tail(value): return lambda tensors: tensors | {"tail.0.bias": value}
def body(name, value): return lambda tensors: tensors | {f"body.block1.{name}": value(tensors[f"body.block1.{name}"])}
def sparse_file(folder): os.truncate(folder/"0"/"netG.pth", 10**11)
def without(tensors): return {name: value for name, value in tensors.items() if "block2" not in name}
def long_pickle(folder): torch.save([[] for _ in range(300_000)], folder/"NoiseAmp.pth")
def old_and_short(folder):
    torch.save([torch.zeros(4, 5)], folder/"reals.pth", _use_new_zipfile_serialization=False)
    content = (folder/"reals.pth").read_bytes()
    at = content.index(b"K\x14N")                                     # 20 numbers are declared, now a billion
    (folder/"reals.pth").write_bytes(content[:at] + b"J" + (10**9).to_bytes(4, "little") + content[at + 2:])


class Shadowed(dict):
    "A dict in whose place stands one of which an attribute hides the method `get`."
    def __reduce__(self): return collections.OrderedDict, (), {"get": 1}, None, iter(self.items())


def number(n): return b"\x8a\x09" + int(n).to_bytes(9, "little", signed=True)
def word(text): return b"X" + struct.pack("<I", len(text)) + text.encode()
def pickled(value): return pickle.dumps(value, 2)
def tensor(count, shape, key="0", old=False):
    "The instructions of a pickle that make a tensor of a storage with `count` numbers."
    strides = [math.prod(shape[i+1:]) for i in range(len(shape))]
    tuples = b"".join(b"(" + b"".join(map(number, sides)) + b"t" for sides in (shape, strides))
    return (b"ctorch._utils\n_rebuild_tensor_v2\n((" + word("storage") + b"ctorch\nFloatStorage\n" + word(key) + word("cpu") + number(count)
            + (b"N" if old else b"") + b"tQ" + number(0) + tuples + b"\x89ccollections\nOrderedDict\n)RtR")
def old_file(program, keys=b"]", content=b""):
    "A file from before PyTorch 1.6, with a program and the list of keys given as instructions."
    about = dict(protocol_version=1001, little_endian=True, type_sizes=dict(short=2, int=4, long=4))
    return b"".join(map(pickled, (0x1950a86a20f9469cfc6c, 1001, about))) + b"\x80\x02" + program + b".\x80\x02" + keys + b"." + content
def put(name, content): return lambda folder: (folder/name).write_bytes(content)
def program(name, instructions): return lambda folder: repacked(folder/name, data_pkl=b"\x80\x02" + instructions + b".")
def repeated(side): return torch.zeros(1).expand(1, 3, side, side)
def no_content(keys):
    "z* of the right size, whose numbers would be what stands in the memory."
    def spoil(folder):
        shape = torch.load(folder/"0"/"z_opt.pth", weights_only=True).shape
        (folder/"0"/"z_opt.pth").write_bytes(old_file(tensor(shape.numel(), shape, old=True), keys, bytes(4*shape.numel())))
    return spoil
def many_layers(tensors): return tensors | {f"body.x{i}.conv.weight": torch.zeros(1) for i in range(200)}
def in_capitals(folder):
    torch.save(Call(bytearray, (10**6,)), folder/"NoiseAmp.pth")
    content = (folder/"NoiseAmp.pth").read_bytes()
    (folder/"NoiseAmp.pth").write_bytes(content.replace(b"data.pkl", b"DATA.PKL"))
def two_contents(folder):
    "An archive whose table of contents shows Python the amplitudes, PyTorch a bytearray."
    def pack(*parts):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name, data in (*parts, ("a/byteorder", "little"), ("a/version", "3\n")): archive.writestr(name, data)
        content = packed.getvalue()
        size, place = struct.unpack("<II", content[-10:-2])
        return content[:place], content[place:place + size], content[-22:]
    inner, seen, end = pack(("a/data.pkl", pickled([1, .05, .05, .25])))
    bomb = b"\x80\x02cbuiltins\nbytearray\n" + number(10**6) + b"\x85R."
    hidden, table, _ = pack(("a/data.pkl", bomb + bytes(len(pickled([1, .05, .05, .25])) - len(bomb))))
    assert (len(hidden), len(table)) == (len(inner), len(seen))
    (folder/"NoiseAmp.pth").write_bytes(hidden + table + inner + seen + end)


PAIRS = b")" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(60))       # a pair of one pair twice, 60 times
COPIES = b"ccollections\nOrderedDict\nq\x00](" + b"".join(number(i) + b"N\x86" for i in range(3000)) + b"eq\x01" + b"h\x00h\x01\x85R"*3000
ATTRIBUTES = b"}q\x00(" + b"".join(number(i) + b"N" for i in range(3000)) + b"u" + b"ccollections\nOrderedDict\n)Rh\x00b"*2000
DEEP = b"}(" + b")" + b"\x85"*1_000_000 + b"Nu"

MALFORMED = {
    "a pipe": (pipe, "reals.pth.*no regular file"), "a device": (device, "reals.pth.*no regular file"), "a folder": (directory, "1/netG.pth.*no regular file"),
    "a huge file": (sparse_file, "0/netG.pth.*100,000,000,000 bytes"),
    "compressed": (lambda folder: repacked(folder/"reals.pth", zipfile.ZIP_DEFLATED), "reals.pth.*compressed"),
    "a short record": (lambda folder: repacked(folder/"reals.pth", **{"0": b"1234"}), "reals.pth is damaged"),
    "strides of 0": (other("reals.pth", lambda reals: reals[:-1] + [torch.zeros(1).expand(1, 3, 20_000, 20_000)]), "reals.pth.*it repeats its"),
    "strides of 0 in a generator": (other("1/netG.pth", body("conv.weight", lambda old: torch.zeros(1).expand(30_000, 30_000, 3, 3))), "1/netG.pth.*repeats"),
    "a large bytearray": (lambda folder: torch.save(Call(bytearray, (4*10**9,)), folder/"NoiseAmp.pth"), "NoiseAmp.pth.*calls .*bytearray"),
    "a large tensor by call": (lambda folder: torch.save(Call(torch.Tensor, (10**5, 10**4)), folder/"0"/"z_opt.pth"), "z_opt.pth.*calls torch Tensor"),
    "a sparse tensor": (lambda folder: torch.save(torch.eye(3).to_sparse(), folder/"0"/"z_opt.pth"), "z_opt.pth.*calls"),
    "an endless pickle": (long_pickle, "NoiseAmp.pth.*too long"), "an old file that declares too much": (old_and_short, "reals.pth is damaged"),
    "amplitudes: no list": (lambda folder: torch.save(3, folder/"NoiseAmp.pth"), "NoiseAmp.pth holds no list"), "amplitudes: names": (lambda folder: torch.save(["a", "b"], folder/"NoiseAmp.pth"), "NoiseAmp.pth holds no list"),
    "amplitudes: negative": (lambda folder: torch.save([1, -1., 1., 1.], folder/"NoiseAmp.pth"), "NoiseAmp.pth holds no list"), "amplitudes: NaN": (lambda folder: torch.save([1, math.nan, 1., 1.], folder/"NoiseAmp.pth"), "NoiseAmp.pth holds no list"),
    "amplitudes: pictures": (lambda folder: torch.save([torch.zeros(3, 4)]*4, folder/"NoiseAmp.pth"), "NoiseAmp.pth holds no list"),
    "photographs: a number": (lambda folder: torch.save(3, folder/"reals.pth"), "reals.pth holds no list"), "photographs: none": (lambda folder: torch.save([], folder/"reals.pth"), "no finished scale"),
    "photographs: names": (lambda folder: torch.save(["a"], folder/"reals.pth"), "reals.pth holds no list"), "photographs: no pixels": (other("reals.pth", lambda reals: [torch.zeros(1, 3, 0, 5)]*4), "reals.pth holds no list"),
    "photographs: NaN": (other("reals.pth", lambda reals: reals[:-1] + [reals[-1]*math.nan]), "reals.pth holds no list.*NaN"), "photographs: whole numbers": (other("reals.pth", lambda reals: [real.long() for real in reals]), "reals.pth holds no list"),
    "photographs: grey": (other("reals.pth", lambda reals: [real[:, :1] for real in reals]), "reals.pth holds no list"),
    "noise: a list": (lambda folder: torch.save([1], folder/"0"/"z_opt.pth"), "z_opt.pth holds a list instead of noise"), "noise: NaN": (other("0/z_opt.pth", lambda z: z*math.nan), "cannot draw"),
    "generator: a list": (lambda folder: torch.save([1], folder/"1"/"netG.pth"), "1/netG.pth holds no generator"), "generator: numbers": (other("1/netG.pth", tail(3)), "1/netG.pth holds another network"),
    "generator: a name that is none": (other("1/netG.pth", lambda tensors: tensors | {7: torch.zeros(1)}), "1/netG.pth holds another network"), "generator: a layer is missing": (other("1/netG.pth", without), "1/netG.pth holds another network"),
    "generator: no channels": (other("1/netG.pth", lambda tensors: {"head.conv.weight": torch.zeros(0, 3, 3, 3)}), "1/netG.pth holds another network"),
    "generator: NaN": (other("1/netG.pth", tail(torch.full((3,), math.nan))), "cannot draw"), "generator: infinite": (other("1/netG.pth", body("norm.running_var", lambda old: old*math.inf)), "cannot draw"),
    "generator: negative variance": (other("1/netG.pth", body("norm.running_var", lambda old: -old)), "cannot draw"), "amplitudes: larger than any float": (lambda folder: torch.save([10**400]*4, folder/"NoiseAmp.pth"), "NoiseAmp.pth holds no list"),
    "amplitudes: too many": (lambda folder: torch.save([1]*65, folder/"NoiseAmp.pth"), "NoiseAmp.pth holds 65 scales; at most 64"),
    "photographs: too many": (lambda folder: torch.save([torch.zeros(1, 3, 4, 4) for _ in range(65)], folder/"reals.pth"), "reals.pth holds 65 scales; at most 64"),
    "photographs: one, 1,000 times": (lambda folder: torch.save([torch.zeros(1, 3, 20, 20)]*1000, folder/"reals.pth"), "reals.pth.*it repeats its"),
    "photographs: one, 100,000 times": (lambda folder: torch.save([torch.zeros(1, 3, 300, 300)]*100_000, folder/"reals.pth"), "reals.pth.*its pickle is too long"),
    "strides of 0 in a tuple": (lambda folder: torch.save((repeated(15_000),)*4, folder/"reals.pth"), "reals.pth.*it repeats its"),
    "strides of 0 in a key": (lambda folder: torch.save({repeated(15_000): 1}, folder/"reals.pth"), "reals.pth.*it repeats its"),
    "strides of 0 in a list of lists": (lambda folder: torch.save([[(repeated(15_000),)]], folder/"reals.pth"), "reals.pth.*it repeats its"),
    "an old file without content": (put("reals.pth", old_file(b"](" + tensor(3*10**8, (1, 3, 10**4, 10**4), old=True) + b"e")), "reals.pth.*have no content"),
    "an old file that declares more than it has": (put("reals.pth", old_file(b"](" + tensor(3*10**8, (1, 3, 10**4, 10**4), old=True) + b"e", b"](" + word("0") + b"e")), "reals.pth.*declares 1,200,000,000 bytes"),
    "an old file that enlarges its numbers": (put("reals.pth", old_file(b"](" + tensor(1, (1, 3, 10**4, 10**4), old=True) + b"e", b"](" + word("0") + b"e", struct.pack("<q", 3*10**8))), "reals.pth is damaged"),
    "noise of an old file: none listed": (no_content(b"]"), "z_opt.pth.*have no content"), "noise of an old file: another listed": (no_content(b"](" + word("1") + b"e"), "z_opt.pth.*have no content"),
    "noise of an old file: named, but not listed": (no_content(word("0") + b"]"), "z_opt.pth.*have no content"),
    "a declaration from elsewhere": (program("NoiseAmp.pth", tensor(4, (4,)).replace(number(4) + b"tQ", number(4) + b"q\x01tQ", 1).replace(number(0), b"h\x01", 1)), "NoiseAmp.pth.*twice"),
    "a key that is a number": (program("NoiseAmp.pth", tensor(4, (4,)).replace(word("0"), number(0))), "NoiseAmp.pth.*in another way than torch.save"),
    "a negative count": (program("NoiseAmp.pth", tensor(-5, (4,))), "NoiseAmp.pth.*declares -5 numbers"),
    "one part under many names": (program("0/z_opt.pth", b"](" + b"".join(tensor(5000, (5000,), key) for key in ("VERSION", "Version", "version")) + b"e"), "z_opt.pth.*declares 60,000 bytes"),
    "a pair of pairs of pairs": (program("NoiseAmp.pth", b"}(" + PAIRS + b"Nu"), "NoiseAmp.pth.*tuple, list or dict twice"),
    "a list that is copied": (program("NoiseAmp.pth", b"](" + COPIES + b"e"), "NoiseAmp.pth.*tuple, list or dict twice"),
    "a dict with a content by call": (program("NoiseAmp.pth", b"ccollections\nOrderedDict\n]\x85R"), "NoiseAmp.pth.*copies a dict"),
    "attributes that are copied": (program("NoiseAmp.pth", b"](" + ATTRIBUTES + b"e"), "NoiseAmp.pth.*tuple, list or dict twice"),
    "a tuple a million deep": (program("NoiseAmp.pth", DEEP), "NoiseAmp.pth.*too long"),
    "a pickle in capitals": (in_capitals, "NoiseAmp.pth.*calls .*bytearray"),
    "generator: too many layers": (other("1/netG.pth", many_layers), "1/netG.pth holds a generator of 205 layers; at most 64"),
    "generator: no tensors, but attributes": (lambda folder: torch.save(Shadowed({"a": torch.zeros(8, 3, 3, 3)}), folder/"1"/"netG.pth"), "1/netG.pth holds no generator"),
    "generator: 1e38": (other("1/netG.pth", body("conv.weight", lambda old: old*0 + 1e38)), "cannot draw"),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_folders_are_one_line_and_no_model(copy, kind):
    spoil, words = MALFORMED[kind]
    spoil(copy)
    with pytest.raises(OfficialError, match=words) as refused: import_official(copy)
    assert "\n" not in str(refused.value)


UNDER_A_LIMIT = """
import resource, sys
from singan_nb.official import OfficialError, import_official
used = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize"))*1024
resource.setrlimit(resource.RLIMIT_AS, (used + 2*10**8,)*2)
for folder in sys.argv[1:]:
    try: import_official(folder)
    except OfficialError as error: print(error)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads memory from /proc")
def test_no_malformed_file_takes_200_megabytes(official, tmp_path):
    kinds = ("strides of 0", "strides of 0 in a tuple", "strides of 0 in a key", "photographs: one, 1,000 times", "an old file without content", "an old file that enlarges its numbers",
             "one part under many names", "a list that is copied", "attributes that are copied", "a large bytearray", "an old file that declares too much", "compressed")
    folders = [shutil.copytree(official[0], tmp_path/kind) for kind in kinds]
    for kind, folder in zip(kinds[:-1], folders): MALFORMED[kind][0](folder)
    torch.save([torch.zeros(1, 3, 5000, 5000)], folders[-1]/"reals.pth"); repacked(folders[-1]/"reals.pth", zipfile.ZIP_DEFLATED)
    assert (folders[-1]/"reals.pth").stat().st_size < 10**6
    done = subprocess.run([sys.executable, "-c", UNDER_A_LIMIT, *map(str, folders)], capture_output=True, text=True, timeout=300)
    said = done.stdout.splitlines()
    assert len(said) == len(kinds) and all("is damaged, or holds more" in line for line in said) and not done.stderr, done.stderr


def test_python_and_pytorch_read_the_same_parts_of_an_archive(copy):
    two_contents(copy)
    assert isinstance(torch.load(copy/"NoiseAmp.pth", weights_only=True), bytearray)                     # what PyTorch alone would read
    assert [scale.noise_amp.item() for scale in import_official(copy).scales] == pytest.approx([1, .05, .05, .25])


def test_attributes_of_a_dict_do_not_matter(copy, official):
    torch.save(Shadowed(torch.load(copy/"1"/"netG.pth", weights_only=True)), copy/"1"/"netG.pth")
    assert torch.equal(import_official(copy).reconstruct(), import_official(official[0]).reconstruct())


def test_files_of_old_pytorch_and_of_a_gpu_are_read(copy, official):
    "The official code was written for PyTorch 1.4: five pickles in a row, with storages of CUDA."
    for name in ("reals.pth", "NoiseAmp.pth", "1/netG.pth", "1/z_opt.pth"): torch.save(torch.load(copy/name, weights_only=True), copy/name, _use_new_zipfile_serialization=False)
    content = (copy/"reals.pth").read_bytes()
    (copy/"reals.pth").write_bytes(content.replace(b"ctorch\nFloatStorage", b"ctorch.cuda\nFloatStorage"))
    assert b"ctorch.cuda" in (copy/"reals.pth").read_bytes() and torch.equal(import_official(copy).reconstruct(), import_official(official[0]).reconstruct())


def test_the_default_type_of_numbers_does_not_matter(official):
    model = import_official(official[0])
    torch.set_default_dtype(torch.float64)
    try: again = import_official(official[0])
    finally: torch.set_default_dtype(torch.float32)
    assert again.device == model.device and all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(model.state_dict().values(), again.state_dict().values()))


def test_noise_at_the_border_is_noted(copy):
    torch.save(torch.randn_like(torch.load(copy/"0"/"z_opt.pth", weights_only=True)), copy/"0"/"z_opt.pth")
    with pytest.warns(UserWarning, match="animation"): import_official(copy)


def test_command(official, tmp_path, capsys):
    out = tmp_path/"boats.safetensors"
    assert run_command(["import-official", str(official[0]), "--out", str(out)]) == 0 and "4 scales" in capsys.readouterr().out
    assert run_command(["sample", str(out), "-n", "1", "--out", str(tmp_path/"samples")]) == 0
    capsys.readouterr()
    for arguments, words in (([official[0].parent, "--out", out], "give one of the folders in it: scale_factor"), ([tmp_path/"x", "--out", out], "no folder"),
                             ([official[0], "--out", tmp_path/"a.pth"], "must end in .safetensors"), ([tmp_path/"samples", "--out", out], "TrainedModels/NAME")):
        assert run_command(["import-official", *map(str, arguments)]) == 2
        said = capsys.readouterr().err
        assert words in said and said.startswith("error: ") and said.count("\n") == 1
    assert issubclass(OfficialError, SinGANError)
