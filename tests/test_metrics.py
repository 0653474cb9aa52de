"""Measures against computations of another kind, and what must hold of them on the bundled photographs."""

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import skimage.metrics
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import sliding_window_view
from safetensors.numpy import load_file
from safetensors.torch import save_file

from singan_nb import metrics
from singan_nb.all import apparent_stretch, edge_distance, layout_error, movement, rmse, sharpness
from singan_nb.files import ImageError, SinGANError
from singan_nb.images import load_image, resize, to_pixels
from singan_nb.metrics import MetricError, diversity, evaluate, frame, frechet_distance, psnr, read_stem, rmse_255, sifid, ssim, stem_features, swd
from singan_nb.zoo import bundled_images

PHOTOGRAPHS = {photo.name: load_image(photo.path) for photo in bundled_images()}


def noise_image(seed, size=(24, 26)):
    return torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(seed))*2 - 1


def blur(image, radius):
    x = torch.arange(-3*radius, 3*radius + 1.)
    kernel = torch.exp(-x**2/2/radius**2); kernel = (kernel/kernel.sum()).expand(3, 1, 1, -1)
    padded = F.pad(image, [3*radius]*4, "replicate")
    return F.conv2d(F.conv2d(padded, kernel, groups=3), kernel.transpose(2, 3), groups=3).clamp(-1, 1)


def noisy(image, deviation):
    return (image + deviation*torch.randn(image.shape, generator=torch.Generator().manual_seed(1))).clamp(-1, 1)


# Fréchet distance

def gaussian(seed, d=6):
    random = np.random.default_rng(seed)
    root = random.normal(size=(d, d))
    return torch.tensor(random.normal(size=d)), torch.tensor(root @ root.T)


def test_frechet_closed_form_of_commuting_covariances():
    "In common axes the distance is a sum of (μ₁ − μ₂)² + (σ₁ − σ₂)²."
    axes = torch.linalg.qr(torch.randn(5, 5, dtype=torch.double, generator=torch.Generator().manual_seed(0)))[0]
    s1, s2 = torch.tensor([1., 2, 3, 4, 5]).double(), torch.tensor([2., 2, 1, 0, 9]).double()
    m1, m2 = torch.arange(5.).double(), torch.tensor([1., 1, 2, 5, 4]).double()
    found = frechet_distance(axes @ m1, axes*s1**2 @ axes.T, axes @ m2, axes*s2**2 @ axes.T)
    assert found == pytest.approx(((m1 - m2)**2 + (s1 - s2)**2).sum().item(), rel=1e-6)


def test_frechet_against_matrix_square_root():
    "The formula as FID's code computes it, with SciPy's sqrtm of the product."
    (m1, c1), (m2, c2) = gaussian(1), gaussian(2)
    expected = ((m1 - m2)**2).sum().item() + np.trace((c1 + c2).numpy() - 2*scipy.linalg.sqrtm(c1.numpy() @ c2.numpy()).real)
    assert frechet_distance(m1, c1, m2, c2) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(m2, c2, m1, c1) == pytest.approx(expected, rel=1e-9)


def test_frechet_of_singular_covariances_is_finite():
    m, c = torch.zeros(4), torch.zeros(4, 4)
    assert frechet_distance(m, c, m + 2, c) == 16
    rank_one = torch.ones(4, 4)
    assert frechet_distance(m, rank_one, m, rank_one) == pytest.approx(0, abs=1e-9)


# the stem

def numpy_stem(image, layer):
    "The layers one by one, in NumPy and double precision, from the package's file: convolution, batch normalization, ReLU."
    file, x = load_file(metrics.INCEPTION), image[0].double().numpy()
    plan = [("conv_1a", 2, 0, False), ("conv_2a", 1, 0, False), ("conv_2b", 1, 1, False), ("conv_3b", 1, 0, True), ("conv_4a", 1, 0, False)]
    for name, stride, padding, pool in plan[:3 if layer == 64 else 5]:
        if pool: x = sliding_window_view(x, (3, 3), (1, 2))[:, ::2, ::2].max((-1, -2))
        low, step = file[f"{name}.range"].astype(float)
        kernel = file[f"{name}.levels"].astype(float)*step + low
        windows = sliding_window_view(np.pad(x, [(0, 0), (padding, padding), (padding, padding)]), kernel.shape[2:], (1, 2))[:, ::stride, ::stride]
        x = np.einsum("chwij,ocij->ohw", windows, kernel)
        mean, variance, offset = (file[f"{name}.{key}"].astype(float)[:, None, None] for key in ("mean", "variance", "offset"))
        x = np.maximum((x - mean)/np.sqrt(variance + 1e-3) + offset, 0)
    return x


