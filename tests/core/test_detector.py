"""A detector of one's own pictures: its energies against known answers, its choice, its file, and bad input."""

import json
import math

import pytest
import torch
from safetensors.torch import save

from ebm_core.checkpoint import CheckpointError
from ebm_core.config import to_dict
from ebm_core.detector import model as models
from ebm_core.detector import synthetic
from ebm_core.detector.card import card
from ebm_core.detector.choice import auroc, compare, false_alarms
from ebm_core.detector.contrastive import ContrastiveConfig, train
from ebm_core.detector.methods import ENERGY, METHODS, BentGaussian, Mahalanobis, Neighbours, farthest
from ebm_core.detector.model import load_detector
from ebm_core.detector.points import Whitening, point_space
from ebm_core.held_out import held_out_quantile
from tests.detectors import OPTIONS, Colours, fitted, normal, picture, png, write_zip


@pytest.fixture
def colours(monkeypatch):
    """Mean colours are the features."""
    monkeypatch.setattr("ebm_core.detector.points.Activations", Colours)
    models.shared_extractor.cache_clear()
    yield
    models.shared_extractor.cache_clear()


# --- energies ---


def test_whitened_points_have_no_correlation_and_unit_variance(rng):
    x = torch.randn(4000, 5, generator=rng) @ torch.randn(5, 5, generator=rng) + 7
    points = Whitening.fit(x, 3)(x)
    assert points.shape == (4000, 4)
    assert points.mean(dim=0).abs().max() < 1e-3
    covariance = points.T @ points / 4000
    torch.testing.assert_close(covariance[:3, :3], torch.eye(3), atol=5e-3, rtol=0)
    assert float(covariance[3, 3]) == pytest.approx(1, rel=1e-2)


def test_few_pictures_are_whitened_as_many_are(rng):
    x = torch.randn(12, 40, generator=rng)
    whitening = Whitening.fit(x, 100)
    assert whitening.dim == 7  # half as many components as pictures, and the rest
    torch.testing.assert_close(whitening(x)[:, :6].square().mean(dim=0), torch.ones(6), atol=1e-4, rtol=0)


def test_what_leaves_the_plane_of_normal_features_is_far_away(rng):
    plane = torch.randn(3, 10, generator=rng)
    x = torch.randn(500, 3, generator=rng) @ plane + 0.01 * torch.randn(500, 10, generator=rng)
    whitening, energy = Whitening.fit(x, 3), Mahalanobis()
    outside = x[:50] + 0.5 * torch.randn(50, 10, generator=rng)
    assert energy(whitening(outside)).min() > energy(whitening(x)).quantile(0.95)


def test_mahalanobis_and_neighbours_are_distances():
    points = torch.tensor([[0.0, 0.0], [3.0, 4.0], [8.0, 0.0]])
    assert Mahalanobis()(points).tolist() == [0, 12.5, 32]
    bank = Neighbours.of(points)
    torch.testing.assert_close(bank(torch.tensor([[0.0, 1.0], [8.0, 6.0]])), torch.tensor([1.0, math.sqrt(29)]))


def test_a_bank_is_of_points_far_apart(rng):
    x = torch.cat([torch.zeros(50, 2), torch.tensor([[9.0, 0.0], [0.0, 9.0], [9.0, 9.0]])])
    x += 0.01 * torch.randn(x.shape, generator=rng)
    chosen = list(farthest(x, 4, rng))
    assert set(chosen) > {50, 51, 52}
    assert list(farthest(x, 60, rng)) == list(range(53))


def test_contrastive_divergence_bends_a_gaussian_to_two_heaps(rng):
    heaps = torch.randn(400, 2, generator=rng) * 0.2
    heaps[:200, 0] += 1.0
    heaps[200:, 0] -= 1.0
    net = BentGaussian(2, 32, rng)
    between, heap = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    assert net(between) < net(heap)  # as a Gaussian has it
    whitening = Whitening(2, 1)
    config = ContrastiveConfig(iterations=60, batch=128, width=32, lr=1e-2)
    assert list(train(net, heaps, point_space(whitening), config, rng)) == list(range(1, 61))
    assert net(between) > net(heap) + 0.5
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_points_of_features_are_no_pictures():
    space = point_space(Whitening(5, 2))
    assert space.shape == (3, 1, 1)
    with pytest.raises(ValueError, match="no picture comes back"):
        space.decode(torch.zeros(1, 3, 1, 1))


