"""Each measure against an exact answer."""

import math
from dataclasses import replace

import pytest
import torch

from ebm_core.space import pixels
from tests.conftest import Quadratic
from tests.train.conftest import CONFIG
from train.reproduce.compute import equal_compute, flops, lasting, spent
from train.reproduce.measures import divergence_time, median, saturated_share
from train.reproduce.quality import class_score
from train.reproduce.table1 import Protocol, replay_pool
from train.step import StepOutput
from train.trainer import Trainer


def test_divergence_is_the_first_time_beyond_the_limit_on_either_side():
    at = [0, 5, 10, 15]
    assert divergence_time(at, [0.0, 0.1, -0.2, 0.3], 0.1) == 10
    assert divergence_time(at, [0.0, 0.1, -0.1, 0.1], 0.1) is None
    assert divergence_time(at, [0.0, math.nan, 0.0, 0.0], 0.1) == 5
    assert divergence_time([], [], 0.1) is None


def test_the_median_and_saturated_pixels():
    assert median([3.0, 1.0, 2.0, 10.0]) == 2.5
    with pytest.raises(ValueError, match="nothing was logged"):
        median([])
    x = torch.tensor([0.0, 1 / 512, 0.5, 254.5 / 256, 255.5 / 256, 1.0]).reshape(1, 1, 2, 3)
    assert saturated_share(x) == pytest.approx(4 / 6)
    levels = torch.tensor([0, 1, 128, 254, 255, 255], dtype=torch.uint8)
    assert saturated_share(levels) == pytest.approx(3 / 6)


@pytest.mark.parametrize(("angle", "cosine"), [(0.0, 1.0), (math.pi / 3, 0.5), (math.pi, -1.0)])
def test_the_cosine_between_known_gradients(angle, cosine, data):
    trainer = Trainer(CONFIG, data, "cpu")
    weights = next(p for p in trainer.net.parameters() if p.numel() >= 2).flatten()
    cd = 3 * weights[0]
    opt, ent = 2 * math.cos(angle) * weights[0], 2 * math.sin(angle) * weights[1]
    figures = trainer._gradient_figures(StepOutput({"cd": cd, "opt": opt, "ent": ent}, {}))
    assert float(figures["grad_norm_cd"]) == pytest.approx(3)
    assert float(figures["grad_norm_kl"]) == pytest.approx(2)
    assert float(figures["grad_cosine"]) == pytest.approx(cosine, abs=1e-6)


@pytest.fixture
def data():
    return torch.randint(256, (8, 3, 8, 8), generator=torch.Generator().manual_seed(9), dtype=torch.uint8)


def from_scratch(**changes):
    return replace(
        CONFIG, icd=replace(CONFIG.icd, **{"iterations": 1000, "matching_weight": 0.0, "steps": 10} | changes)
    )


def test_work_grows_with_the_batch_and_with_each_langevin_step_alike():
    base = flops(from_scratch(), "icd")
    assert flops(from_scratch(batch_size=8), "icd") == 2 * base
    one_more = flops(from_scratch(steps=11), "icd") - base
    assert one_more > 0
    assert flops(from_scratch(steps=20), "icd") - base == 10 * one_more
    assert flops(from_scratch(matching_weight=1.0), "icd") > base
    assert 0 < flops(from_scratch(), "warm_start") < base


def test_what_an_iteration_costs_once_is_counted_once():
    def total(batch_size, muon_lr):
        optim = replace(CONFIG.icd.optim, muon_lr=muon_lr)
        return flops(from_scratch(batch_size=batch_size, optim=optim), "icd")

    products = total(4, 1e-3) - total(4, 0.0)  # of Muon's iteration: of weights alone
    assert 0 < products == total(16, 1e-3) - total(16, 0.0)


def test_equal_compute_gives_cheaper_runs_more_iterations():
    bare = from_scratch(opt_weight=0.0, entropy_weight=0.0)
    runs = equal_compute({"bare": bare, "full": from_scratch()}, of="full")
    assert runs["full"].icd.iterations == 1000
    assert runs["bare"].icd.iterations > 1000
    spent = {name: run.icd.iterations * flops(run, "icd") for name, run in runs.items()}
    assert spent["bare"] == pytest.approx(spent["full"], rel=1e-3)


def test_a_run_lasts_as_long_as_its_compute():
    config = from_scratch(opt_weight=0.0, entropy_weight=0.0)
    warm, icd = flops(config, "warm_start"), flops(config, "icd")
    both = lasting(config, {"warm_start": 3.4 * warm, "icd": 2.6 * icd})
    assert (both.warm_start.iterations, both.icd.iterations) == (3, 3)
    assert spent(both) == 3 * warm + 3 * icd
    assert spent(lasting(config, {"warm_start": 0, "icd": 1.0})) == icd  # some compute is one iteration at least
    assert lasting(config, {"icd": icd}).warm_start == config.warm_start
    dear = from_scratch()
    assert lasting(config, {"icd": 2 * flops(dear, "icd")}, like=dear).icd.iterations == 2
    assert spent(lasting(config, {"warm_start": 0, "icd": 1.0}), like=dear) == flops(dear, "icd")


def test_the_score_is_the_number_of_classes_seen_equally_often():
    dark, bright = torch.full((5, 3, 4, 4), 20, dtype=torch.uint8), torch.full((5, 3, 4, 4), 230, dtype=torch.uint8)
    name, score = class_score(torch.cat([dark, bright]), batch=3)
    assert (name, score) == ("efficientnet-lite0", pytest.approx(2))
    assert class_score(dark)[1] == pytest.approx(1)


def test_the_pool_is_filled_moved_and_refined_as_often_as_the_protocol_says(rng):
    moved, visits = [], []
    space = replace(pixels(3, 4), jolt=lambda x, config, rng: moved.append(len(x)) or torch.ones_like(x))
    # Each step goes the whole way down, so where a chain ends says what it was told last.
    plan = replace(CONFIG.plan, langevin=replace(CONFIG.plan.langevin, steps=1, step_size=1.0, noise_std=0.0))
    protocol = Protocol(pool=6, visited=2, visits=7, last_visits=4, last_visited=3)
    pool = replay_pool(Quadratic(1.0, 0.25), space, plan, protocol, rng, lambda: visits.append(1))
    assert moved == [2] * 4  # seven visits, of which three filled the pool
    assert len(visits) == 7 + 4
    assert pool.shape == (6, 3, 4, 4)
    assert torch.equal(pool, torch.full_like(pool, 64))


def test_the_last_visits_reach_every_chain_without_a_transition(rng):
    space = replace(pixels(3, 2), jolt=lambda x, config, rng: torch.zeros_like(x))
    plan = replace(CONFIG.plan, langevin=replace(CONFIG.plan.langevin, steps=1, step_size=0.5, noise_std=0.0))
    protocol = Protocol(pool=4, visited=4, visits=20, last_visits=2, last_visited=2)
    pool = replay_pool(Quadratic(1.0, 1.0), space, plan, protocol, rng)
    # Black after its last transition, half the way up, and once more half of what is left.
    chosen = pool[pool < 200]
    assert len(chosen) > 0
    assert set(chosen.tolist()) <= {191, 192}
