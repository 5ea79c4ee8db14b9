"""Compositions evaluated: what is asked for, drawn, and how it is judged."""

import json
from dataclasses import replace

import pytest
import torch

from ebm_core.attribute import Attribute
from ebm_core.checkpoint import ModelInfo, save_model
from ebm_core.classifier import CLASSIFIER_FILE, Classifier, ClassifierConfig, save_classifier
from ebm_core.compose import Product, conditioned
from ebm_core.composition import energy_of_each
from ebm_core.device import default_device
from ebm_core.family import Ask, Family
from ebm_core.family import compose as page_compose
from ebm_core.images import quantise
from ebm_core.level import Reference
from ebm_core.nets import EnergyNetwork
from ebm_core.sampling import sample
from tests.app.conftest import ATTRIBUTES, PLAN, save_tiny_family
from tests.conftest import PIXELS, TINY
from tests.train.conftest import Pixels, write_zip
from train.__main__ import main
from train.evaluate import asked, features
from train.evaluate.asking import Asked, Case, cases, in_order, not_cases, or_cases
from train.evaluate.composed import load_family
from train.evaluate.predictions import accuracies, balanced, has_asked, has_terms, predictions, shares

BRIGHT = Attribute("bright", "binary", ("Bright",), ("dark", "bright"))


def test_cases_ask_alone_and_together():
    kind = ATTRIBUTES["kind"]
    labels = {"bright": torch.eye(2)[torch.tensor([0, 0, 1])], "kind": torch.eye(3)}
    nothing, bright, kinds, both = cases({"bright": BRIGHT, "kind": kind}, ["bright", "kind"], labels, 4)
    assert nothing.labels == {}
    assert bright.labels["bright"].tolist() == [[0, 1], [1, 0], [0, 1], [1, 0]]  # both values take turns
    assert torch.equal(kinds.labels["kind"], torch.eye(3)[[0, 1, 2, 0]])  # those of the test pictures
    assert both.name == "bright & kind"
    assert both.labels["bright"].tolist() == [[0, 1]] * 4


def test_samples_of_a_case_are_those_of_the_summed_energies(tmp_path):
    save_tiny_family(tmp_path)
    models = load_family("tiny", tmp_path, "cpu")
    labels = {"bright": torch.eye(2)[[0, 1]], "kind": torch.eye(3)[[2, 0]]}
    case = Case("two", tuple(Asked(name, label) for name, label in labels.items()))
    drawn, _ = models.draw(case, 2, 7)
    rng = torch.Generator().manual_seed(7)
    terms = [conditioned(models.nets[name], label) for name, label in labels.items()]
    for state in sample(Product([*terms, models.nets[""]], [1, 1, -1]), PIXELS.noise(2, rng), PLAN, rng, PIXELS):
        pass
    assert torch.equal(drawn, quantise(state.x))

    weighed, _ = models.draw(case, 2, 7, weight=0.75)
    rng = torch.Generator().manual_seed(7)
    product = Product([*terms, models.nets[""]], [0.75, 0.75, -0.5])
    for state in sample(product, PIXELS.noise(2, rng), PLAN, rng, PIXELS):
        pass
    assert torch.equal(weighed, quantise(state.x))

    summed, _ = models.draw(case, 2, 7, sum_only=True)
    plan = replace(PLAN, langevin=replace(PLAN.langevin, step_size=PLAN.langevin.step_size / 2))
    rng = torch.Generator().manual_seed(7)
    for state in sample(Product(terms, [1, 1]), PIXELS.noise(2, rng), plan, rng, PIXELS):
        pass
    assert torch.equal(summed, quantise(state.x))
    assert set(models.attributes) == set(ATTRIBUTES)


def test_of_several_unconditional_models_the_first_is_the_base_as_on_the_page(tmp_path):
    save_tiny_family(tmp_path)
    own = load_family("tiny", tmp_path, "cpu").nets[""].state_dict()
    another = EnergyNetwork(TINY).state_dict()
    save_model(tmp_path / "tiny-another" / "model.safetensors", another, ModelInfo(TINY, PLAN, family="tiny"))
    with_another = load_family("tiny", tmp_path, "cpu")
    assert set(with_another.attributes) == set(ATTRIBUTES)
    for name, tensor in with_another.nets[""].state_dict().items():
        assert torch.equal(tensor, own[name])