@pytest.mark.parametrize("layer", [64, 192])
def test_features_against_numpy(layer):
    image = PHOTOGRAPHS["boats"][..., 60:91, 40:73]
    expected, found = numpy_stem(image, layer), stem_features(image, layer)[0]
    assert found.shape == expected.shape and found.shape[0] == layer
    assert np.abs(found.numpy() - expected).max() < 1e-3 and expected.std() > .1


def test_features_do_not_depend_on_the_batch():
    images = torch.cat([noise_image(seed) for seed in range(5)])
    together = stem_features(images, 192)
    for i in range(5): assert torch.allclose(stem_features(images[i:i+1], 192)[0], together[i], atol=1e-4)


def torchvision_tensors():
    "Random tensors under torchvision's names."
    random, tensors = torch.Generator().manual_seed(0), {}
    for (name, *_), (kernel, bias) in zip(metrics.STEM.values(), read_stem()):
        n = len(bias)
        tensors[f"{name}.conv.weight"] = torch.randn(kernel.shape, generator=random)*.1
        for key in ("weight", "bias", "running_mean", "running_var"): tensors[f"{name}.bn.{key}"] = torch.rand(n, generator=random) + .2
    return tensors


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_torchvision_weights_from_a_file(tmp_path, suffix):
    tensors, path = torchvision_tensors(), tmp_path/f"inception{suffix}"
    (torch.save if suffix == ".pth" else save_file)(tensors, path)
    x = noise_image(3)
    for name, stride, padding in (("Conv2d_1a_3x3", 2, 0), ("Conv2d_2a_3x3", 1, 0), ("Conv2d_2b_3x3", 1, 1)):
        x = F.conv2d(x, tensors[f"{name}.conv.weight"], None, stride, padding)
        x = F.batch_norm(x, *(tensors[f"{name}.bn.{key}"] for key in ("running_mean", "running_var", "weight", "bias")), eps=1e-3).relu()
    assert torch.allclose(stem_features(noise_image(3), weights=str(path)), x, atol=1e-5)


def test_torchvision_weights_from_its_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    read_stem.cache_clear()
    with pytest.raises(MetricError, match="not in .*checkpoints"): read_stem("torchvision")
    (tmp_path/"checkpoints").mkdir()
    torch.save(torchvision_tensors(), tmp_path/"checkpoints"/"inception_v3_google-0cc3c7bd.pth")
    kernel, bias = read_stem("torchvision")[0]
    read_stem.cache_clear()
    assert kernel.shape == (32, 3, 3, 3) and not torch.equal(kernel, read_stem()[0][0])


# SIFID

@pytest.mark.filterwarnings("ignore:Matrix is singular")
def test_sifid_against_numpy():
    a, b = PHOTOGRAPHS["lake"][..., :60, :70], PHOTOGRAPHS["moss"][..., :60, :70]
    clouds = [numpy_stem(image, 64).reshape(64, -1) for image in (a, b)]
    (m1, c1), (m2, c2) = ((cloud.mean(1), np.cov(cloud)) for cloud in clouds)
    expected = ((m1 - m2)**2).sum() + np.trace(c1 + c2 - 2*scipy.linalg.sqrtm(c1 @ c2).real)
    assert sifid(a, b).item() == pytest.approx(expected, rel=1e-3)


