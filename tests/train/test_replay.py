"""Replay buffer statistics."""

import pytest
import torch

from ebm_core.space import pixels
from train.batch import Batch
from train.replay import ReplayBuffer

SPACE = pixels(1, 2)


def numbered(first, count):
    """Images whose every pixel is their number."""
    return (torch.arange(first, first + count).float()[:, None, None, None].expand(-1, 1, 2, 2) + 0.5) / 256


def stored(buffer):
    return sorted(buffer.images[: len(buffer), 0, 0, 0].tolist())


def test_ring_forgets_the_oldest(rng):
    buffer = ReplayBuffer(5, SPACE, "ring", "cpu")
    for first in (0, 3, 6):
        buffer.add(Batch(numbered(first, 3)), rng)
    assert stored(buffer) == [4, 5, 6, 7, 8]
    assert buffer.num_added == 9


@pytest.mark.parametrize("batch", [1, 7])
def test_reservoir_keeps_a_uniform_sample_of_everything(batch):
    rng = torch.Generator().manual_seed(0)
    capacity, total, trials = 10, 70, 400
    counts = torch.zeros(total)
    for _ in range(trials):
        buffer = ReplayBuffer(capacity, SPACE, "reservoir", "cpu")
        for first in range(0, total, batch):
            buffer.add(Batch(numbered(first, batch)), rng)
        kept = stored(buffer)
        assert len(set(kept)) == capacity
        counts[kept] += 1
    p = capacity / total
    # Largest of 70 standardised counts: beyond 4.5 by chance once in two thousand runs, and the seed is fixed.
    assert ((counts - trials * p) / (trials * p * (1 - p)) ** 0.5).abs().max() < 4.5


def test_draw_is_uniform_with_replacement_and_dequantised(rng):
    buffer = ReplayBuffer(8, SPACE, "ring", "cpu")
    buffer.add(Batch(numbered(0, 4)), rng)
    x = buffer.draw(4000, rng).x
    number = (x * 256).floor()[:, 0, 0, 0]
    counts = torch.bincount(number.long(), minlength=8)
    assert (counts[:4] - 1000).abs().max() < 150
    assert counts[4:].sum() == 0
    within = (x * 256) % 1
    assert abs(within.mean() - 0.5) < 0.02
    assert within.std() > 0.25


def test_a_batch_larger_than_the_buffer_is_refused(rng):
    with pytest.raises(ValueError, match="a batch of 3 does not fit a replay buffer of 2"):
        ReplayBuffer(2, SPACE, "ring", "cpu").add(Batch(numbered(0, 3)), rng)


def test_persistent_chains_stay_apart_and_go_back_to_their_places(rng):
    buffer = ReplayBuffer(6, SPACE, "persistent", "cpu")
    for first in (0, 3):
        assert not buffer.has_chains  # until there are all of them
        buffer.add(Batch(numbered(first, 3)), rng)
    assert buffer.has_chains
    for steps in range(1, 30):
        taken = buffer.take(4, rng).x
        assert len(set((taken * 256).floor()[:, 0, 0, 0].tolist())) == 4
        buffer.draw(9, rng)  # looking at others changes nothing
        buffer.add(Batch((taken * 256).floor() / 256 + 6.5 / 256), rng)  # one step of a chain: its number grows by 6
        numbers = torch.tensor(stored(buffer))
        assert sorted((numbers % 6).tolist()) == [0, 1, 2, 3, 4, 5]  # none was lost, none twice
        assert (numbers // 6).sum() == 4 * steps


@pytest.mark.parametrize("kind", ["ring", "reservoir", "persistent"])
def test_state_round_trip_goes_on_the_same(kind):
    a = ReplayBuffer(6, SPACE, kind, "cpu")
    a.add(Batch(numbered(0, 4)), torch.Generator().manual_seed(0))
    b = ReplayBuffer(6, SPACE, kind, "cpu")
    b.load_state_dict(a.state_dict())
    for buffer in (a, b):
        rng = torch.Generator().manual_seed(1)
        buffer.add(Batch(numbered(10, 5)), rng)
        buffer.drawn = buffer.draw(9, rng).x
    assert torch.equal(a.images, b.images)
    assert torch.equal(a.drawn, b.drawn)
