"""Training with labels: balanced draws, the label's way through both phases, a start from other weights, resume."""

from dataclasses import replace

import pytest
import torch

from ebm_core.attribute import Attribute
from ebm_core.checkpoint import ModelInfo, read_info, save_model
from ebm_core.nets import EnergyNetwork
from ebm_core.space import SpaceConfig, pixels
from tests.conftest import CONDITIONAL_TINY, PIXELS, TINY
from tests.train.conftest import CONFIG
from train.batch import Batch, Labels, TrainingData, read_labels
from train.config import TrainConfig
from train.export import export_run
from train.loop import fit
from train.losses import pair_by_transport
from train.replay import ReplayBuffer
from train.start import start_from
from train.step import matching_step
from train.trainer import Trainer
from train.views import ViewsConfig

BRIGHT = Attribute("bright", "binary", ("bright",), ("dark", "bright"))
NONE = ViewsConfig()
CONDITIONAL = replace(CONFIG, net=CONDITIONAL_TINY, attribute=BRIGHT, family="tiny")


@pytest.fixture
def labels():
    """One in eight is bright."""
    return read_labels([{"bright": int(i % 8 == 0)} for i in range(32)], BRIGHT)


def labelled(vectors):
    """Labels of pictures that all show the attribute."""
    return Labels(vectors, torch.ones(len(vectors), dtype=torch.bool))


def training(images, labels, *, mirror=False, looks=NONE, **options):
    return TrainingData(images, labels, PIXELS, mirror=mirror, looks=looks, device="cpu", **options)


def test_balanced_draws_have_rare_labels_as_often(data, labels, rng):
    plain = training(data, labels).draw(4000, rng)
    even = training(data, labels, balanced=True).draw(4000, rng)
    assert plain.y[:, 1].mean() == pytest.approx(1 / 8, abs=0.02)
    assert even.y[:, 1].mean() == pytest.approx(1 / 2, abs=0.03)


def test_pictures_that_show_the_attribute_are_drawn_in_the_share_that_is_said(data, rng):
    turn = Attribute("turn", "angle", ("theta",), seen_on=("kind", "ring"))
    labels = read_labels([{"kind": "ring" if i % 8 == 0 else "disc", "theta": i / 8} for i in range(32)], turn)
    assert labels.seen.tolist() == [i % 8 == 0 for i in range(32)]
    rings = {tuple(vector) for vector in labels.vectors[labels.seen].tolist()}

    def share(part):
        drawn = training(data, labels, seen_share=part, mirror=True).draw(4000, rng).y.tolist()
        return sum(tuple(vector) in rings for vector in drawn) / len(drawn)

    assert [share(part) for part in (0.0, 0.7, 1.0)] == pytest.approx([1 / 8, 0.7, 1.0], abs=0.03)


def test_the_kind_that_shows_an_attribute_may_be_a_number():
    turn = Attribute("turn", "angle", ("theta",), seen_on=("kind", "2"))
    assert read_labels([{"kind": kind, "theta": 0.0} for kind in (1, 2, "2")], turn).seen.tolist() == [0, 1, 1]


def test_a_share_of_what_no_picture_shows_is_refused(data, labels):
    nowhere = labels._replace(seen=torch.zeros(32, dtype=torch.bool))
    with pytest.raises(ValueError, match="no picture shows the attribute"):
        training(data, nowhere, seen_share=0.5)
    with pytest.raises(ValueError, match="'seen_share' needs an attribute with 'seen_on'"):
        replace(CONDITIONAL, seen_share=0.5)


def test_seen_share_changes_the_run(data, labels):
    config = replace(CONDITIONAL, attribute=replace(BRIGHT, seen_on=("kind", "ring")))
    labels = labels._replace(seen=torch.arange(32) < 4)

    def trained(config):
        trainer = Trainer(config, data, "cpu", labels=labels)
        trainer.step()
        return torch.cat([p.flatten() for p in trainer.net.parameters()])

    assert not torch.equal(trained(config), trained(replace(config, seen_share=0.9)))


