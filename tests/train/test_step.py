"""One training step: its terms, its chains, its sources."""

from dataclasses import replace

import pytest
import torch

from ebm_core.contrastive import contrastive_divergence
from ebm_core.nets import EnergyNetwork
from ebm_core.nets.folding import folded
from ebm_core.transitions import TransitionConfig
from tests.conftest import PIXELS, TINY
from tests.train.conftest import CONFIG
from train.batch import Batch
from train.config import IcdConfig, MatchingConfig
from train.replay import ReplayBuffer
from train.step import chain_starts, icd_losses, icd_points, matching_sources, matching_step


def one_step(config=CONFIG, fill=True):
    torch.manual_seed(0)
    net, rng = EnergyNetwork(TINY), torch.Generator().manual_seed(1)
    buffer = ReplayBuffer(config.icd.buffer_size, PIXELS, config.icd.buffer_kind, "cpu")
    if fill:
        buffer.add(Batch(PIXELS.noise(config.icd.buffer_size, rng)), rng)
    x = PIXELS.noise(config.icd.batch_size, rng)
    x_match = PIXELS.noise(config.icd.matching_batch, rng)
    points = icd_points(lambda _: folded(net), Batch(x), Batch(x_match), buffer, config, rng, PIXELS)
    return net, buffer, icd_losses(net, points, config, PIXELS)


def gradient(net, loss):
    grads = torch.autograd.grad(loss, list(net.parameters()), retain_graph=True, materialize_grads=True)
    return torch.cat([g.flatten() for g in grads])


def test_all_terms_are_there_and_sum_to_the_loss():
    _, _, output = one_step()
    assert set(output.terms) == {"cd", "opt", "ent", "penalty", "matching"}
    torch.testing.assert_close(output.loss, sum(output.terms.values()))
    torch.testing.assert_close(output.figures["energy_gap"], output.figures["e_neg"] - output.figures["e_pos"])
    assert output.samples.shape == (CONFIG.icd.batch_size, 3, 8, 8)


@pytest.mark.parametrize(
    "name", ["contrastive_weight", "opt_weight", "entropy_weight", "penalty_weight", "matching_weight"]
)
def test_a_weight_scales_its_term_and_zero_removes_it(name):
    key = {"contrastive_weight": "cd", "opt_weight": "opt", "entropy_weight": "ent"}.get(name, name.split("_")[0])
    base = one_step()[2].terms
    weight = getattr(CONFIG.icd, name)
    doubled = one_step(replace(CONFIG, icd=replace(CONFIG.icd, **{name: 2 * weight})))[2].terms
    torch.testing.assert_close(doubled[key], 2 * base[key])
    assert key not in one_step(replace(CONFIG, icd=replace(CONFIG.icd, **{name: 0.0})))[2].terms


def test_kl_changes_the_gradient():
    net, _, output = one_step()
    cd = gradient(net, output.terms["cd"])
    kl = gradient(net, output.terms["opt"] + output.terms["ent"])
    assert kl.norm() > 1e-3 * cd.norm()
    cosine = torch.nn.functional.cosine_similarity(cd, kl, dim=0)
    assert cosine.abs() < 0.99


def test_contrastive_gradient_does_not_pass_through_the_chain():
    """L_CD of the step equals the gradient with the samples as constants."""
    net, _, output = one_step(fill=False)
    rng = torch.Generator().manual_seed(1)
    x_pos = PIXELS.noise(4, rng)
    constant = gradient(net, contrastive_divergence(net(x_pos), net(output.samples)))
    torch.testing.assert_close(gradient(net, output.terms["cd"]), constant)


def test_more_kl_steps_change_only_the_kl_terms():
    net, _, one = one_step()
    other, _, all_steps = one_step(replace(CONFIG, icd=replace(CONFIG.icd, kl_steps=3)))
    torch.testing.assert_close(one.terms["opt"], all_steps.terms["opt"])
    torch.testing.assert_close(gradient(net, one.terms["cd"]), gradient(other, all_steps.terms["cd"]))
    a, b = gradient(net, one.terms["opt"]), gradient(other, all_steps.terms["opt"])
    assert (a - b).norm() > 1e-3 * a.norm()


def test_parameters_still_want_gradients_after_the_frozen_chain():
    net, _, _ = one_step()
    assert all(p.requires_grad for p in net.parameters())


