"""Where points live: pixels and latents, how they are kept, and how a model's space is found."""

import json
import re
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from ebm_core import hub, images
from ebm_core.checkpoint import METADATA_KEY, CheckpointError, ModelInfo, load_model, read_info
from ebm_core.codec import CodecConfig
from ebm_core.composition import And, Composition, CompositionError, Term
from ebm_core.config import to_dict
from ebm_core.hub import find_codec, open_space, pinned
from ebm_core.sampling import SamplePlan
from ebm_core.space import LATENT_BOUND, SpaceConfig, free, latent, pixels
from ebm_core.transitions import TransitionConfig, transition
from tests.conftest import PIXELS, TINY
from tests.latents import NET, PLAN, random_codec, save_latent, save_random_codec

MOVES = TransitionConfig(crop_min_scale=0.5)


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


def random_pictures(num, side):
    return torch.randint(256, (num, 3, side, side), generator=seeded(), dtype=torch.uint8)


@pytest.fixture
def codec():
    return random_codec()


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A weights folder with a codec in it, which is the shipped one."""
    monkeypatch.setattr(hub, "WEIGHTS", tmp_path / "shipped")
    return save_random_codec(tmp_path / "shipped" / "tiny-codec")


def test_pixels_start_uniform_and_stay_in_0_to_1():
    space = pixels(1, 4)
    assert space.shape == space.picture_shape == (1, 4, 4)
    assert torch.equal(space.noise(5, seeded()), torch.rand(5, 1, 4, 4, generator=seeded()))
    x = torch.tensor([-0.5, 0.0, 0.3, 1.0, 1.5])
    assert torch.equal(space.keep(x), torch.tensor([0.0, 0.0, 0.3, 1.0, 1.0]))
    assert free(x) is x


def test_pixels_are_their_own_pictures_and_are_packed_as_bytes():
    u8, x = random_pictures(2, 8), PIXELS.noise(2, seeded())
    assert PIXELS.decode(x) is x
    assert PIXELS.preview(x) is x
    assert PIXELS.pack_pictures(u8) is u8
    assert torch.equal(PIXELS.unpack(u8, None), (u8 + 0.5) / 256)
    assert torch.equal(PIXELS.encode(u8), (u8 + 0.5) / 256)
    assert torch.equal(PIXELS.encode(u8, seeded()), images.dequantise(u8, seeded()))
    assert torch.equal(PIXELS.pack(PIXELS.encode(u8, seeded())), u8)
    assert torch.equal(PIXELS.jolt(x, MOVES, seeded()), transition(x, MOVES, seeded()))


def test_latents_start_normal_and_stay_within_their_bound(codec):
    space = latent(codec)
    assert space.shape == (5, 8, 8)
    assert space.picture_shape == (3, 16, 16)
    assert torch.equal(space.noise(2, seeded()), torch.randn(2, 5, 8, 8, generator=seeded()))
    x = torch.tensor([-100.0, -8.0, 0.3, 9.0])
    assert torch.equal(space.keep(x), torch.tensor([-LATENT_BOUND, -8.0, 0.3, LATENT_BOUND]))


def test_latents_decode_by_the_codec_and_are_packed_as_halves(codec):
    space, u8 = latent(codec), random_pictures(3, 16)
    packed = space.pack_pictures(u8)
    assert packed.dtype == torch.float16
    assert torch.equal(packed, codec.encode(u8).half())
    z = space.encode(u8, seeded())  # a generator or none: nothing of latents is dequantised
    assert z.dtype == torch.float32
    assert torch.equal(z, space.encode(u8))
    assert torch.equal(space.pack(z), packed)
    assert torch.equal(space.decode(z), codec.decode(z))
    assert space.decode(z).shape == (3, 3, 16, 16)
    assert torch.equal(space.preview(z), codec.preview(z))
    assert space.preview(z).shape == (3, 3, 8, 8)
    assert space.pack_pictures(u8[:0]).shape == (0, 5, 8, 8)


def test_many_pictures_are_coded_in_parts(codec, monkeypatch):
    monkeypatch.setattr("ebm_core.space.CODED_AT_ONCE", 2)
    space, u8 = latent(codec), random_pictures(5, 16)
    torch.testing.assert_close(space.pack_pictures(u8), codec.encode(u8).half())


def test_a_jolt_of_latents_is_a_transition_of_their_pictures(codec):
    space = latent(codec)
    z = space.noise(3, seeded())
    jolted = space.jolt(z, MOVES, seeded(5))
    assert torch.equal(jolted, codec.encode(transition(codec.decode(z), MOVES, seeded(5))))
    assert not torch.allclose(jolted, codec.encode(codec.decode(z)))


def test_nothing_of_a_latent_space_keeps_a_graph(codec):
    codec.requires_grad_(True)
    space = latent(codec)
    z = space.noise(2, seeded()).requires_grad_()
    made = [space.decode(z), space.preview(z), space.jolt(z, MOVES, seeded()), space.encode(random_pictures(2, 16))]
    assert not any(x.requires_grad for x in made)


def save_version_1(path, net, **changes):
    """A model file as it was written before there were spaces."""
    plan = to_dict(SamplePlan())
    plan["langevin"]["clamp"] = changes.pop("clamp", True)
    metadata = {
        "format_version": 1,
        "data_range": [0.0, 1.0],
        "net": to_dict(TINY),
        "plan": plan,
        "provenance": {},
        "calibration": {},
    } | changes
    save_file(net.state_dict(), path, metadata={METADATA_KEY: json.dumps(metadata)})


def test_a_file_from_before_spaces_is_of_pixels(tmp_path, tiny_net):
    path = tmp_path / "old.safetensors"
    save_version_1(path, tiny_net)
    net, info = load_model(path)
    assert info.space == SpaceConfig()
    assert info.plan == SamplePlan()
    space, x = open_space(info.space, info.net, model=path), PIXELS.noise(2, seeded())
    assert (space.shape, space.limits) == ((3, 8, 8), (0.0, 1.0))
    assert torch.equal(net(x), tiny_net(x))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clamp": False}, r"did not keep pixels in \[0, 1\]"),
        ({"data_range": [-1, 1]}, r"trained on data in \[-1, 1\]"),
    ],
)
def test_a_file_from_before_spaces_of_other_points_is_refused(changes, message, tmp_path, tiny_net):
    save_version_1(tmp_path / "old.safetensors", tiny_net, **changes)
    with pytest.raises(CheckpointError, match=message):
        read_info(tmp_path / "old.safetensors")


def test_a_model_of_latents_says_so_and_opens_its_space(tmp_path, shipped):
    path = save_latent(tmp_path / "m", shipped)
    net, info = load_model(path)
    assert info.space == SpaceConfig("tiny-codec", shipped.weights)
    space = open_space(info.space, info.net, model=path)
    z = space.noise(2, seeded())
    assert torch.equal(space.decode(z), shipped.decode(z))
    assert net(z).shape == (2,)


def test_a_codec_is_looked_for_beside_the_model_then_in_a_folder_beside_then_among_the_shipped(tmp_path, shipped):
    model = save_latent(tmp_path / "own" / "m", shipped)
    places = [tmp_path / "shipped" / "tiny-codec", tmp_path / "own" / "tiny-codec", tmp_path / "own" / "m"]
    for place in places:
        save_random_codec(place)
        assert find_codec("tiny-codec", model) == place / "codec.safetensors"
        assert find_codec("tiny-codec") == places[0] / "codec.safetensors"


def test_a_codec_that_is_not_there_is_a_sentence(tmp_path, shipped):
    model = save_latent(tmp_path / "m", shipped)
    (tmp_path / "shipped" / "tiny-codec" / "codec.safetensors").unlink()
    info = read_info(model)
    folder = re.escape(str(model.parent))
    message = f"lives in .* the codec 'tiny-codec', which is not there; put its .* into the folder {folder}"
    with pytest.raises(CheckpointError, match=message):
        open_space(info.space, info.net, model=model)
    for ask in (lambda: open_space(info.space, info.net), lambda: pinned(SpaceConfig("tiny-codec"))):
        with pytest.raises(CheckpointError, match=r"the config lives in .* put its .* into the folder"):
            ask()


def test_a_codec_of_other_weights_is_a_sentence(tmp_path, shipped):
    model = save_latent(tmp_path / "m", shipped)
    save_random_codec(tmp_path / "m", seed=1)  # beside it, so it is taken
    info = read_info(model)
    with pytest.raises(CheckpointError, match=r"in the latents of another 'tiny-codec' than .*; give it its own"):
        open_space(info.space, info.net, model=model)
    assert open_space(replace(info.space, weights=""), info.net, model=model).shape == (5, 8, 8)


@pytest.mark.parametrize("other", [{"channels": 3}, {"image_size": 16}])
def test_a_network_of_other_points_is_a_sentence(other, shipped):
    with pytest.raises(CheckpointError, match=r"have 5 and 8; set .net. channels and image_size to these"):
        open_space(SpaceConfig("tiny-codec"), replace(NET, **other))


def test_what_is_trained_is_pinned_to_the_codec_of_now(tmp_path, shipped):
    assert pinned(SpaceConfig()) == SpaceConfig()
    assert pinned(SpaceConfig("tiny-codec")) == SpaceConfig("tiny-codec", shipped.weights)
    other = save_random_codec(tmp_path / "shipped" / "tiny-codec", config=CodecConfig(16, 5, (4,), (2,), (6,), (1,)))
    assert other.weights != shipped.weights
    assert pinned(SpaceConfig("tiny-codec")) == SpaceConfig("tiny-codec", other.weights)
    assert pinned(SpaceConfig("tiny-codec", shipped.weights)).weights == shipped.weights  # as the config says


def test_models_of_different_spaces_are_not_mixed():
    one, other = (ModelInfo(NET, PLAN, family="f", space=SpaceConfig("c", weights)) for weights in ("1", "2"))
    both = Composition(And((Term("a"), Term("b")), (1.0, 1.0)))
    with pytest.raises(CompositionError, match=r"one is an energy of the latents of the codec 'c' \(1\), the other"):
        both.plan({"a": one, "b": other})
    with pytest.raises(CompositionError, match=r"'a' and 'b' cannot be mixed: .* the other of pixels"):
        both.plan({"a": one, "b": ModelInfo(NET, PLAN, family="f")})
    assert both.plan({"a": one, "b": one}).langevin.step_size == PLAN.langevin.step_size / 2
