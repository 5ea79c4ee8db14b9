"""Repainting: what is held is where the path from noise to the picture is, at the end the picture itself."""

import pytest
import torch

from ebm_core.inpainting import FEATHER, feathered, repainting
from ebm_core.langevin import LangevinConfig
from ebm_core.sampling import SamplePlan
from ebm_core.space import latent
from tests.conftest import PIXELS
from tests.latents import random_codec

PLAN = SamplePlan(1, 4, langevin=LangevinConfig(steps=10, step_size=0.1, noise_std=0.0))
U8 = torch.randint(0, 256, (3, 8, 8), generator=torch.Generator().manual_seed(5), dtype=torch.uint8)
LEFT = torch.zeros(8, 8, dtype=torch.bool)
LEFT[:, :4] = True


def states(quadratic, strength=1.0, space=PIXELS, u8=U8, mask=LEFT, plan=PLAN, first_step=-1, seed=0):
    walk, own, framed = repainting(space, u8, mask, strength, plan, seed, 2, "cpu")
    rng = torch.Generator().manual_seed(seed)
    chain = walk.sample(quadratic, walk.mixture(max(0, first_step)), own, rng, space, first_step=first_step)
    return walk, framed, list(chain)


def test_pixels_are_held_on_their_way_and_exactly_at_the_end(quadratic):
    walk, framed, chain = states(quadratic)
    clean = (U8.float() + 0.5) / 256
    assert [state.step for state in chain] == list(range(15))
    for state in chain:
        t = min(1.0, state.step / 10)
        torch.testing.assert_close(state.x[..., 4:], ((1 - t) * walk.noise + t * clean)[..., 4:], rtol=0, atol=1e-6)
    assert torch.equal(chain[-1].x[..., 4:], clean[..., 4:].expand(2, -1, -1, -1))
    # Each step of the quadratic goes a tenth of the way to its middle.
    expected = 0.5 + (walk.noise - 0.5) * 0.9**14
    torch.testing.assert_close(chain[-1].x[..., :4], expected[..., :4])
    assert torch.equal(framed.decode(chain[-1].x), chain[-1].x)
    assert float(chain[-1].energy[0]) == pytest.approx(float(quadratic(chain[-1].x)[0]))


def test_a_repainting_that_goes_on_is_the_same(quadratic):
    walk, own, _ = repainting(PIXELS, U8, LEFT, 0.8, PLAN, 0, 2, "cpu")
    rng = torch.Generator().manual_seed(1)
    whole = list(walk.sample(quadratic, walk.mixture(0), own, rng, PIXELS))
    first = whole[:5]
    rest = list(walk.sample(quadratic, whole[5].x, own, rng, PIXELS, first_step=5))
    assert len(whole) == own.num_steps + 1 == 8 + 4 + 1
    for one, other in zip(whole, [*first, *rest], strict=True):
        assert torch.equal(one.x, other.x)


def test_strength_says_where_chains_begin(quadratic):
    clean = (U8.float() + 0.5) / 256
    for strength, steps in ((0.0, 4), (0.3, 7), (1.0, 14)):
        walk, _, chain = states(quadratic, strength)
        assert chain[-1].step == steps
        torch.testing.assert_close(chain[0].x, strength * walk.noise + (1 - strength) * clean)
    other, _, _ = states(quadratic, seed=1)
    assert not torch.equal(other.noise, walk.noise)


def test_latents_are_held_in_latents_and_pixels_outside_never_change(quadratic):
    space = latent(random_codec())
    u8 = torch.randint(0, 256, (3, 16, 16), generator=torch.Generator().manual_seed(6), dtype=torch.uint8)
    mask = torch.zeros(16, 16, dtype=torch.bool)
    mask[4:10, :9] = True  # of the latents in column 4 a half is painted
    walk, framed, chain = states(quadratic, space=space, u8=u8, mask=mask)
    assert walk.free[0, 0].nonzero().tolist() == [[y, x] for y in range(2, 5) for x in range(5)]
    held = ~walk.free.expand(2, 5, 8, 8)
    assert torch.equal(chain[-1].x[held], space.encode(u8[None]).expand(2, -1, -1, -1)[held])
    assert framed.is_coded
    for state in chain:
        pictures = framed.decode(state.x)
        assert torch.equal((pictures * 256).floor().to(torch.uint8)[:, :, ~mask], u8[:, ~mask].expand(2, -1, -1))
    assert not torch.equal(pictures[:, :, mask], space.decode(space.encode(u8[None]))[:, :, mask].expand(2, -1, -1))
    assert framed.preview(chain[-1].x).shape == space.preview(chain[-1].x).shape


def test_feathers_grow_inwards():
    painted = torch.zeros(1, 1, 20, 20)
    painted[..., :12] = 1
    weight = feathered(painted)
    assert torch.equal(weight[..., 12:], torch.zeros(1, 1, 20, 8))
    torch.testing.assert_close(weight[0, 0, 10, 7:12], torch.tensor([1.0, 0.8, 0.6, 0.4, 0.2]))
    assert torch.equal(weight[..., : 12 - FEATHER], torch.ones(1, 1, 20, 12 - FEATHER))
    assert torch.equal(feathered(torch.ones(1, 1, 8, 8)), torch.ones(1, 1, 8, 8))


def test_a_spot_below_half_of_a_latent_is_a_sentence(quadratic):
    mask = torch.zeros(16, 16, dtype=torch.bool)
    mask[0, 0] = True
    u8 = torch.zeros(3, 16, 16, dtype=torch.uint8)
    with pytest.raises(ValueError, match="too small for this model: paint a larger spot"):
        states(quadratic, space=latent(random_codec()), u8=u8, mask=mask)