def test_chains_start_from_noise_as_often_as_asked(rng):
    buffer = ReplayBuffer(10, PIXELS, "ring", "cpu")
    shape = (2000, 3, 8, 8)
    still = replace(CONFIG, plan=replace(CONFIG.plan, move_noise=False), icd=replace(CONFIG.icd, reinit_prob=0.2))
    assert chain_starts(buffer, Batch(torch.zeros(shape)), still, rng, PIXELS).x.std() > 0.28  # empty: uniform noise
    buffer.add(Batch(torch.full((10, 3, 8, 8), 0.5)), rng)
    x = chain_starts(buffer, Batch(torch.zeros(shape)), still, rng, PIXELS).x
    assert abs((x.std(dim=(2, 3)).amax(1) > 0.1).float().mean() - 0.2) < 0.04


def test_replayed_images_are_moved_and_noise_where_the_plan_moves_it(rng):
    buffer, shape = ReplayBuffer(10, PIXELS, "ring", "cpu"), (500, 3, 8, 8)
    blur = TransitionConfig(crop_min_scale=1, flip_prob=0, jitter_prob=0, grayscale_prob=0, blur_prob=1)
    moving = replace(CONFIG, plan=replace(CONFIG.plan, move_noise=True, transition=blur))
    still = replace(moving, plan=replace(moving.plan, move_noise=False))
    assert chain_starts(buffer, Batch(torch.zeros(shape)), still, rng, PIXELS).x.std() > 0.28
    assert chain_starts(buffer, Batch(torch.zeros(shape)), moving, rng, PIXELS).x.std() < 0.25
    buffer.add(Batch(PIXELS.noise(10, rng)), rng)
    never = replace(still, icd=replace(still.icd, reinit_prob=0.0))
    assert chain_starts(buffer, Batch(torch.zeros(shape)), never, rng, PIXELS).x.std() < 0.25


def test_replayed_images_are_moved_as_often_as_asked(rng):
    buffer, shape = ReplayBuffer(10, PIXELS, "ring", "cpu"), (2000, 3, 8, 8)
    buffer.add(Batch(torch.full((10, 3, 8, 8), 0.5)), rng)
    darker = TransitionConfig(crop_min_scale=1, flip_prob=0, jitter_prob=1, grayscale_prob=0, blur_prob=0)
    config = replace(CONFIG, plan=replace(CONFIG.plan, transition=darker), icd=replace(CONFIG.icd, reinit_prob=0.0))
    for share in (0.0, 0.3, 1.0):
        some = replace(config, icd=replace(config.icd, jolt_prob=share))
        x = chain_starts(buffer, Batch(torch.zeros(shape)), some, rng, PIXELS).x
        assert abs(((x.mean(dim=(1, 2, 3)) - 0.5).abs() > 0.01).float().mean() - share) < 0.05


def test_matching_sources_have_their_shares(rng):
    x = torch.full((3000, 3, 8, 8), 0.5)
    moves = TransitionConfig(flip_prob=0, jitter_prob=0, grayscale_prob=1.0, blur_prob=0)
    source = matching_sources(x, MatchingConfig(noise=0.5, moved_noise=0.3, moved_data=0.2), moves, rng, PIXELS)
    is_data = (source.std(dim=(1, 2, 3)) < 1e-3).float().mean()
    is_grey = ((source - source.mean(1, keepdim=True)).abs().amax(dim=(1, 2, 3)) < 1e-3).float().mean()
    assert abs(is_data - 0.2) < 0.03
    assert abs(is_grey - 0.5) < 0.03


def changed(section, name, value):
    return replace(CONFIG, **{section: replace(getattr(CONFIG, section), **{name: value})})


@pytest.mark.parametrize(
    ("name", "value"),
    [("chain_steps", 20), ("decay_from", 0.1), ("pairing", "random"), ("noise", None)],
)
def test_every_matching_field_changes_the_loss(name, value):
    def loss(config):
        torch.manual_seed(0)
        rng = torch.Generator().manual_seed(1)
        return matching_step(EnergyNetwork(TINY), Batch(PIXELS.noise(8, rng)), config, rng, PIXELS).loss

    if name == "noise":
        other = replace(CONFIG, matching=replace(CONFIG.matching, noise=1.0, moved_noise=0.0, moved_data=0.0))
    else:
        other = changed("matching", name, value)
    assert loss(CONFIG) != loss(other)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: IcdConfig(entropy_past=0),
        lambda: IcdConfig(contrastive_weight=0, opt_weight=0, penalty_weight=0),
        lambda: IcdConfig(kl_steps=0),
        lambda: IcdConfig(kl_steps=41),
        lambda: IcdConfig(batch_size=128, buffer_size=64),
        lambda: MatchingConfig(noise=0.5),
        lambda: MatchingConfig(noise=1.5, moved_data=-0.5),
    ],
)
def test_impossible_values_are_refused(bad):
    with pytest.raises(ValueError):
        bad()