def test_or_and_not_are_composed_as_on_the_page(tmp_path):
    save_tiny_family(tmp_path)
    models = load_family("tiny", tmp_path, "cpu")
    labels = {"bright": torch.eye(2)[[0, 1]], "kind": torch.eye(3)[[2, 0]]}
    for operator in ("or", "not"):
        first = "or" if operator == "or" else "and"
        asked = (Asked("bright", labels["bright"], first), Asked("kind", labels["kind"], operator))
        drawn, _ = models.draw(Case("two", asked), 2, 7)
        page = [
            page_compose(
                Family("tiny", "", models.attributes),
                [
                    Ask(a.attribute, models.attributes[a.attribute], tuple(a.labels[i].tolist()), 1.0, a.operator)
                    for a in asked
                ],
            )
            for i in range(2)
        ]
        energy = energy_of_each(page, models.nets, Reference(models.nets[""], PLAN.langevin, PIXELS), PIXELS)
        rng = torch.Generator().manual_seed(7)
        for state in sample(energy, PIXELS.noise(2, rng), page[0].plan(models.infos), rng, PIXELS):
            pass
        assert torch.equal(drawn, quantise(state.x))


def test_or_and_not_cases_are_of_every_attribute():
    test = {"bright": torch.eye(2), "kind": torch.eye(3), "turn": torch.eye(2)}
    attributes = {"turn": ATTRIBUTES["turn"], "bright": BRIGHT, "kind": ATTRIBUTES["kind"]}
    order = in_order(attributes, ["kind", "gone"])
    assert order == ["kind", "turn", "bright"]
    assert [case.name for case in or_cases(attributes, order, test, 2)] == ["dot or bar", "kind or bright"]
    names = [(case.name, without.name) for case, without in not_cases(attributes, order, test, 2)]
    assert names == [("bright, but not kind", "bright"), ("kind, but not bright", "kind")]


def test_readings_count_all_at_once(monkeypatch):
    classifier = Classifier(ClassifierConfig((BRIGHT, ATTRIBUTES["kind"]), image_size=8, width=2)).eval()
    outputs = torch.tensor([[0.0, 1, 1, 0, 0], [1.0, 0, 1, 0, 0], [0.0, 1, 0, 1, 0], [0.0, 1, 1, 0, 0]])
    monkeypatch.setattr(Classifier, "forward", lambda self, x: outputs)
    read = predictions(classifier, torch.zeros(4, 3, 8, 8, dtype=torch.uint8), "cpu")
    labels = {"bright": torch.tensor([[0.0, 1]] * 4), "kind": torch.tensor([[1.0, 0, 0]] * 4)}
    assert accuracies(read, ATTRIBUTES, labels) == {"bright": 0.75, "kind": 0.75, "all at once": 0.5}


def test_each_value_that_is_asked_for_counts_alike():
    """A model that always draws the same has a half, however the two values are shared out among what is asked."""
    always = {"bright": torch.tensor([[0.0, 1]] * 8)}
    for dark in (1, 4, 7):
        asked = torch.eye(2)[[0] * dark + [1] * (8 - dark)]
        assert accuracies(always, {"bright": BRIGHT}, {"bright": asked}) == {"bright": 0.5}
    assert accuracies(always, {"bright": BRIGHT}, {"bright": torch.eye(2)[[1] * 8]}) == {"bright": 1.0}
    asked = torch.tensor([[0.0], [0.0], [0.0], [1.0]])
    assert balanced(torch.tensor([1.0, 0.0, 0.0, 1.0]), asked) == pytest.approx((1 / 3 + 1) / 2)


