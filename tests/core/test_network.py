"""The network: its terms, its switches, its refusals."""

from dataclasses import fields, replace

import pytest
import torch
from torch.func import functional_call

from ebm_core.nets import EnergyNetwork, NetConfig
from ebm_core.nets.blocks import SelfAttention, StandardisedConv2d, shared_weights
from tests.conftest import TINY


def build(config, seed=0):
    torch.manual_seed(seed)
    return EnergyNetwork(config)


def test_energy_is_the_sum_of_its_scales(tiny_net, rng):
    x = torch.rand(3, 3, 8, 8, generator=rng)
    terms = tiny_net.scale_energies(x)
    assert terms.shape == (3, 2)
    torch.testing.assert_close(tiny_net(x), terms.sum(1))


def test_coarse_scale_sees_only_the_pooled_image(tiny_net, rng):
    x = torch.rand(1, 3, 8, 8, generator=rng)
    detail = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(4, 4) * 0.1  # vanishes under 2x2 average pooling
    a, b = tiny_net.scale_energies(x)[0], tiny_net.scale_energies(x + detail)[0]
    assert a[0] != b[0]
    torch.testing.assert_close(a[1], b[1])


def test_energies_do_not_depend_on_the_rest_of_the_batch(tiny_net, rng):
    x = torch.rand(4, 3, 8, 8, generator=rng)
    torch.testing.assert_close(tiny_net(x)[:1], tiny_net(x[:1]))


@pytest.mark.parametrize("size", [64, 128])
def test_celeba_hq_layout_of_the_paper_builds_and_runs(size):
    full = "1d 1d 1d 2d 2 4d attn 4 8d"
    config = NetConfig(image_size=size, width=16, stem=0.5, layouts=(full, "1d 1d 2d 2 4d", "1d 1d 2d"))
    assert build(config)(torch.rand(1, 3, size, size)).shape == (1,)


CHANGES = {
    "image_size": 16,
    "channels": 1,
    "width": 16,
    "stem": 2.0,
    "layouts": ("2d attn 2",),
    "label_dim": 2,
    "patch": 2,
    "trunk": "linear",
    "attention": False,
    "attention_kind": "cosine",
    "norm": "reference",
    "conv": "spectral",
    "pooling": "blur",
    "energy_scale": 0.2,
}


def outputs(config):
    net = build(config)
    for module in net.modules():
        if isinstance(module, SelfAttention):
            module.gain.data.fill_(0.5)  # zero at the start: attention could not show
    x = torch.linspace(0, 1, config.channels * config.image_size**2)
    x = x.reshape(1, config.channels, config.image_size, config.image_size)
    y = torch.ones(1, config.label_dim) if config.label_dim else None
    return net.state_dict().keys(), net(x, y)


@pytest.mark.parametrize("name", [f.name for f in fields(NetConfig)])
def test_every_field_changes_the_network(name):
    # At 4x4 positions an instance norm would hide part of the differences; a stem of its own needs a free width.
    base = replace(TINY, norm="none", layouts=("2d attn 2", "2d"))
    keys, energy = outputs(base)
    other_keys, other = outputs(replace(base, **{name: CHANGES[name]}))
    assert other_keys != keys or not torch.allclose(energy, other, rtol=1e-4)


def test_a_conditional_network_starts_as_the_unconditional_one(rng):
    x = torch.rand(2, 3, 8, 8, generator=rng)
    plain = build(TINY)
    conditional = build(replace(TINY, label_dim=3))
    missing = conditional.load_state_dict(plain.state_dict(), strict=False)
    assert all(".labels." in key for key in missing.missing_keys)
    y = torch.randn(2, 3, generator=rng)
    torch.testing.assert_close(conditional(x, y), plain(x))
    for name, parameter in conditional.named_parameters():
        if ".labels." in name:
            parameter.data.normal_(generator=rng)
    assert not torch.allclose(conditional(x, y), conditional(x, -y))


def test_shared_weights_are_standardised_once_and_change_no_gradient(tiny_net, rng):
    x = torch.rand(2, 3, 8, 8, generator=rng)
    plain = torch.autograd.grad(tiny_net(x).sum() + tiny_net(x / 2).sum(), list(tiny_net.parameters()))
    with shared_weights(tiny_net):
        conv = next(m for m in tiny_net.modules() if isinstance(m, StandardisedConv2d))
        assert conv.standardised_weight() is conv.standardised_weight()
        shared = torch.autograd.grad(tiny_net(x).sum() + tiny_net(x / 2).sum(), list(tiny_net.parameters()))
        # L_opt's parameters are stand-ins that must get no gradient.
        fixed = {name: p.detach() for name, p in tiny_net.named_parameters()}
        assert not functional_call(tiny_net, fixed, (x,)).requires_grad
    assert conv.standardised_weight() is not conv.standardised_weight()
    for a, b in zip(plain, shared, strict=True):
        torch.testing.assert_close(a, b)


