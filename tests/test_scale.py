"""One scale in training: what its loop promises, in numbers that a changed line would change."""
import inspect

import pytest
import torch
from conftest import untrained
from torch import nn

from singan_nb.all import Config, Critic, Generator, SinGAN, build_pyramid, enlarge, load_image
from singan_nb.config import scale_trainer
from singan_nb.engine import FastStep, FastTrainer
from singan_nb.models import seeded
from singan_nb.scale import Bases, ReadableStep, ScaleTrainer, critic_step, generator_step, new_scale, start_networks

REAL = build_pyramid(load_image("dunes"), [(60, 80)])[0]


def below(scales): return untrained(REAL, scales, width=4)


class Noting(ReadableStep):
    "A step that only notes the weights of the penalty."
    def __init__(self): self.seen = []
    def play(self, trainer, bases, weights): self.seen.append(weights); return torch.zeros(4)


# the penalty

@pytest.mark.parametrize("every, steps", [(1, 3), (2, 3), (4, 1), (3, 2), (5, 3)])
def test_the_penalty_has_its_weight_in_the_mean(every, steps):
    "λ·k in each k-th critic step and 0 in the others, counted over iterations."
    step = Noting()
    trainer = ScaleTrainer(SinGAN(REAL), REAL, 4, gp_weight=.3, gp_every=every, critic_steps=steps, step=step)
    for _ in range(every): trainer.step()
    weights = sum(step.seen, [])
    assert weights == pytest.approx([.3*every if i % every == 0 else 0 for i in range(every*steps)])
    assert sum(weights)/len(weights) == pytest.approx(.3)


# bases

def test_no_base_comes_twice():
    bases = Bases(below(2), (45, 60), seed=3, batch=4)
    images = torch.cat([bases(i) for i in range(12)])
    apart = (images[:, None] - images[None]).abs().amax((2, 3, 4)) + torch.eye(12)
    assert apart.min() > 0, "an image is repeated in a later batch"


def test_a_base_depends_on_its_number_alone():
    first, second = (Bases(below(2), (45, 60), seed=3, batch=4) for _ in range(2))
    wanted = [first(i).clone() for i in range(9)]
    assert all(torch.equal(second(i), wanted[i]) for i in (8, 1, 5, 4, 0))


def test_a_batch_is_32_images_until_they_are_large():
    "As many as were drawn at once must not change: the images of a seed depend on it."
    assert Bases(below(1), (30, 40)).batch == 32 and Bases(below(1), (512, 512)).batch == 8 and Bases(below(1), (3000, 3000)).batch == 1
    assert Bases(below(1), (256, 1024)).batch == Bases(below(1), (1024, 256)).batch == 8


def test_scales_draw_from_streams_of_their_own(monkeypatch):
    "The noise of the bases of scale 2 is not that of scale 1, with the same seed."
    drawn = {}
    for scales in (1, 2):
        model = below(scales)
        monkeypatch.setattr(model, "draw_noises", lambda generator, n, scales=scales: drawn.setdefault(scales, [torch.randn(n, 3, 5, 5, generator=generator)]))
        monkeypatch.setattr(model, "forward", lambda noises, run: noises[0])
        Bases(model, (5, 5), seed=3)(0)
    assert (drawn[1][0] - drawn[2][0]).abs().min() > 0


def test_a_base_is_the_sample_of_the_scales_below():
    model = below(2)
    noises = model.draw_noises(seeded(3, "bases", 2, 1), n=32)
    assert torch.allclose(Bases(model, (45, 60), seed=3)(37), enlarge(model(noises), (45, 60))[5:6], atol=1e-6)


# windows

def test_the_window_moves_with_every_iteration():
    trainer = FastTrainer(below(1), REAL, 4, crop=24, seed=1, critic_steps=1, generator_steps=1)
    corners, views = [], []
    for _ in range(8):
        trainer.step()
        corners.append(trainer.arithmetic.windows.corner); views.append(trainer.arithmetic.windows.view[0].clone())
    assert len(set(corners)) >= 6
    for (y, x), view in zip(corners, views): assert torch.equal(view[..., 5:-5, 5:-5], REAL[..., y:y+24, x:x+24])


def test_bases_serve_as_many_windows_as_they_hold():
    step, asked = FastStep(crop=24), []
    trainer = ScaleTrainer(below(1), REAL, 4, critic_steps=1, generator_steps=1, step=step)
    bases, trainer.bases = trainer.bases, lambda i: (asked.append(i), bases(i))[1]
    for _ in range(17): trainer.step()
    assert step.reuse == 60*80//(24*24) == 8 and asked == [0]*8 + [1]*8 + [2]