def test_real_pictures_are_those_that_have_what_is_asked():
    real = {"bright": torch.eye(2)[[0, 1, 1, 0]], "kind": torch.eye(3)[[0, 1, 2, 2]], "place": torch.rand(4, 2)}
    one = {"bright": torch.eye(2)[[1, 1]]}
    assert has_asked(one, ATTRIBUTES, real, 4).tolist() == [False, True, True, False]
    assert has_asked({"bright": torch.eye(2)}, ATTRIBUTES, real, 4).all()
    both = {"bright": torch.eye(2)[[1, 1]], "kind": torch.eye(3)[[0, 2]], "place": torch.rand(2, 2)}
    assert has_asked(both, ATTRIBUTES, real, 4).tolist() == [False, False, True, False]


def test_either_and_one_but_not_the_other_are_shares_of_each_term():
    def asked(attribute, label, operator, words):
        return Asked(attribute, torch.tensor([label] * 4), operator, words)

    outputs = {"bright": torch.eye(2)[[0, 1, 1, 0]], "kind": torch.eye(3)[[0, 0, 2, 2]]}
    either = asked("bright", [0.0, 1], "or", "bright"), asked("kind", [1.0, 0, 0], "or", "dot")
    assert shares(outputs, ATTRIBUTES, either) == {"bright": 0.5, "dot": 0.5, "any of them": 0.75}
    assert has_terms(either, outputs).tolist() == [True, True, True, False]
    without = asked("bright", [0.0, 1], "and", "bright"), asked("kind", [1.0, 0, 0], "not", "dot")
    assert shares(outputs, ATTRIBUTES, without) == {"bright": 0.5, "dot": 0.5}
    assert has_terms(without, outputs).tolist() == [False, False, True, False]
    near = {"place": torch.tensor([[0.0, 0.0], [0.2, -0.2], [0.3, 0.0], [0.0, 1.0]])}
    place = (Asked("place", torch.zeros(4, 2), "or"),)
    assert shares(near, ATTRIBUTES, place) == {"place": 0.5, "any of them": 0.5}  # within an eighth of the range


def test_what_shows_on_one_kind_only_is_asked_and_judged_there(monkeypatch):
    kind, turn = ATTRIBUTES["kind"], ATTRIBUTES["turn"]
    attributes = {"kind": kind, "turn": turn}
    labels = {"kind": torch.eye(3), "turn": torch.tensor([[0.0, 1]] * 3)}  # dot, bar, ring, all at 0 degrees
    _, _, turned, _ = cases(attributes, ["kind", "turn"], labels, 3)
    assert turned.name == "ring & turn"
    assert torch.equal(turned.labels["kind"], torch.eye(3)[[2, 2, 2]])
    assert torch.equal(turned.labels["turn"], labels["turn"])

    classifier = Classifier(ClassifierConfig((kind, turn), image_size=8, width=2)).eval()
    outputs = torch.cat([torch.eye(3), torch.tensor([[0.0, -1], [0.0, -1], [1.0, 0]])], dim=1)  # 180, 180, 90 degrees
    monkeypatch.setattr(Classifier, "forward", lambda self, x: outputs)
    read = predictions(classifier, torch.zeros(3, 3, 8, 8, dtype=torch.uint8), "cpu")
    assert accuracies(read, attributes, labels) == {"kind": 1.0, "turn": 90.0}  # the ring's alone
    assert accuracies(read, attributes, {"turn": labels["turn"]}) == {"turn": 150.0}  # no kind asked
    no_ring = {"kind": torch.eye(3)[[0, 0, 0]], "turn": labels["turn"]}
    assert set(accuracies(read, attributes, no_ring)) == {"kind"}


def test_a_classifier_of_other_pictures_judges_none(tmp_path, capsys):
    save_tiny_family(tmp_path / "w")
    classifier = Classifier(ClassifierConfig(tuple(ATTRIBUTES.values()), image_size=16, width=2))
    save_classifier(tmp_path / "w" / "tiny" / CLASSIFIER_FILE, classifier.eval())
    data = ["--train", "x.zip", "--test", "x.zip", "--weights", str(tmp_path / "w"), "--out", str(tmp_path / "out")]
    assert main(["evaluate", "compose", "tiny", *data, "--device", "cpu"]) == 2
    assert "make pictures of 8 pixels, its classifier was trained on those of 16" in capsys.readouterr().err