# --- faults, and the choice among methods ---


def test_faults_are_made_of_the_pictures_themselves(rng):
    u8 = torch.stack([picture(number, size=32) for number in range(6)])
    made = {kind: make(u8, rng) for kind, make in synthetic.KINDS.items()}
    assert all(pictures.shape == u8.shape and pictures.dtype == torch.uint8 for pictures in made.values())
    assert torch.equal(made["turned"][0], u8[0].rot90(1, (1, 2)))
    assert torch.equal(made["turned"][1], u8[1].rot90(3, (1, 2)))
    assert all(torch.equal(a.flatten().sort()[0], b.flatten().sort()[0]) for a, b in zip(made["jigsaw"], u8))
    for kind, (_, most) in {"scar": synthetic.SCAR, "paste": synthetic.PASTE}.items():
        changed = (made[kind] != u8).any(dim=1).float().mean(dim=(1, 2))
        assert 0 < changed.max() <= most + 16 / 32**2  # no side is below two pixels
    assert not any(torch.equal(a, b) for pictures in made.values() for a, b in zip(pictures, u8))


def test_auroc_counts_pairs_and_ties_half():
    assert auroc(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([3.0, 9.0])) == pytest.approx(5.5 / 6)
    assert auroc(torch.tensor([2.0]), torch.tensor([1.0])) == 0


def test_the_best_method_is_that_of_the_highest_mean():
    inside = dict.fromkeys(METHODS, torch.tensor([0.0, 1.0]))
    outside = {name: {"a": torch.tensor([2.0, place]), "b": torch.tensor([2.0])} for place, name in enumerate(METHODS)}
    comparison = compare(inside, outside)
    assert comparison.auroc[METHODS[0]] == {"a": pytest.approx(0.625), "b": 1}
    assert comparison.best == METHODS[2]


def test_a_threshold_keeps_its_promise_with_few_pictures(rng):
    shares = torch.tensor([0.0, 0.25, 0.5, 0.9, 1.0], dtype=torch.float64)
    assert held_out_quantile(torch.tensor([3.0, 1.0, 2.0]), shares).tolist() == [1, 1, 2, 3, 3]
    held_out, new = torch.rand(2000, 19, generator=rng), torch.rand(2000, generator=rng)
    alarms = [float(n > held_out_quantile(h, shares[3])) for h, n in zip(held_out, new)]
    assert sum(alarms) / 2000 == pytest.approx(0.1, abs=0.02)


def test_false_alarms_are_counted_by_the_threshold_of_the_other_half():
    scores = torch.arange(100.0)
    scores[::2] += 50  # of the even ones so many are above the threshold of the odd ones
    above, num = false_alarms(scores, 0.1)
    assert num == 100
    assert above == 29  # of 50, 52, ..., 148 those above 90.8; of 1, 3, ..., 99 none


# --- from pictures to a detector and its file ---


def test_a_detector_knows_what_does_not_belong_and_where(colours, tmp_path):
    seen, fit = fitted(write_zip(tmp_path / "normal.zip", normal(40)))
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert seen[-1].done == pytest.approx(1, abs=0.02)
    detector = fit.detector
    assert (fit.account.num, fit.comparison.num) == (40, 8)
    odd = picture(50, size=64)
    odd[:, 40:56, 8:24] = torch.tensor([255, 0, 0], dtype=torch.uint8)[:, None, None]
    judged = detector.judge(torch.stack([picture(51, size=64), odd]))
    for name in METHODS:
        usual, unusual = judged.scores[name].tolist()
        assert usual < detector.calibration.threshold(name, 0.01) < unusual
    assert judged.places.shape == (2, 8, 8)
    row, column = divmod(int(judged.places[1].argmax()), 8)
    assert (5 <= row <= 6, 1 <= column <= 2) == (True, True)


