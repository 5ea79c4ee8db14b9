"""What a model's own report says of a score: how often it is right about pictures of other kinds."""

import json
from functools import lru_cache
from pathlib import Path

from ebm_core.hub import METRICS_FILE

MADE = "made"  # sets that were made of the model's own pictures
COIN = 0.6  # share of comparisons below which the page warns


def reported(model: Path, fingerprint: str, score: str) -> str:
    """A sentence in Markdown, from the figures beside the file ``model``; "" where there are none of this very model.

    An AUROC is the share of pairs, one picture of the model's kind and one of another, that the score puts in order.
    """
    path = model.with_name(METRICS_FILE)
    try:
        shares = _shares(path, path.stat().st_mtime_ns, fingerprint, score)
    except OSError:
        return ""
    if not shares:
        return ""
    mean = sum(shares.values()) / len(shares)
    worst, best = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
    sentence = (
        f"By the model's report it is right in **{_percent(mean)}** of comparisons of a held-out picture with one of "
        f"another kind ({_percent(shares[worst])} for {worst}, {_percent(shares[best])} for {best}; a coin: 50 %)."
    )
    return sentence if mean >= COIN else f"⚠️ **It hardly tells other kinds apart.** {sentence}"


def _percent(share: float) -> str:
    """A share, 0 to 1; never rounded to all of them."""
    return "more than 99 %" if 0.99 < share < 1 else f"{100 * share:.0f} %"


@lru_cache(maxsize=64)
def _shares(path: Path, modified: int, fingerprint: str, score: str) -> dict[str, float]:
    """AUROC by the title of each set of files. Whatever a file has instead of figures is no figure."""
    try:
        report = json.loads(path.read_bytes())["figures"]["ood"]
        if report.get("fingerprint", fingerprint) != fingerprint:
            return {}
        rows = [row for row in report["sets"] if "detection" in row and row["data"] != MADE]
        return {str(row["title"]): float(row["detection"][score]["auroc"]) for row in rows}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
