"""The joint score against what is worked out by hand, and its file beside a model."""

import errno
import json
import tempfile
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from ebm_core import calibration as calibrations
from ebm_core.calibration import Calibration, open_calibration, save_calibration
from ebm_core.checkpoint import CheckpointError, ModelInfo, load_model, save_model
from ebm_core.files import FileError
from ebm_core.held_out import without_itself
from ebm_core.hub import belongings, calibration_file
from ebm_core.joint import COMPARED, LEAST, METADATA_KEY, Joint, load_joint
from ebm_core.ood import Measured, calibrate, joined, measure, needs_of, scores
from ebm_core.sampling import SamplePlan
from tests.conftest import PIXELS, TINY, Quadratic


@pytest.fixture(autouse=True)
def two_depths(monkeypatch):
    monkeypatch.setattr("ebm_core.ood.DEPTHS", (4, 8))


def measured(num, rng, shift=0.0):
    """Features of two depths that fill half of their dimensions; everything else is independent of them."""
    spread = torch.tensor([5.0, 3.0, 0.1, 0.1] + [5.0, 4.0, 3.0, 2.0] + [0.1] * 4)
    features = spread * torch.randn(num, 12, generator=rng) + shift * torch.eye(12)[11]
    energy = torch.randn(num, generator=rng)
    slopes = torch.rand(num, 4, 3, generator=rng) + torch.tensor([1.0, 4.0, -1.0])
    grad_norm = torch.rand(num, generator=rng) + 0.5
    return Measured(energy, energy[:, None], grad_norm, torch.zeros(num, 0, 1), energy.abs(), slopes, features)


@pytest.fixture
def held_out(rng):
    return measured(600, rng)


@pytest.fixture
def calibration(held_out):
    return calibrate(held_out, "made up")


@pytest.fixture
def model(tiny_net, tmp_path, monkeypatch):
    monkeypatch.setattr(calibrations.features, "are_installed", lambda: True)
    path = tmp_path / "tiny" / "model.safetensors"
    save_model(path, tiny_net.state_dict(), ModelInfo(TINY, SamplePlan()))
    return path


def opened(path):
    return open_calibration(path, load_model(path)[1])


def test_the_score_is_the_mahalanobis_distance_of_its_numbers(held_out, calibration):
    joint = calibration.joint
    parts = []
    for depth, part in zip(joint.depths, held_out.features.double().split([4, 8], dim=1), strict=True):
        fitted = part[::2]
        half = part.shape[1] // 2
        values, vectors = torch.linalg.eigh(torch.cov(fitted.T))
        axes = depth.axes.double()
        assert torch.equal((axes.T @ vectors[:, half:].flip(1)).abs().round(decimals=2), torch.eye(half).double())
        apart = part - fitted.mean(0)
        along = apart @ axes
        parts += [(along.square() / values[half:].flip(0)).sum(1), (apart - along @ axes.T).square().sum(1)]
    numbers = torch.cat(
        [
            calibration.residual.logs(held_out.slopes),
            *(part.log()[:, None] for part in parts),
        ],
        dim=1,
    )
    compared = numbers[COMPARED]
    apart = numbers - compared.mean(0)
    expected = ((apart @ torch.cov(compared.T).inverse()) * apart).sum(1)
    values = scores(held_out, calibration)["joint"]
    torch.testing.assert_close(values, expected, rtol=2e-3, atol=2e-3)
    assert float(values[COMPARED].mean()) == pytest.approx(8 * 299 / 300, rel=1e-3)  # of any Gaussian fit