# the start

def test_adam_and_the_weights_at_the_start():
    trainer = ScaleTrainer(SinGAN(REAL), REAL, 32, lr=2e-3, betas=(.3, .8))
    for optimizer, network in zip(trainer.optimizers, (trainer.scale.generator, trainer.critic)):
        assert optimizer.defaults["betas"] == (.3, .8) and optimizer.defaults["lr"] == 2e-3 and optimizer.defaults["eps"] == 1e-8
        assert {id(p) for p in network.parameters()} == {id(p) for group in optimizer.param_groups for p in group["params"]}
    gains = torch.cat([m.weight for n in (trainer.scale.generator, trainer.critic) for m in n.modules() if isinstance(m, nn.BatchNorm2d)])
    kernels = torch.cat([m.weight.flatten() for n in (trainer.scale.generator, trainer.critic) for m in n.modules() if isinstance(m, nn.Conv2d)])
    assert gains.numel() == 256 and abs(gains.mean() - 1) < .005 and abs(gains.std() - .02) < .003
    assert abs(kernels.mean()) < 3e-4 and abs(kernels.std() - .02) < 3e-4
    assert all((m.bias == 0).all() for n in (trainer.scale.generator, trainer.critic) for m in n.modules() if isinstance(m, (nn.Conv2d, nn.BatchNorm2d)))


def test_trainers_have_the_defaults_of_the_configuration():
    config = vars(Config(precision="fp32"))
    for function in (ScaleTrainer, FastTrainer, FastStep, new_scale, critic_step, generator_step):
        own = {name: parameter.default for name, parameter in inspect.signature(function).parameters.items() if name in config}
        assert own and own == {name: config[name] for name in own}


def test_a_trainer_gets_every_field_of_the_configuration():
    config = Config(lr=1e-3, betas=(.4, .9), gp_weight=.2, gp_every=3, rec_weight=7., noise_weight=.3, critic_steps=2, generator_steps=4, iters=50, seed=9,
                    penalty="sample", z_star="fixed", reconstruction="zero_image", critic_norm=False, critic_border="zero", crop=24, layers=4, width=6, precision="fp32")
    trainer = scale_trainer(FastTrainer, below(1), REAL, config=config)
    assert (trainer.lr, trainer.gp_weight, trainer.gp_every, trainer.rec_weight, trainer.critic_steps, trainer.generator_steps, trainer.iters, trainer.seed,
            trainer.penalty, trainer.redraw, trainer.scale.reconstruction) == (1e-3, .2, 3, 7., 2, 4, 50, 9, "sample", False, "zero_image")
    assert trainer.optimizers[0].defaults["betas"] == (.4, .9) and trainer.scale.generator.shape == (6, 4)
    assert trainer.critic.border == "zero" and not any(isinstance(m, nn.BatchNorm2d) for m in trainer.critic.modules())
    assert trainer.arithmetic.windows.window == (24, 24)
    error = (REAL - enlarge(below(1).reconstruct(), (60, 80))).square().mean().sqrt()
    assert trainer.scale.noise_amp == pytest.approx(.3*error.item(), rel=1e-5)


def test_the_coarsest_scale_begins_with_noise_alone():
    for grey in (True, False):
        scale, base = new_scale(SinGAN(REAL, grey), REAL, Generator(4), rng=seeded(1))
        z = scale.z_star
        assert scale.noise_amp == 1 and (base == 0).all() and abs(z.std() - 1) < .05 and torch.equal(z[:, 0], z[:, 1]) == grey


def test_networks_of_other_shapes_begin_anew():
    pair = start_networks(Generator(4), Critic(4), seeded(1))
    same, other = start_networks(Generator(4), Critic(4), seeded(2), previous=pair), start_networks(Generator(4), Critic(4, norm=False), seeded(2), previous=pair)
    assert torch.equal(same[1].net[0][0].weight, pair[1].net[0][0].weight) and not torch.equal(other[0].net[0][0].weight, pair[0].net[0][0].weight)


@pytest.mark.parametrize("redraw", [True, False])
def test_z_star_of_the_coarsest_scale_is_drawn_in_every_iteration_or_once(redraw):
    trainer = ScaleTrainer(SinGAN(REAL), REAL, 4, z_star="redraw" if redraw else "fixed", critic_steps=1, generator_steps=1)
    seen = [trainer.scale.z_star.clone()]
    for _ in range(2): trainer.step(); seen.append(trainer.scale.z_star.clone())
    assert [torch.equal(a, b) for a, b in zip(seen, seen[1:])] == [not redraw]*2