def test_sifid_of_lists_and_batches_is_the_same():
    real, fakes = PHOTOGRAPHS["dunes"], [PHOTOGRAPHS[name] for name in ("forest", "lake", "boats")]
    found = sifid(real, fakes)
    assert found.shape == (3,) and torch.allclose(found, sifid(real, torch.cat(fakes)))
    assert torch.allclose(found[1], sifid(real, fakes[1])[0])
    assert sifid(real, [noise_image(0, (30, 31)), noise_image(0, (50, 20))]).shape == (2,)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_measures_rank_degradations(name):
    real = PHOTOGRAPHS[name]
    for measure in (sifid, swd):
        same, slight, strong, some, much = measure(real, [real, blur(real, 1), blur(real, 4), noisy(real, .05), noisy(real, .3)]).tolist()
        assert same < 1e-3 and same < slight < strong and same < some < much, measure
    assert sifid(real, blur(real, 1)) > 1e-3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_measures_do_not_depend_on_the_device():
    real, fakes = PHOTOGRAPHS["dunes"], torch.cat([PHOTOGRAPHS["forest"], PHOTOGRAPHS["boats"]])
    here, there = evaluate(real, fakes), evaluate(real.cuda(), fakes.cuda())
    assert torch.allclose(here["sifid"], there["sifid"], rtol=5e-3) and torch.allclose(here["swd"], there["swd"], rtol=5e-3)
    assert here["diversity"] == pytest.approx(there["diversity"], rel=1e-4)


# sliced Wasserstein distance

def test_swd_of_identical_images_is_zero_and_symmetric():
    a, b = noise_image(0), PHOTOGRAPHS["moss"][..., :24, :26]
    assert swd(a, a).item() == 0
    assert swd(a, b).item() == pytest.approx(swd(b, a).item(), rel=1e-6) and swd(a, b) > .01


def test_swd_of_flat_images():
    "Every projection of a flat image is its grey times the direction's sum, which has a standard normal distribution: d·√(2/π)."
    flat = lambda grey: torch.full((1, 3, 20, 20), grey*2. - 1)
    assert swd(flat(.2), flat(.5), projections=8192).item() == pytest.approx(.3*np.sqrt(2/np.pi), rel=.05)


@pytest.mark.parametrize("size", [(24, 26), (19, 33)])
def test_swd_against_scipy(size):
    "Cut-out patches, projected by a matrix product, and SciPy's earth mover's distance; also for different numbers of patches."
    a, b = PHOTOGRAPHS["meadow"][..., :24, :26], PHOTOGRAPHS["leaves"][..., :size[0], :size[1]]
    theta = metrics._directions(16, 7, 0).flatten(1).numpy()
    pa, pb = (sliding_window_view(((x[0].numpy() + 1)/2), (7, 7), (1, 2)).transpose(1, 2, 0, 3, 4).reshape(-1, 147) @ theta.T for x in (a, b))
    expected = np.mean([scipy.stats.wasserstein_distance(pa[:, i], pb[:, i]) for i in range(16)])
    assert swd(a, b, levels=1, projections=16).item() == pytest.approx(expected, rel=1e-5 if size == (24, 26) else 5e-3)


def test_swd_is_seeded_and_uses_coarser_levels():
    a, b = PHOTOGRAPHS["meadow"], PHOTOGRAPHS["leaves"]
    assert swd(a, b, seed=3) == swd(a, b, seed=3) != swd(a, b, seed=4)
    stripes = torch.ones(1, 3, 64, 64); stripes[..., ::2] = -1
    # white and black columns become grey when halved: only the finest level can tell them from another grid of columns
    shifted = stripes.roll(1, -1).transpose(2, 3).contiguous()
    assert swd(stripes, shifted, levels=3) < swd(stripes, shifted, levels=1)


# diversity

def test_diversity_against_numpy():
    real, fakes = noise_image(9), torch.cat([noise_image(seed) for seed in range(7)])
    grey = fakes.numpy().astype(float).mean(1)
    assert diversity(real, fakes) == pytest.approx(grey.std(0, ddof=1).mean()/real.numpy().mean(1).std(ddof=1), rel=1e-5)
    assert diversity(real, [fake[None] for fake in fakes]) == pytest.approx(diversity(real, fakes), rel=1e-6)
    assert diversity(real, fakes*.5) == pytest.approx(diversity(real, fakes)/2, rel=1e-5)


def test_diversity_names_two_of_the_sizes():
    fakes = [noise_image(0, size) for size in ((12, 7), (8, 9), (10, 7))]
    with pytest.raises(MetricError, match="they have 3 sizes, 8×9 and 10×7 among them"): diversity(noise_image(0), fakes)


def test_diversity_of_identical_fakes_is_zero():
    assert diversity(PHOTOGRAPHS["dunes"], PHOTOGRAPHS["forest"].expand(5, -1, -1, -1)) < 1e-6


