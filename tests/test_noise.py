"""How much noise a scale gets: the edges of images, and the gain that a training ends with."""
import copy
import math
from dataclasses import replace

import pytest
import torch
from conftest import same_weights

from singan_nb.all import Callback, SinGAN, edge_distance, edge_strengths, load_pretrained, sample, train, tune_noise
from singan_nb.losses import GAINS
from singan_nb.models import Scale, seeded
from singan_nb.networks import Generator, init_weights


def slow_strengths(image):
    "The definition in loops: the length of the gradient at each pixel, in grey levels, sorted."
    _, height, width = image.shape
    slope = lambda y, x: sum((c[y, x + 1] - c[y, x]).item()**2 + (c[y + 1, x] - c[y, x]).item()**2 for c in 127.5*image)/3
    return sorted(math.log(1 + math.sqrt(slope(y, x))) for y in range(height - 1) for x in range(width - 1))


@pytest.fixture
def pyramid():
    "Four scales of untrained generators, which let noise through."
    model = SinGAN(torch.zeros(1, 3, 24, 32))
    for k, size in enumerate([(10, 13), (13, 18), (18, 24), (24, 32)]):
        z_star = torch.randn(1, 3, *size, generator=seeded(k)) if k == 0 else None
        generator = init_weights(Generator(4), seeded(k))
        for weight in generator.parameters(): weight.data *= 6 if weight.dim() == 4 else 1      # an untrained one hides noise
        model.scales.append(Scale(generator, size, .1 if k else 1., z_star=z_star))
    return model.eval().requires_grad_(False)


def samples(model, gain=1., seed=7):
    "Samples whose finer half gets noise times gain."
    noises, half = model.draw_noises(seeded(seed), n=16), len(model.scales)//2
    with torch.no_grad(): return model(noises[:half] + [gain*noise for noise in noises[half:]]).clamp(-1, 1)


def test_edge_strengths_are_their_definition():
    image = torch.rand(1, 3, 5, 7, generator=seeded(0))*2 - 1
    assert edge_strengths(image, 24).tolist() == pytest.approx(slow_strengths(image[0]), rel=1e-5)
    assert edge_distance(image, image.flip(1)) == pytest.approx(0, abs=1e-6)              # colours do not matter
    assert edge_distance(image, image.repeat(3, 1, 1, 1)) < .05                           # nor does the number of images


def test_the_gains_double_in_two_steps():
    assert GAINS == pytest.approx([2**(k/2) for k in range(6)], rel=.02)


@pytest.mark.parametrize("right", [1, 4])
def test_the_gain_is_the_one_that_made_the_photograph(pyramid, right):
    before = copy.deepcopy(pyramid)
    pyramid.image.copy_(samples(pyramid, right)[:1])
    assert tune_noise(pyramid, seeded(0)) == right
    assert torch.allclose(samples(pyramid), samples(before, right), atol=1e-5)


def test_only_the_noise_of_the_finer_half_changes(pyramid):
    before = copy.deepcopy(pyramid)
    pyramid.image.copy_(torch.rand(pyramid.image.shape, generator=seeded(1))*2 - 1)       # as rough as can be
    assert tune_noise(pyramid, seeded(0)) == max(GAINS)
    changed = {name for name, value in pyramid.state_dict().items() if not torch.equal(value, before.state_dict()[name])}
    assert changed == {"image", "scales.2.noise_amp", "scales.3.noise_amp"}
    for a, b in zip(pyramid.scales[2:], before.scales[2:]): assert a.noise_amp == pytest.approx(max(GAINS)*b.noise_amp.item())
    assert torch.equal(pyramid.reconstruct(), before.reconstruct())


def test_samples_that_are_rough_enough_stay(pyramid):
    before = copy.deepcopy(pyramid)
    assert tune_noise(pyramid, seeded(0)) == 1 and same_weights(pyramid, before)          # the photograph is all grey
    del pyramid.scales[1:]
    assert tune_noise(pyramid, seeded(0)) == 1                                            # no finer half


class StopAtTheEnd(Callback):
    "Stop in the last iteration of the finest scale."
    def on_iteration(self, watch):
        if watch.scale == len(watch.sizes) - 1 and watch.iteration == watch.config.iters: watch.stop()


def test_a_training_ends_with_its_gain(tmp_path, dunes, tiny):
    tiny, plain = replace(tiny, tune_noise=True), train(dunes, tiny, progress=False)
    tuned = train(dunes, tiny, tmp_path/"run", progress=False, callbacks=[StopAtTheEnd()])
    again = train(dunes, tiny, tmp_path/"run", resume=True, progress=False)
    gain = tune_noise(plain, seeded(tiny.seed, "gain"))
    assert gain > 1 and tuned.record["noise_gain"] == gain
    assert same_weights(plain, tuned) and same_weights(tuned, again) and same_weights(tuned, SinGAN.load(tmp_path/"run"))


@pytest.mark.parametrize("name", ["forest", "moss"])
def test_the_gain_of_bundled_models_brings_their_edges_nearer(name):
    tuned, plain = load_pretrained(name), load_pretrained(name)
    for scale in plain.scales[len(plain.scales)//2:]: scale.noise_amp.div_(tuned.record["noise_gain"])
    edges = lambda model: edge_distance(sample(model, 4, seed=3), model.image)
    assert tuned.record["noise_gain"] > 1 and edges(tuned) < .75*edges(plain)