def test_draws_keep_image_and_label_together(rng):
    images = torch.arange(32, dtype=torch.uint8)[:, None, None, None].expand(32, 3, 8, 8).contiguous() * 8
    labels = labelled(torch.arange(32.0)[:, None])
    for balanced in (False, True):
        batch = training(images, labels, balanced=balanced).draw(50, rng)
        torch.testing.assert_close((batch.x[:, 0, 0, 0] * 256 / 8).floor(), batch.y[:, 0])


def test_mirror_images_have_the_labels_of_their_pictures(data, labels):
    both = training(data, labels, mirror=True)
    assert len(both) == 64
    assert torch.equal(both.packed, torch.cat([data, data.flip(3)]))
    assert torch.equal(both.labels, torch.cat([labels.vectors, labels.vectors]))
    assert training(data, None, mirror=True).labels is None


def test_labels_of_a_sheet_show_each_value(data, labels):
    sheet = training(data, labels).label_sheet(4)
    assert sheet.tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]
    many = training(data, labelled(torch.arange(32.0)[:, None])).label_sheet(3)
    assert many.tolist() == [[0], [1], [2]]


@pytest.mark.parametrize(
    ("labels", "balanced", "message"),
    [(None, True, "no labels to balance"), (labelled(torch.zeros(3, 2)), False, "3 labels")],
)
def test_impossible_data_are_refused(data, labels, balanced, message):
    with pytest.raises(ValueError, match=message):
        training(data, labels, balanced=balanced)


def test_only_equal_labels_change_places():
    x = torch.tensor([0.0, 0.1, 0.9, 1.0])[:, None, None, None]
    source = torch.tensor([1.0, 0.9, 0.1, 0.0])[:, None, None, None]
    y = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    assert pair_by_transport(source, x).flatten().tolist() == pytest.approx([1.0, 0.9, 0.1, 0.0])
    assert pair_by_transport(source, x, y).flatten().tolist() == pytest.approx([0.1, 0.0, 1.0, 0.9])


@pytest.mark.parametrize("width", [1, 2, 4])
def test_pairing_keeps_labels_that_are_all_different(width, rng):
    # Angles and places: of more than 25 rows ``torch.cdist`` finds some at a distance from themselves.
    labels = torch.randn(256, width, generator=rng)
    labels = labels / labels.norm(dim=1, keepdim=True) if width > 1 else labels
    x = torch.rand(256, 1, 2, 2, generator=rng)
    assert torch.equal(pair_by_transport(torch.rand(256, 1, 2, 2, generator=rng), x, labels), x)


@pytest.mark.parametrize(("name", "value"), [("label_weight", 0.5), ("label_sharpness", 1.0)])
def test_telling_labels_apart_is_a_term_of_its_own(name, value, data, labels):
    base = replace(CONDITIONAL, matching=replace(CONDITIONAL.matching, label_weight=0.1))
    changed = replace(base, matching=replace(base.matching, **{name: value}))

    def output(config):
        net = EnergyNetwork(CONDITIONAL_TINY)
        for scale, tensor in enumerate(net.parameters()):
            torch.nn.init.normal_(tensor, std=0.3, generator=torch.Generator().manual_seed(scale))
        rng = torch.Generator().manual_seed(1)
        return matching_step(net, training(data, labels, balanced=True).draw(8, rng), config, rng, PIXELS)

    assert "labels" not in output(CONDITIONAL).terms
    one, other = output(base), output(changed)
    assert one.terms["matching"] == other.terms["matching"]
    assert one.terms["labels"] != other.terms["labels"]


def test_the_buffer_keeps_labels_with_images(rng):
    buffer = ReplayBuffer(7, pixels(1, 2), "reservoir", "cpu", label_dim=1)
    for first in range(0, 40, 4):
        values = torch.arange(first, first + 4.0)[:, None]
        buffer.add(Batch((values / 64)[:, :, None, None].expand(4, 1, 2, 2), values), rng)
    drawn = buffer.draw(50, rng)
    torch.testing.assert_close((drawn.x[:, 0, 0, 0] * 64).floor(), drawn.y[:, 0])