# with a right answer

def test_pixel_scores_against_scikit_image():
    a, b = PHOTOGRAPHS["dunes"], noisy(PHOTOGRAPHS["dunes"], .1)
    assert psnr(a, b) == pytest.approx(skimage.metrics.peak_signal_noise_ratio(to_pixels(a), to_pixels(b)), rel=1e-9)
    assert rmse_255(a, b) == pytest.approx(skimage.metrics.mean_squared_error(to_pixels(a).astype(float), to_pixels(b).astype(float))**.5, rel=1e-9)
    assert 1 == pytest.approx(ssim(a, a)) and ssim(a, b) > ssim(a, noisy(a, .3)) > 0


# all together

def test_evaluate_copies_are_perfect_but_for_diversity():
    real = PHOTOGRAPHS["dunes"]
    scores = evaluate(real, real.expand(4, -1, -1, -1))
    assert scores["sifid"].max() < 1e-3 and scores["swd"].max() == 0 and scores["diversity"] < 1e-6 and scores["notes"] == []


def test_evaluate_shrinks_the_photograph_only_if_it_fits():
    real = PHOTOGRAPHS["dunes"]
    small = resize(real, (40, 64)).clamp(-1, 1)
    scores = evaluate(real, [small, small])
    assert scores["real"].shape == small.shape and scores["swd"].max() == 0 and "shrunk" in scores["notes"][0]
    assert evaluate(real, [noise_image(0, (40, 90))]*2)["real"].shape == real.shape
    assert evaluate(small, [real, real])["real"].shape == small.shape
    assert evaluate(small, [small[..., 1:, :]]*2)["real"].shape == (1, 3, 39, 64)                # one row less is rounding
    mixed = evaluate(real, [small, noise_image(0, (30, 30))])
    assert mixed["diversity"] is None and any("no diversity" in note for note in mixed["notes"]) and mixed["sifid"].shape == (2,)


PIXEL, PICTURE = torch.zeros(1, 3, 1, 1), noise_image(0)


@pytest.mark.parametrize("call", [
    lambda: sifid(PICTURE, []), lambda: swd(PICTURE, torch.zeros(0, 3, 9, 9)), lambda: diversity(PICTURE, []),
    lambda: sifid(PICTURE, PIXEL), lambda: sifid(PIXEL, PICTURE), lambda: swd(PICTURE, PIXEL), lambda: sifid(PICTURE[..., :22, :], PICTURE, layer=192),
    lambda: sifid(PICTURE, torch.zeros(1, 4, 9, 9)), lambda: sifid(torch.zeros(1, 1, 9, 9), PICTURE), lambda: swd(PICTURE, PICTURE[0]), lambda: swd(PICTURE, [PICTURE*300]),
    lambda: diversity(PICTURE, PICTURE), lambda: diversity(PICTURE*0, [PICTURE, PICTURE]), lambda: diversity(PICTURE, [PICTURE, PICTURE[..., 1:]]),
    lambda: sifid(PICTURE, PICTURE, layer=65), lambda: sifid(PICTURE, PICTURE, weights="nowhere.pth"), lambda: sifid(PICTURE, PICTURE, weights=__file__),
    lambda: swd(PICTURE, PICTURE, projections=0), lambda: swd(PICTURE, PICTURE, patch=0), lambda: psnr(PICTURE, PICTURE[..., 1:]), lambda: ssim(PIXEL, PIXEL),
    lambda: sifid(PICTURE, [PICTURE*float("nan")]),
])
def test_what_cannot_be_measured_says_so_in_one_line(call):
    with pytest.raises((MetricError, ImageError)) as caught: call()
    assert isinstance(caught.value, SinGANError) and "\n" not in str(caught.value) and len(str(caught.value)) > 20


def test_frame_is_zero_for_the_photograph_and_one_for_a_side_twice_as_rough():
    "Worked by hand: random rows whose outer four are scaled about their mean, so that both ratios are known."
    draw = torch.Generator().manual_seed(0)
    image = .2*torch.randn(1, 3, 60, 80, generator=draw).clamp(-3, 3)
    assert frame(image, image).item() == 0
    for k in range(4):
        rougher = torch.rot90(image, k, (-2, -1)).clone()
        rougher[..., :5, :] *= 2                                    # the last of these rows also bounds the inner band
        seen = frame(image, torch.rot90(rougher, -k, (-2, -1)).clamp(-1, 1)).item()
        assert .7 < seen < 1.1, f"side {k}"
    smoother = image.clone(); smoother[..., -5:, :] *= .5
    assert .7 < frame(image, smoother).item() < 1.1