@pytest.mark.parametrize(
    "read",
    [(BRIGHT,), (BRIGHT, replace(ATTRIBUTES["kind"], values=("bar", "dot", "ring")), *list(ATTRIBUTES.values())[2:])],
)
def test_a_classifier_that_lacks_an_attribute_judges_none(read, tmp_path, capsys):
    save_tiny_family(tmp_path / "w")
    classifier = Classifier(ClassifierConfig(read, image_size=8, width=2))
    save_classifier(tmp_path / "w" / "tiny" / CLASSIFIER_FILE, classifier.eval())
    command = ["evaluate", "compose", "tiny", "--train", "x.zip", "--test", "x.zip", "--out", str(tmp_path / "out")]
    assert main([*command, "--weights", str(tmp_path / "w"), "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert "the classifier of 'tiny' does not read kind" in error
    assert len(error.splitlines()) == 1


def test_the_command_writes_a_report_a_figure_and_sheets(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(features, "EfficientNetFeatures", Pixels)
    monkeypatch.setattr(asked, "FEWEST", 4)
    save_tiny_family(tmp_path / "w")
    classifier = Classifier(
        ClassifierConfig(tuple(ATTRIBUTES.values()), image_size=8, width=2, held_out={"bright": 0.9})
    )
    save_classifier(tmp_path / "w" / "tiny" / CLASSIFIER_FILE, classifier.eval())
    labels = [{"Bright": i % 2, "kind": i % 3, "x": 0.1 * i, "y": 1.0, "theta": 0.5 * i} for i in range(9)]
    data = write_zip(tmp_path / "data.zip", labels)
    out = tmp_path / "out"
    code = main(
        [
            "evaluate",
            "compose",
            "tiny",
            "--train",
            str(data),
            "--validation",
            str(data),
            "--num",
            "3",
            "--weight",
            "0.5",
            "--weights",
            str(tmp_path / "w"),
            "--out",
            str(out),
            "--device",
            "cpu",
        ]
    )
    assert code == 0, capsys.readouterr().err
    report = json.loads((out / "compose.json").read_text())
    assert [row["asked"] for row in report["rows"]][:2] == ["nothing", "bright alone"]
    assert report["weight"] == 0.5
    assert "each attribute weighs 0.5" in (out / "README.md").read_text()
    assert report["rows"][-1]["asked"] == "bright & kind & place & turn"
    assert set(report["rows"][-1]["read"]) == {"bright", "kind", "place", "turn", "all at once"}
    assert "read" not in report["rows"][0]
    keys = ("read", "read_where_nothing_is_asked", "read_in_real_pictures")
    for row in report["rows"][1:]:
        assert set(row[keys[0]]) == set(row[keys[1]]) == set(row[keys[2]])
    assert [row["num_real"] for row in report["rows"][1:3]] == [9, 9]  # both values, all kinds
    assert report["rows"][4]["num_real"] == 3  # rings
    operators = {row["asked"]: row for row in report["operators"]}
    assert list(operators) == [
        "dot or bar",
        "bright or kind",
        "kind or place",
        "place, but not bright",
        "bright, but not kind",
        "kind, but not place",
    ]
    kinds = operators["dot or bar"]
    assert set(kinds["read"]) == set(kinds["read_without"]) == {"dot", "bar", "any of them"}
    assert set(kinds["read_in_real_pictures"]) == set(kinds["read"])
    assert kinds["num_real"] == 6
    assert operators["bright, but not kind"]["read_in_real_pictures"] is None  # of many kinds
    assert report["read_on"] == {"kind": "validation", "file": "data.zip"}
    page = (out / "README.md").read_text()
    assert "Read on the validation file `data.zip`" in page
    assert str(tmp_path) not in page + json.dumps(report)
    assert report["provenance"]["command"] == (
        "python -m train evaluate compose tiny --train data.zip --validation data.zip --num 3 --seed 0 --weight 0.5 "
        "--weights w --out out" + ("" if default_device() == "cpu" else " --device cpu")
    )
    assert {"compose.png", "nearest-private.png", "nothing.png", "bright+kind.png"} <= {p.name for p in out.iterdir()}