@pytest.mark.parametrize("phase", ["warm_start", "icd"])
def test_labels_matter_in_both_phases(phase, data, labels):
    """The label layers start at zero; training moves them, and other labels give other weights."""
    iterations = {"warm_start": (3, 0), "icd": (0, 3)}[phase]
    config = replace(
        CONDITIONAL,
        warm_start=replace(CONFIG.warm_start, iterations=iterations[0]),
        icd=replace(CONFIG.icd, iterations=iterations[1], matching_weight=0.0),
    )

    def trained(labels):
        trainer = Trainer(config, data, "cpu", labels=labels)
        for _ in range(3):
            trainer.step()
        return torch.cat([p.flatten() for n, p in trainer.net.named_parameters() if ".labels." in n])

    own = trained(labels)
    assert own.abs().max() > 0
    assert not torch.equal(own, trained(labels._replace(vectors=labels.vectors.flip(1))))


def test_balanced_changes_the_run(data, labels):
    def trained(config):
        trainer = Trainer(config, data, "cpu", labels=labels)
        trainer.step()
        return torch.cat([p.flatten() for p in trainer.net.parameters()])

    assert not torch.equal(trained(CONDITIONAL), trained(replace(CONDITIONAL, balanced=True)))


def test_resume_is_bit_for_bit(data, labels, tmp_path):
    def run(config, name, **options):
        return fit(
            config, data, tmp_path / name, minutes=None, device="cpu", labels=labels, **{"resume": False} | options
        )

    whole = run(CONDITIONAL, "whole")
    half = replace(CONDITIONAL, icd=replace(CONFIG.icd, iterations=1))
    run(half, "parts")
    parts = run(CONDITIONAL, "parts", resume=True)
    for a, b in zip(whole.net.state_dict().values(), parts.net.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(whole.buffer.labels, parts.buffer.labels)


def test_export_says_what_the_labels_mean(data, labels, tmp_path):
    fit(CONDITIONAL, data, tmp_path / "run", resume=False, minutes=None, device="cpu", labels=labels)
    info = read_info(export_run(tmp_path / "run", tmp_path / "model.safetensors"))
    assert (info.family, info.attribute) == ("tiny", BRIGHT)


def test_a_conditional_model_starts_as_the_unconditional_one(tmp_path, tiny_net):
    path = tmp_path / "model.safetensors"
    save_model(path, tiny_net.state_dict(), ModelInfo(TINY, CONFIG.plan))
    net = Trainer(
        replace(CONDITIONAL, start_from=str(path)),
        torch.zeros(4, 3, 8, 8, dtype=torch.uint8),
        "cpu",
        labels=labelled(torch.eye(2).repeat(2, 1)),
    ).net
    x = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(net(x, torch.eye(2)), tiny_net(x))


def test_a_start_from_another_kind_of_attention_is_named(tmp_path, tiny_net, caplog):
    path = tmp_path / "model.safetensors"
    save_model(path, tiny_net.state_dict(), ModelInfo(TINY, CONFIG.plan))
    start_from(EnergyNetwork(TINY), str(path), SpaceConfig())
    assert not caplog.messages
    start_from(EnergyNetwork(replace(TINY, attention_kind="cosine")), str(path), SpaceConfig())
    assert "was trained with attention_kind = 'dot'; its weights are taken" in caplog.text


def test_a_start_from_another_network_is_refused(tmp_path, tiny_net):
    path = tmp_path / "model.safetensors"
    save_model(path, tiny_net.state_dict(), ModelInfo(TINY, CONFIG.plan))
    with pytest.raises(ValueError, match=r"is not the same in both; give the config that model's own \[net\]"):
        start_from(EnergyNetwork(replace(TINY, width=16)), str(path), SpaceConfig())


def test_label_length_must_fit():
    with pytest.raises(ValueError, match="label_dim is 0, but with attribute 'bright' it must be 2"):
        TrainConfig(CONFIG.data, TINY, attribute=BRIGHT)
    with pytest.raises(ValueError, match="with no attribute it must be 0"):
        TrainConfig(CONFIG.data, CONDITIONAL_TINY)