def test_spectral_norm_bounds_the_convolutions():
    net = build(replace(TINY, conv="spectral")).eval()
    with torch.no_grad():
        for _ in range(50):
            net.train()
            net(torch.rand(1, 3, 8, 8))
    weights = [m.weight.flatten(1) for name, m in net.named_modules() if name.endswith(("convs.0", "convs.1"))]
    assert weights
    for weight in weights:
        assert torch.linalg.matrix_norm(weight, 2) < 1.01


def test_bf16_stays_close_and_gives_float32(tiny_net, rng):
    x = torch.rand(4, 3, 8, 8, generator=rng)
    exact = tiny_net(x)
    tiny_net.bf16 = True
    rough = tiny_net(x)
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, exact)
    torch.testing.assert_close(rough, exact, rtol=0.05, atol=0.05 * exact.abs().max().item())


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 1, 8, 8), (1, 3, 16, 16)])
def test_wrong_images_are_refused(tiny_net, shape):
    with pytest.raises(ValueError, match=r"takes images shaped \(B, 3, 8, 8\)"):
        tiny_net(torch.zeros(shape))


def test_wrong_labels_are_refused(tiny_net):
    x = torch.zeros(2, 3, 8, 8)
    with pytest.raises(ValueError, match="takes no labels"):
        tiny_net(x, torch.zeros(2, 1))
    conditional = build(replace(TINY, label_dim=3))
    with pytest.raises(ValueError, match=r"needs labels shaped \(B, 3\)"):
        conditional(x)
    with pytest.raises(ValueError, match=r"\(2, 3\), got \(2, 2\)"):
        conditional(x, torch.zeros(2, 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layouts": ("2",)}, "only 'd' changes it"),
        ({"layouts": ("1 x",)}, "'x' is no width"),
        ({"layouts": ("1/0",)}, "'1/0' is no width"),
        ({"layouts": ("1e99999999",)}, "'1e99999999' is no width"),
        ({"layouts": ("1 " * 201,)}, "at most 200 blocks, got 201"),
        ({"layouts": ()}, "1 to 8 scales, got 0"),
        ({"image_size": 7}, "multiple of 2"),
        ({"patch": 8}, "multiple of 16.*patch of 8 must divide"),
        ({"patch": 0}, "patch must be a whole number from 1 to 64, got 0"),
        ({"width": 10**400}, "width must be a whole number from 1 to 8192, got 1000.*\\.\\.\\.$"),
        ({"width": 3, "stem": 0.5}, "not a whole number"),
        ({"label_dim": -1}, "label_dim"),
    ],
)
def test_impossible_configurations_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        build(replace(TINY, **change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layouts": ("1 1d 1d 1d 1d",), "trunk": "linear"}, "8 points 4 times.*at most 3 'd'"),
        ({"layouts": ("1", "1 1d 1d 1d"), "pooling": "blur"}, "4 points 3 times.*at most 2 'd'"),
        ({"layouts": ("1 1d 1d 1d",), "trunk": "linear", "patch": 2}, "4 points 3 times"),
        ({"layouts": ("1",), "width": 130}, "130 channels, .*a multiple of 32, or norm 'none'"),
        ({"layouts": ("2d 2",), "width": 65}, "130 channels"),
    ],
)
def test_what_no_picture_could_pass_is_refused_before_a_network_is_built(change, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **({"norm": "reference"} | change))


@pytest.mark.parametrize(
    "change",
    [
        {"layouts": ("1 1d 1d 1d",), "trunk": "linear"},
        {"layouts": ("1 1d 1d 1d",), "pooling": "blur", "image_size": 10},
        {"layouts": ("1 1d 1d 1d 1d 1d",)},
        {"layouts": ("1",), "width": 130, "norm": "none"},
        {"layouts": ("1 1.6d",), "width": 100},
    ],
)
def test_what_just_fits_is_not_refused(change):
    config = replace(TINY, **change)
    energy = build(config)(torch.rand(2, 3, config.image_size, config.image_size))
    assert energy.isfinite().all()


@pytest.mark.parametrize("size", [0.1, 1e3])
def test_cosine_attention_forgets_the_size_of_its_weights(rng, size):
    attention = SelfAttention(8, "cosine")
    attention.gain.data.fill_(1.0)
    attention.qkv.bias.data.zero_()
    x = torch.randn(2, 8, 3, 3, generator=rng, dtype=torch.float64)
    before = attention.double()(x)
    with torch.no_grad():
        for conv in (attention.qkv, attention.out):
            conv.weight.mul_(size)
    torch.testing.assert_close(attention(x), before, rtol=1e-2, atol=1e-2)


def test_attention_is_what_it_says(rng):
    """Against a softmax of cosines written position by position."""
    attention, x = SelfAttention(4, "cosine").double(), torch.randn(1, 4, 2, 2, generator=rng, dtype=torch.float64)
    attention.gain.data.fill_(0.5)
    q, k, v = attention.qkv(x)[0].flatten(1).T.chunk(3, dim=1)
    looks = [torch.stack([2 * torch.cosine_similarity(a, b, dim=0) for b in k]).softmax(0) for a in q]
    attended = torch.stack([(weights[:, None] * v).sum(dim=0) for weights in looks])
    expected = x + 0.5 * attention.out(attended.T.reshape(1, 4, 2, 2))
    torch.testing.assert_close(attention(x), expected)