def test_its_quantiles_are_of_pictures_that_the_components_do_not_know(rng, held_out, calibration):
    values = without_itself(scores(held_out, calibration)["joint"][COMPARED])
    middle = calibration.quantiles["joint"][len(calibration.quantiles["joint"]) // 2]
    assert middle == pytest.approx(float(values.quantile(0.5)))
    others = scores(measured(2000, rng), calibration)["joint"]
    called = (others > calibration.threshold("joint", 0.1)).double().mean()
    assert float(called) == pytest.approx(0.1, abs=0.04)


def test_a_picture_is_not_compared_with_itself(rng):
    x = torch.randn(30, 3, generator=rng, dtype=torch.float64)
    apart = x - x.mean(0)
    inside = ((apart @ torch.cov(x.T).inverse()) * apart).sum(1)
    rest, own = x[1:], x[0] - x[1:].mean(0)
    expected = float(own @ torch.cov(rest.T).inverse() @ own)
    assert float(without_itself(inside)[0]) == pytest.approx(expected)


def test_it_tells_what_one_feature_alone_does(rng, calibration):
    strange = scores(measured(50, rng, shift=2.0), calibration)
    assert (calibration.percentile("joint", strange["joint"]) > 0.95).all()
    assert (calibration.percentile("residual", strange["residual"]) > 0.95).double().mean() < 0.2


def test_it_judges_where_it_is(calibration):
    assert calibration.judge == "joint"
    assert replace(calibration, joint=None).judge == "energy"
    assert calibration._without_joint("lost").judge == "energy"


def test_too_few_pictures_or_no_features_make_none(rng):
    assert calibrate(measured(LEAST - 1, rng), "few").joint is None
    without = calibrate(measured(LEAST, rng)._replace(features=None), "none")
    assert (without.joint, without.joint_digest, "joint" in without.quantiles) == (None, "", False)


def test_numbers_that_never_vary_have_a_score(rng):
    alike = measured(LEAST, rng)._replace(energy=torch.zeros(LEAST), grad_norm=torch.zeros(LEAST))
    assert torch.isfinite(scores(alike, calibrate(alike, "alike"))["joint"]).all()


def test_features_are_measured_of_pictures_in_colour(rng, calibration, monkeypatch):
    monkeypatch.setattr("ebm_core.ood.shared_features", lambda device: lambda x: x.mean(dim=(2, 3)))
    u8 = torch.randint(256, (3, 3, 8, 8), generator=rng, dtype=torch.uint8)
    found = measure(Quadratic(), u8, PIXELS, "cpu", needs_of(calibration, "cpu"))
    torch.testing.assert_close(found.features, ((u8 + 0.5) / 256).mean(dim=(2, 3)))
    assert torch.equal(joined([found.part(0), found.part(1), found.part(2)]).features, found.features)


# --- files ---


def test_it_lies_beside_its_model_and_belongs_to_it(held_out, calibration, model):
    save_calibration(model, calibration)
    assert [*belongings(model)] == ["model.safetensors", "calibration.safetensors"]
    again = opened(model)
    assert (again.note, again.quantiles) == ("", calibration.quantiles)
    assert torch.equal(scores(held_out, again)["joint"], scores(held_out, calibration)["joint"])
    loose = model.with_name("loose.safetensors")
    loose.write_bytes(model.read_bytes())
    save_calibration(loose, calibration)
    assert calibration_file(loose).name == "loose.calibration.safetensors"
    assert opened(loose).joint is not None
    # Calibrated without it, nothing of it is left.
    save_calibration(model, calibrate(measured(3, torch.Generator()), "three"))
    assert [*belongings(model)] == ["model.safetensors"]
    assert not calibration_file(model).exists()


@pytest.mark.parametrize("full_for", ["model.safetensors", "calibration.safetensors"])
def test_a_disk_that_fills_leaves_the_old_calibration_whole(held_out, calibration, model, monkeypatch, rng, full_for):
    save_calibration(model, calibration)
    before = {path.name: path.read_bytes() for path in model.parent.iterdir()}
    other = calibrate(measured(LEAST, rng), "others")
    assert other.joint.digest != calibration.joint.digest
    mkstemp = tempfile.mkstemp

    def full(*args, prefix, **options):
        if prefix == full_for:
            raise OSError(errno.ENOSPC, "No space left on device")
        return mkstemp(*args, prefix=prefix, **options)

    monkeypatch.setattr(tempfile, "mkstemp", full)
    with pytest.raises(FileError, match="No space left on device; free some space"):
        save_calibration(model, other)
    assert {path.name: path.read_bytes() for path in model.parent.iterdir()} == before
    assert opened(model).joint is not None


def missing(path, monkeypatch):
    path.unlink()


def cut_off(path, monkeypatch):
    path.write_bytes(path.read_bytes()[:1000])


def foreign(path, monkeypatch):
    tensors = load_file(path)
    metadata = {METADATA_KEY: json.dumps({"format_version": 2, "depths": [4, 8], "numbers": 4})}
    save_file(tensors | {"mean": tensors["mean"] + 1}, path, metadata)


def without_features(path, monkeypatch):
    monkeypatch.setattr(calibrations.features, "are_installed", lambda: False)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (missing, "calibration.safetensors is missing; calibrate the model again, or fetch the whole of it"),
        (cut_off, "is no safetensors file that can be used"),
        (foreign, "is of another calibration than .* has; calibrate the model again"),
        (without_features, r"its features are not installed: pip install 'ebm-studio\[features\]'"),
    ],
)
def test_without_its_file_the_other_scores_are_there(held_out, calibration, model, monkeypatch, harm, reason):
    save_calibration(model, calibration)
    harm(calibration_file(model), monkeypatch)
    left = opened(model)
    assert left.quantiles.keys() == calibration.quantiles.keys() - {"joint"}
    assert "joint" not in scores(held_out, left)
    with pytest.raises(ValueError, match=f"^there is no joint score: .*{reason}"):
        left.threshold("joint", 0.05)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"format_version": 3}, "has format version 3, this program reads 2; update ebm-studio"),
        ({"format_version": 1}, "has format version 1, this program reads 2; calibrate the model again"),
        ({"depths": [4, 10**12]}, "its metadata cannot be read"),
        ({"depths": 4}, "its metadata cannot be read"),
        ({"depths": [0, 12]}, "its metadata cannot be read"),
        ({"numbers": "many"}, "its metadata cannot be read"),
        ({"numbers": 5}, r"'mean' has shape \(8,\), its configuration asks for \(9,\)"),
        ({"depths": [4, 8, 2]}, "tensor 'depths.2.axes' is missing"),
    ],
)
def test_a_hostile_file_is_one_sentence(calibration, tmp_path, content, message):
    path = tmp_path / "calibration.safetensors"
    path.write_bytes(calibration.joint.to_bytes())
    sizes = {"format_version": 2, "depths": [4, 8], "numbers": 4}
    save_file(load_file(path), path, {METADATA_KEY: json.dumps(sizes | content)})
    with pytest.raises(CheckpointError, match=message):
        load_joint(path)
    save_file(load_file(path), path, {METADATA_KEY: "[]"})
    with pytest.raises(CheckpointError, match="its metadata cannot be read"):
        load_joint(path)


def test_components_are_stored_in_half_the_bytes_and_lose_nothing(calibration, tmp_path):
    path = tmp_path / "calibration.safetensors"
    path.write_bytes(calibration.joint.to_bytes())
    assert load_file(path)["depths.1.axes"].dtype == torch.float16
    again = load_joint(path)
    assert again.digest == calibration.joint.digest
    assert isinstance(again, Joint)
    for name, tensor in calibration.joint.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    plain = json.loads(json.dumps(calibration.to_plain()))
    assert Calibration.from_plain(plain).joint_digest == again.digest
