"""The figures of a card: what reports say of one model, and no report of another."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ebm_core.checkpoint import ModelInfo
from train.evaluate.split import saying

OF_FRECHET = (
    "features",
    "distance",
    "floor_train_against_test",
    "ceiling_noise_against_test",
    "num_samples",
    "num_test",
    "nearest_training_image_mse",
    "read_on",
)
OF_OOD = ("fingerprint", "scores", "in_distribution", "sets", "objective")
OF_ITS_RUN = ("command", "seed", "commit", "machine", "date")


def collect(
    info: ModelInfo, fingerprint: str, *, compose: Path | None, frechet: Path | None, ood: Path | None
) -> dict[str, Any]:
    """The figures of the reports that are given, of a model whose file has this ``fingerprint``.

    Raises ValueError, in a sentence, for a report that cannot be read, is none of its kind or is of another model.
    """
    figures: dict[str, Any] = {}
    attribute = info.attribute
    if compose is not None and attribute is not None:
        family, figures["compose"] = _read(compose, lambda report: _of_compose(report, attribute.name))
        if family != info.family:
            raise ValueError(f"{compose} is of the family '{family}', this model of '{info.family}'; give its own")
    if frechet is not None:
        own, figures["frechet"] = _read(frechet, _of_frechet)
        if own is not None:  # earlier reports do not say
            _check_same(frechet, own, fingerprint)
    if ood is not None:
        own, figures["ood"] = _read(ood, _of_ood)
        _check_same(ood, own, fingerprint)
    return figures


def _read(path: Path, parts: Callable[[Any], tuple[Any, dict[str, Any]]]) -> tuple[Any, dict[str, Any]]:
    """What a report is of, and what the card has of it."""
    try:
        return parts(json.loads(path.read_text()))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is no report that a card can have figures of ({error!r}); evaluate anew") from error


def _check_same(path: Path, of: str, fingerprint: str) -> None:
    if of != fingerprint:
        raise ValueError(
            f"{path} is of another model (fingerprint {of}, this one has {fingerprint}); evaluate this one anew"
        )


def _of_compose(report: Any, name: str) -> tuple[str, dict[str, Any]]:
    family: str = report["family"]
    # The rows in which something is asked begin with each attribute by itself, or on the kind that shows it.
    rows = [row for row in report["rows"] if name in row.get("read", {})]
    if not rows:
        raise ValueError(f"no row asks for '{name}'")
    alone = rows[0]
    saying(report["read_on"])
    return family, {
        "attribute": name,
        "asked": alone["asked"],
        "choice": name in report["choices"],
        "samples": alone["num"],
        "read": alone["read"][name],
        **{key: (alone[key] or {}).get(name) for key in ("read_where_nothing_is_asked", "read_in_real_pictures")},
        "read_on": report["read_on"],
        "provenance": report["provenance"],
    }


def _of_frechet(report: Any) -> tuple[str | None, dict[str, Any]]:
    for name in OF_FRECHET:
        report[name]
    saying(report["read_on"])
    return report.get("fingerprint"), report


def _of_ood(report: Any) -> tuple[str, dict[str, Any]]:
    return report["fingerprint"], {name: report[name] for name in (*OF_OOD, *OF_ITS_RUN)}