def test_a_file_gives_the_same_scores_and_says_what_it_is(colours, tmp_path):
    _, fit = fitted(write_zip(tmp_path / "normal.zip", normal(25)))
    path = tmp_path / "mine" / "detector.safetensors"
    fit.detector.save(path)
    again = load_detector(path)
    u8 = torch.stack([picture(70, size=64), picture(71, mean=200.0, size=64)])
    for name, scores in fit.detector.judge(u8).scores.items():
        assert torch.equal(again.judge(u8).scores[name], scores)
    assert again.info == fit.detector.info
    text = card(again, "mine")
    assert "5 held-out pictures of 25" in text
    assert ("the learned energy is not the best here" in text) == (again.info.method != ENERGY)
    assert "promise no rate below 17%: add pictures" in text

    for damage, message in [
        (lambda data: data[: len(data) // 2], "cut off"),
        (lambda data: data.replace(b'format_version\\": 1', b'format_version\\": 7'), "format version 7"),
        (lambda data: data.replace(b'\\"method\\"', b'\\"mothed\\"'), "its metadata cannot be read"),
    ]:
        path.write_bytes(damage(fit.detector.to_bytes()))
        with pytest.raises(CheckpointError, match=message):
            load_detector(path)


def test_a_file_that_only_claims_to_be_large_costs_no_memory(colours, tmp_path, monkeypatch):
    _, fit = fitted(write_zip(tmp_path / "normal.zip", normal(20)))
    content = json.loads(json.dumps(to_dict(fit.detector.info))) | {"format_version": models.FORMAT_VERSION}
    path, devices, build = tmp_path / "claims.safetensors", [], models.DetectorNetwork.of

    def claims(num):
        content["config"]["whole"] |= dict.fromkeys(("features", "components", "bank", "width"), num)
        path.write_bytes(save({"joins": torch.ones(1)}, {models.METADATA_KEY: json.dumps(content)}))

    monkeypatch.setattr(models.DetectorNetwork, "of", lambda c: devices.append(torch.ones(1).device.type) or build(c))
    claims(2**13)
    with pytest.raises(CheckpointError, match="tensor 'joins' has shape"):
        load_detector(path)
    assert devices == ["meta"]
    claims(2**13 + 1)
    with pytest.raises(CheckpointError, match="features must be a whole number from 1 to 8192, got 8193"):
        load_detector(path)
    fit.detector.save(path)
    assert not any(parameter.requires_grad for parameter in load_detector(path).net.parameters())


def test_the_same_pictures_and_seed_make_the_same_detector(colours, tmp_path):
    path = write_zip(tmp_path / "normal.zip", normal(20))
    assert fitted(path)[1].detector.to_bytes() == fitted(path)[1].detector.to_bytes()


def test_whoever_closes_the_generator_stops_it(colours, tmp_path):
    from ebm_core.detector.fit import fit
    from ebm_core.picture_files import open_files
    from ebm_core.pictures import Limits

    with open_files(write_zip(tmp_path / "normal.zip", normal(40)), Limits()) as files:
        steps = fit(files, OPTIONS, {})
        assert next(steps).doing == "reading the pictures"
        steps.close()
        assert list(steps) == []


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (normal(19), "needs 20 different normal pictures or more, better 50, and there are 19; add pictures"),
        (
            {f"{number}.png": png(picture(0)) for number in range(60)},
            r"there are 1 \(59 are copies of others\)",
        ),
        (
            normal(19) | {"broken.png": b"nothing", "copy.png": png(picture(3))},
            r"there are 19 \(1 could not be read, 1 are copies of others\)",
        ),
    ],
)
def test_too_few_different_pictures_are_refused_in_a_sentence(colours, tmp_path, files, message):
    with pytest.raises(ValueError, match=message):
        fitted(write_zip(tmp_path / "few.zip", files))


def test_what_can_be_read_is_used_and_the_rest_is_accounted_for(colours, tmp_path):
    files = normal(20) | {
        "broken.png": b"nothing",
        "copy.png": png(picture(3)),
        "wide.png": png(torch.cat([picture(90), picture(91)], dim=2)),
        "large.png": png(picture(92, size=300)),
    }
    _, fit = fitted(write_zip(tmp_path / "mixed.zip", files))
    said = fit.detector.info.account
    assert fit.account.num == 22
    assert said[0].startswith("not read: broken.png: this is not an image")
    assert said[1:] == (
        "copies of others, which count once: 1",
        "enlarged: 21 of 22 pictures",
        "only the centre square: 1 of 22 pictures",
        "reduced: 1 of 22 pictures",
    )


def test_the_pretrained_features_serve(tmp_path):
    pytest.importorskip("efficientnet_lite_pytorch")
    _, fit = fitted(write_zip(tmp_path / "normal.zip", normal(20)))
    striped = picture(30, size=64)
    striped[:, :, ::4] = 255
    scores = fit.detector.judge(torch.stack([picture(31, size=64), striped])).scores
    assert all(usual < unusual for usual, unusual in (row.tolist() for row in scores.values()))
