"""How much of a model's training was contrastive divergence, by the provenance in its file."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Iterations(NamedTuple):
    """All of a model's training iterations, and those that were contrastive divergence."""

    total: int
    contrastive: int


def iterations_of(provenance: Mapping[str, Any]) -> Iterations | None:
    """None where the file does not say, or says what cannot be read: it may be a stranger's."""
    try:
        if "parts" in provenance:
            total, contrastive = (
                sum(part[key] for part in provenance["parts"]) for key in ("iterations", "contrastive")
            )
            return Iterations(total, contrastive) if total else None
        total = provenance["iteration"]  # as it was written when runs had one part
        return Iterations(total, total - provenance.get("warm_start_iterations", total))
    except (TypeError, KeyError):
        return None
