"""Areas under curves, exact and beside another library's."""

import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from train.evaluate.detection import detect


def of(values):
    return torch.tensor(values, dtype=torch.float32)


@pytest.mark.parametrize(
    ("inside", "outside", "auroc", "aupr_in", "aupr_out", "fpr95"),
    [
        ([1, 2], [3, 4], 1, 1, 1, 0),
        ([3, 4], [1, 2], 0, 5 / 12, 5 / 12, 1),
        ([1, 3], [2, 4], 3 / 4, 5 / 6, 5 / 6, 1 / 2),
        ([7, 7], [7, 7], 1 / 2, 1 / 2, 1 / 2, 1),
        ([1, 2, 2], [2], 2 / 3, 5 / 6, 1 / 3, 2 / 3),
        # 19 of 20 are 95 %, so the one below all others need not be caught.
        ([1, 2], [0] + [3] * 19, 19 / 20, None, None, 0),
    ],
)
@pytest.mark.parametrize(("factor", "shift"), [(1, 0), (1e-6, 0), (1, 1e4), (1e6, -5e6)])
def test_detection_is_exact_whatever_the_scale(inside, outside, auroc, aupr_in, aupr_out, fpr95, factor, shift):
    found = detect(of(inside) * factor + shift, of(outside) * factor + shift)
    assert found.auroc == pytest.approx(auroc)
    assert found.fpr95 == pytest.approx(fpr95)
    if aupr_in is not None:
        assert (found.aupr_in, found.aupr_out) == pytest.approx((aupr_in, aupr_out))


def test_detection_agrees_with_another_library(rng):
    inside, outside = (torch.randn(200, generator=rng) * 3).round(), (2 + torch.randn(150, generator=rng) * 4).round()
    both, is_out = torch.cat([inside, outside]).numpy(), [0] * 200 + [1] * 150
    found = detect(inside, outside)
    assert found.auroc == pytest.approx(roc_auc_score(is_out, both))
    assert found.aupr_out == pytest.approx(average_precision_score(is_out, both))
    assert found.aupr_in == pytest.approx(average_precision_score([1 - label for label in is_out], -both))


def test_detection_needs_both_kinds():
    with pytest.raises(ValueError, match="pictures of both kinds, got 1 and 0"):
        detect(torch.zeros(1), torch.zeros(0))
