"""OOD scores and calibration on numbers whose answers are known."""

import copy
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ebm_core import images
from ebm_core.calibration import NUM_QUANTILES, Calibration
from ebm_core.checkpoint import ModelInfo, load_model, read_info, replace_calibration, save_model
from ebm_core.ood import Measured, calibrate, complexity, joined, measure, needs_of, scores
from ebm_core.residual import Residual
from ebm_core.sampling import SamplePlan
from ebm_core.space import pixels
from tests.conftest import PIXELS, TINY, Quadratic


def measured(energy, bits=None, grad_norm=None):
    energy = torch.as_tensor(energy, dtype=torch.float32)
    zeros = torch.zeros_like(energy)
    return Measured(
        energy,
        torch.stack([0.25 * energy, 0.75 * energy], 1),
        zeros if grad_norm is None else grad_norm,
        torch.zeros(len(energy), 1, 1),
        zeros if bits is None else torch.as_tensor(bits, dtype=torch.float32),
        torch.ones(len(energy), 4, 3),
    )


@pytest.fixture
def to_198(rng):
    """Calibrated on the energies 0, 1, ... 198, shuffled: quantiles of new ones are whole numbers."""
    return calibrate(measured(torch.randperm(199, generator=rng)), "0 to 198")


def test_a_quadratic_energy_is_measured_exactly(rng):
    u8 = torch.randint(256, (3, 3, 4, 4), generator=rng, dtype=torch.uint8)
    x = (u8 + 0.5) / 256  # the middle of the dequantisation
    found = measure(Quadratic(precision=4.0, centre=0.25), u8, pixels(3, 4))
    distance = (x - 0.25).flatten(1).norm(dim=1)
    torch.testing.assert_close(found.energy, 2 * distance**2)
    torch.testing.assert_close(found.scale_energies, found.energy[:, None])
    torch.testing.assert_close(found.grad_norm, 4 * distance)
    torch.testing.assert_close(found.heat, 4 * (x - 0.25).norm(dim=1))
    assert found.bits.tolist() == pytest.approx([complexity(picture) for picture in u8])
    # Nothing of one picture depends on the others beside it, and measuring needs no luck.
    torch.testing.assert_close(measure(Quadratic(4.0, 0.25), u8[1:2], pixels(3, 4)).energy, found.energy[1:2])


def test_scale_energies_are_measured_as_the_network_gives_them(tiny_net, rng):
    u8 = torch.randint(256, (2, 3, 8, 8), generator=rng, dtype=torch.uint8)
    found = measure(tiny_net, u8, PIXELS)
    torch.testing.assert_close(found.scale_energies, tiny_net.scale_energies((u8 + 0.5) / 256).detach())
    torch.testing.assert_close(found.scale_energies.sum(1), found.energy)
    assert not found.energy.requires_grad


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ValueError, match=r"uint8 \(B, C, H, W\), got torch.float32 of shape \(1, 3, 8, 8\)"):
        measure(Quadratic(), torch.zeros(1, 3, 8, 8), PIXELS)
    with pytest.raises(ValueError, match=r"got torch.uint8 of shape \(3, 8, 8\)"):
        measure(Quadratic(), torch.zeros(3, 8, 8, dtype=torch.uint8), PIXELS)
    with pytest.raises(ValueError, match="not a finite number"):
        measure(Quadratic(precision=math.inf), torch.zeros(1, 3, 8, 8, dtype=torch.uint8), PIXELS)


def test_complexity_is_the_length_of_the_png(rng):
    noise = torch.randint(256, (3, 16, 16), generator=rng, dtype=torch.uint8)
    png = images.encode(images.to_pil(noise), "PNG", optimize=True)
    assert complexity(noise) == 8 * len(png) / 256
    assert complexity(torch.full((3, 16, 16), 7, dtype=torch.uint8)) < complexity(noise) / 5
    assert complexity(noise[:1]) < complexity(noise)