def test_frame_of_each_fake_and_of_other_sizes():
    dunes = load_image("dunes")
    scores = frame(dunes, [dunes, dunes[..., :100, :150], dunes.flip(-1)])
    assert scores.shape == (3,) and scores.dtype == torch.double and scores[0] == 0 and (scores[1:] > 0).all()
    with pytest.raises(MetricError, match="10×40 pixels is too small for the frame, which needs at least 13×13"):
        frame(dunes, torch.zeros(1, 3, 10, 40))


class Mac(torch.Tensor):
    "Stands for a tensor on the GPU of a Mac: no operation there may give 64 bits; `cpu` leads away from it."
    @classmethod
    def __torch_function__(cls, function, types, arguments=(), options=None):
        result = super().__torch_function__(function, types, arguments, options or {})
        if function in (torch.Tensor.cpu, torch.Tensor.numpy): return result.as_subclass(torch.Tensor) if torch.is_tensor(result) else result
        for each in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(each, Mac) and each.dtype == torch.float64: raise TypeError("the MPS framework doesn't support float64")
        return result


def test_measures_work_where_there_are_no_64_bits():
    "A device that refuses float64: the same values as on the CPU."
    real, fakes = noise_image(0), [noise_image(1), noise_image(2)]
    there, others = real.as_subclass(Mac), [fake.as_subclass(Mac) for fake in fakes]
    with pytest.raises(TypeError, match="float64"): there.double()
    assert torch.equal(sifid(there, others), sifid(real, fakes)) and torch.equal(swd(there, others), swd(real, fakes))
    assert torch.equal(frame(there, others), frame(real, fakes)) and diversity(there, others) == diversity(real, fakes)
    assert rmse_255(there, others[0]) == rmse_255(real, fakes[0]) and ssim(there, others[0]) == ssim(real, fakes[0])
    assert torch.equal(evaluate(there, others)["sifid"], evaluate(real, fakes)["sifid"])


def every_measure(real, fakes):
    "All measures of the library, as numbers."
    other = fakes[:1]
    small = {name: measure(real, fakes).tolist() for name, measure in dict(sifid=sifid, swd=swd, frame=frame).items()}
    pair = {measure.__name__: measure(real, other) for measure in (rmse, rmse_255, psnr, ssim, edge_distance)}
    whole = {name: value.tolist() if torch.is_tensor(value) else value for name, value in evaluate(real, fakes).items() if name != "real"}
    return small | pair | whole | dict(wide=sifid(real, fakes, 192).tolist(), diversity=diversity(real, fakes), layout=layout_error(fakes, real, (9, 9)), stretch=apparent_stretch(other, real),
                                       sharpness=sharpness(other), movement=movement(list(fakes[:, None])))


def test_the_default_type_of_numbers_does_not_matter():
    real, fakes = noise_image(0, (40, 44)), torch.cat([noise_image(seed, (40, 44)) for seed in (1, 2, 3)])
    expected = every_measure(real, fakes)
    torch.set_default_dtype(torch.float64)
    try: assert every_measure(real, fakes) == expected
    finally: torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("measure", [sifid, swd, diversity, frame, evaluate])
def test_what_are_no_fakes_is_one_line(measure):
    for wrong in (None, 3, 2.5):
        with pytest.raises(MetricError, match="fakes must be a tensor .* or a list of images, not"): measure(PHOTOGRAPHS["dunes"], wrong)


def test_numbers_and_sizes_that_cannot_be_measured():
    real = noise_image(0)
    for wrong in (dict(levels="2"), dict(patch=2.5), dict(projections=None)):
        with pytest.raises(SinGANError, match=f"{next(iter(wrong))}=.* must be a whole number"): swd(real, real, **wrong)
    for other in (real[..., 1:], torch.cat([real, real]), real[..., :1, :1]):
        with pytest.raises(SinGANError, match="cannot be compared"): rmse(real, other)
