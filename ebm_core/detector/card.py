"""What a detector says of itself: how it was fitted, what its threshold is worth, and which method judges, and why."""

from ebm_core.detector.methods import ENERGY, MAHALANOBIS, METHODS, NEIGHBOURS
from ebm_core.detector.model import Detector

TITLES = {ENERGY: "learned energy", MAHALANOBIS: "Mahalanobis", NEIGHBOURS: "nearest neighbours"}
RATES = (0.01, 0.05, 0.1)


def alarms_sentence(detector: Detector) -> str:
    """The false-alarm rate that was measured on held-out pictures, and what so few of them can promise."""
    alarms = detector.info.false_alarms
    rate, num, above = alarms["rate"], alarms["num"], alarms["above"]
    text = (
        f"Held-out false-alarm rate: a threshold for {rate:.0%} that was set by half of the held-out pictures is "
        f"exceeded by {above} of {num} others ({above / num:.1%})."
    )
    if (num + 1) * rate < 1:
        text += f" So few held-out pictures promise no rate below {1 / (num + 1):.0%}: add pictures."
    return text


def choice_sentence(detector: Detector) -> str:
    """Which method judges, and whether it is the learned energy."""
    means, best = detector_means(detector), detector.info.method
    num = detector.info.comparison["num"]
    text = f"Judged by {TITLES[best]}: its mean AUROC on faults made of {num} held-out pictures is {means[best]:.3f}"
    if best == ENERGY:
        second = max((name for name in METHODS if name != ENERGY), key=means.__getitem__)
        return f"{text}; the next, {TITLES[second]}, has {means[second]:.3f}."
    return f"{text}; the learned energy is not the best here, it has {means[ENERGY]:.3f}."


def detector_means(detector: Detector) -> dict[str, float]:
    """Mean AUROC by method over the kinds of faults."""
    rows = detector.info.comparison["auroc"]
    return {name: sum(rows[name].values()) / len(rows[name]) for name in METHODS}


def card(detector: Detector, name: str) -> str:
    """The card in Markdown."""
    info, calibration, means = detector.info, detector.calibration, detector_means(detector)
    kinds = list(info.comparison["auroc"][ENERGY])
    thresholds = [[f"{rate:.0%}", f"{calibration.threshold(info.method, rate):.4g}"] for rate in RATES]
    rows = [
        [TITLES[method], *(f"{info.comparison['auroc'][method][kind]:.3f}" for kind in kinds), f"{means[method]:.3f}"]
        for method in METHODS
    ]
    size = info.config.size
    provenance = "\n".join(f"- {key}: {value}" for key, value in info.provenance.items())
    parts = [
        f"# Detector: {name}",
        f"Which pictures do not belong among the normal ones that it was fitted on. Calibrated on {calibration.data}; "
        f"each is seen as its centre square, {size}x{size} pixels, through frozen features of EfficientNet-lite0.",
        choice_sentence(detector),
        alarms_sentence(detector),
        "## Thresholds",
        _table(["false alarms", "threshold"], thresholds),
        "## AUROC on faults made of held-out pictures",
        _table(["method", *kinds, "mean"], rows),
        "No real outlier was seen: the faults stand for some ways in which a picture can fail to belong, not for all.",
    ]
    if info.account:
        parts += ["## Files", "\n".join(f"- {sentence}" for sentence in info.account)]
    return "\n\n".join([*parts, "## Made", provenance]) + "\n"


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])