def test_quantiles_median_and_number_are_those_of_the_held_out_energies(to_198):
    assert to_198.data == "0 to 198"
    assert to_198.num == 199
    assert to_198.energy_median == 99
    assert to_198.quantiles["energy"] == pytest.approx([0, *range(199), 198], abs=1e-9)
    assert to_198.quantiles["scale_0"] == pytest.approx([0.25 * v for v in [0, *range(199), 198]], abs=1e-9)
    # |E - 99|: 0 once, every other distance twice.
    assert to_198.quantiles["typicality"] == pytest.approx([*(v // 2 for v in range(200)), 99], abs=1e-9)
    assert list(to_198.quantiles) == [
        "energy",
        "scale_0",
        "scale_1",
        "grad_norm",
        "typicality",
        "complexity",
        "residual",
    ]


def test_the_median_of_an_even_number_lies_between():
    assert calibrate(measured([4.0, 1.0, 2.0, 9.0]), "four").energy_median == 3


def test_percentiles_are_the_share_that_scores_lower(to_198):
    asked = torch.tensor([-5.0, 0.0, 49.0, 49.5, 198.0, 1e9])
    shares = pytest.approx([0, 0, 0.25, 0.2525, 0.995, 1])
    assert to_198.percentile("energy", asked).tolist() == shares
    assert to_198.percentile("scale_0", asked / 4).tolist() == shares


def test_equal_scores_are_not_lower():
    tied = Calibration("tied", 5, 0.0, 0.0, {"energy": (0.0, 0.0, 0.0, 1.0, 1.0), "flat": (3.0, 3.0)})
    asked = torch.tensor([-1.0, 0.0, 0.5, 1.0, 1.5])
    assert tied.percentile("energy", asked).tolist() == [0, 0, 0.625, 0.75, 1]
    assert tied.percentile("flat", torch.tensor([2.0, 3.0, 4.0])).tolist() == [0, 0, 1]


def test_a_threshold_calls_its_share_of_held_out_pictures(to_198):
    assert to_198.threshold("energy", 0.05) == pytest.approx(189)
    assert to_198.threshold("energy", 0.0075) == pytest.approx(197.5)
    energies = torch.arange(199.0)
    for rate in (0.005, 0.1, 0.33, 0.5, 0.995):
        called = (energies > to_198.threshold("energy", rate)).double().mean()
        assert float(called) == pytest.approx(rate, abs=1 / 199)


@pytest.mark.parametrize("name", ["energy", "residual"])
def test_of_few_held_out_pictures_the_rate_is_kept_too(name, rng):
    """Of new pictures one in ten is called, on average over 200 calibrations of 40 pictures each."""
    called = []
    for _ in range(200):
        ways = 1 + torch.randn(60, 4, generator=rng).exp()  # what is left of them has a normal logarithm
        slopes = torch.stack([torch.ones(60, 4), ways, -torch.ones(60, 4)], dim=2)
        found = measured(torch.randn(60, generator=rng))._replace(slopes=slopes)
        held_out, new = (
            Measured(*(None if c is None else c[part] for c in found)) for part in (slice(40), slice(40, 60))
        )
        calibration = calibrate(held_out, "few")
        called.append((scores(new, calibration)[name] > calibration.threshold(name, 0.1)).double().mean())
    assert float(torch.stack(called).mean()) == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("name", ["energy", "grad_norm", "typicality", "complexity"])
def test_the_percentile_of_a_threshold_is_one_less_the_rate_and_verdicts_agree(name, rng):
    draws = torch.randn(3, 500, generator=rng)
    found = measured(draws[0], 5 + draws[1], draws[2].abs())
    calibration = calibrate(found, "normal")
    for rate in (0.001, 0.01, 0.05, 0.21, 0.9):
        threshold = calibration.threshold(name, rate)
        at = torch.tensor([threshold], dtype=torch.float64)
        assert float(calibration.percentile(name, at)) == pytest.approx(1 - rate)
        values = scores(found, calibration)[name]
        assert torch.equal(values > threshold, calibration.percentile(name, values) > 1 - rate)


@pytest.mark.parametrize("rate", [0, 1, -0.1, 1.5, math.nan])
def test_rates_are_between_0_and_1(to_198, rate):
    with pytest.raises(ValueError, match="false-alarm rate must be a number between 0 and 1"):
        to_198.threshold("energy", rate)


def test_a_score_that_was_not_calibrated_is_named(to_198):
    with pytest.raises(ValueError, match="no calibrated score 'scale_7'; there are: energy, scale_0, "):
        to_198.percentile("scale_7", torch.zeros(1))


def test_the_slope_is_that_of_least_squares(rng):
    bits = 10 * torch.rand(50, generator=rng)
    exact = calibrate(measured(2 + 3 * bits, bits), "a line")
    assert exact.bits_slope == pytest.approx(3, rel=1e-5)
    assert exact.quantiles["complexity"] == pytest.approx([2.0] * NUM_QUANTILES, abs=1e-5)
    energy = torch.randn(50, generator=rng)
    slope = np.polyfit(bits.double().numpy(), energy.double().numpy(), 1)[0]
    assert calibrate(measured(energy, bits), "noise").bits_slope == pytest.approx(slope)
    assert calibrate(measured(energy, torch.full((50,), 4.0)), "alike").bits_slope == 0


def test_scores_with_and_without_a_calibration():
    found = measured([1.0, 8.0], [2.0, 3.0], torch.tensor([5.0, 6.0]))
    raw = {"energy": [1, 8], "scale_0": [0.25, 2], "scale_1": [0.75, 6], "grad_norm": [5, 6]}
    assert {name: values.tolist() for name, values in scores(found, None).items()} == raw
    calibration = Calibration("two", 2, energy_median=3.0, bits_slope=0.5, quantiles={"energy": (0.0, 1.0)})
    assert {name: values.tolist() for name, values in scores(found, calibration).items()} == raw | {
        "typicality": [2, 5],
        "complexity": [0, 6.5],
    }
    held_out = replace(calibration, residual=Residual.fit(found.slopes))
    assert scores(found, held_out).keys() - raw.keys() == {"typicality", "complexity", "residual"}


def test_batches_are_joined_in_order(rng):
    u8 = torch.randint(256, (5, 3, 8, 8), generator=rng, dtype=torch.uint8)
    parts = [measure(Quadratic(), part, PIXELS) for part in (u8[:2], u8[2:])]
    for one, other in zip(joined(parts), measure(Quadratic(), u8, PIXELS), strict=True):
        torch.testing.assert_close(one, other) if one is not None else other is None


def test_a_coded_picture_has_what_its_codec_lost(rng):
    space = replace(
        pixels(3, 4),
        shape=(3, 2, 2),
        noise=pixels(3, 2).noise,
        unpack=lambda u8, rng: (u8.float() + 0.5)[:, :, ::2, ::2] / 256,
        decode=lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3),
    )
    u8 = torch.randint(256, (3, 3, 4, 4), generator=rng, dtype=torch.uint8)
    found = measure(Quadratic(), u8, space)
    kept = u8[:, :, ::2, ::2].repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(found.lost, ((u8.float() - kept.float()) / 256).square().flatten(1).mean(1))
    assert measure(Quadratic(), u8, pixels(3, 4)).lost is None
    both = joined([found.part(0), found.part(1), found.part(2)])
    assert torch.equal(both.lost, found.lost)
    assert list(calibrate(found, "coded").quantiles) == [
        "energy",
        "scale_0",
        "grad_norm",
        "reconstruction",
        "typicality",
        "complexity",
        "residual",
    ]


def test_one_picture_is_no_calibration():
    with pytest.raises(ValueError, match="needs two held-out pictures or more, got 1"):
        calibrate(measured([1.0]), "one")


def test_a_calibration_survives_a_model_file(to_198, tiny_net, tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, tiny_net.state_dict(), ModelInfo(TINY, SamplePlan()))
    assert Calibration.from_plain(read_info(path).calibration) is None
    replace_calibration(path, to_198.to_plain())
    assert Calibration.from_plain(read_info(path).calibration) == to_198
    info = load_model(path)[1]
    assert Calibration.from_plain(info.calibration, info.weights) == to_198
    # Converted with their metadata kept, as tools do, the weights are no longer those that were calibrated.
    save_model(path, {name: tensor.bfloat16() for name, tensor in tiny_net.state_dict().items()}, info)
    info = load_model(path)[1]
    with pytest.raises(ValueError, match="is of other weights than it has now; calibrate it again"):
        Calibration.from_plain(info.calibration, info.weights)


def broken(change):
    def break_it(plain):
        change(plain)
        return plain

    return break_it


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (broken(lambda p: p.pop("quantiles")), "it has no 'quantiles'"),
        (broken(lambda p: p.pop("energy_median")), "it has no 'energy_median'"),
        (broken(lambda p: p["quantiles"].pop("energy")), "no quantiles of the energy"),
        (broken(lambda p: p["quantiles"]["energy"].reverse()), "quantiles of 'energy' are not numbers in order"),
        (broken(lambda p: p["quantiles"].update(scale_0=[1.0])), "'scale_0' are not numbers in order"),
        (broken(lambda p: p["quantiles"].update(scale_0=[1.0, math.nan])), "'scale_0' are not numbers in order"),
        (broken(lambda p: p["quantiles"].update(scale_0=[1.0, math.inf])), "'scale_0' are not numbers in order"),
        (broken(lambda p: p["quantiles"].update(scale_0=["a", "b"])), "could not convert string to float"),
        (broken(lambda p: p.update(quantiles=[0.1])), "no attribute 'items'"),
        (broken(lambda p: p.update(energy_median=math.nan)), "not finite"),
        (broken(lambda p: p.update(bits_slope=math.inf)), "not finite"),
        (broken(lambda p: p.update(num=math.inf)), "cannot convert float infinity"),
        (broken(lambda p: p.update(num=1)), "it is of 1 pictures"),
        (lambda p: [p], "must be integers"),
    ],
)
def test_a_damaged_calibration_is_refused_in_a_sentence(to_198, damage, message):
    plain = json.loads(json.dumps(to_198.to_plain()))
    assert Calibration.from_plain(copy.deepcopy(plain)) == to_198
    with pytest.raises(ValueError, match=message) as caught:
        Calibration.from_plain(damage(plain))
    assert str(caught.value).startswith("the model's calibration cannot be read (")
    assert str(caught.value).endswith("; calibrate it again")


def test_slopes_are_measured_only_for_a_residual(rng, to_198):
    u8 = torch.randint(256, (2, 3, 8, 8), generator=rng, dtype=torch.uint8)
    without = measure(Quadratic(), u8, PIXELS, "cpu", needs_of(None, "cpu"))
    assert without.slopes is None
    assert joined([without.part(0), without.part(1)]).slopes is None
    assert torch.equal(without.energy, measure(Quadratic(), u8, PIXELS).energy)
    assert needs_of(to_198, "cpu") == (True, None)
    assert needs_of(replace(to_198, residual=None), "cpu") == needs_of(None, "cpu") == (False, None)
