"""What a model's report says of its scores, on the page."""

import json

import pytest

from app.report import reported


def write(folder, report):
    (folder / "metrics.json").write_text(json.dumps(report) if not isinstance(report, str) else report)
    return folder / "model.safetensors"


def figures(**aurocs):
    rows = [
        {"title": name, "data": "x.zip", "detection": {"joint": {"auroc": value}}} for name, value in aurocs.items()
    ]
    made = {"title": "noise", "data": "made", "detection": {"joint": {"auroc": 1.0}}}
    return {"figures": {"ood": {"fingerprint": "f", "sets": [*rows, made, {"title": "SVHN", "not_run": "none"}]}}}


def test_a_share_of_pairs_is_said_in_percent(tmp_path):
    model = write(tmp_path, figures(MNIST=0.98, Textures=0.9, CIFAR=0.64))
    assert reported(model, "f", "joint") == (
        "By the model's report it is right in **84 %** of comparisons of a held-out picture with one of another kind "
        "(64 % for CIFAR, 98 % for MNIST; a coin: 50 %)."
    )


def test_nearly_all_is_not_all(tmp_path):
    said = reported(write(tmp_path, figures(MNIST=0.9996, CIFAR=1.0)), "f", "joint")
    assert "**more than 99 %** of comparisons" in said
    assert "(more than 99 % for MNIST, 100 % for CIFAR;" in said


def test_a_score_that_cannot_tell_is_warned_of(tmp_path):
    assert reported(write(tmp_path, figures(MNIST=0.2, CIFAR=0.6)), "f", "joint").startswith("⚠️ **It hardly tells")


@pytest.mark.parametrize("report", ["{", "[]", {"figures": {"ood": {"sets": 3}}}, {"figures": {"ood": []}}, figures()])
def test_without_figures_nothing_is_said(tmp_path, report):
    assert reported(write(tmp_path, report), "f", "joint") == ""
    assert reported(tmp_path / "nowhere" / "model.safetensors", "f", "joint") == ""


def test_figures_of_another_model_or_score_do_not_count(tmp_path):
    model = write(tmp_path, figures(MNIST=0.98))
    assert reported(model, "g", "joint") == reported(model, "f", "energy") == ""
