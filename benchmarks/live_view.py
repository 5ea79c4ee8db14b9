"""What the live view adds to a chain, and how long a person waits for the first frame."""

import json
import subprocess
import sys
import time
from typing import Any

from app.catalog import WARM_CHAINS, Catalog
from app.compute import give_cores_to_compute
from app.sampling import start
from app.session import Session
from app.settings import controls_of
from app.walk import Walk
from ebm_core.hub import WEIGHTS
from ebm_core.recipe import Recipe


def live_view_alone(model: str, device: str, repeats: int) -> dict[str, Any]:
    """``live_view`` in a process of its own: its thread must be the only one with helpers, as it is in the app."""
    command = [sys.executable, "-m", "benchmarks.live_view", model, device, str(repeats)]
    result: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return result


def live_view(model: str, device: str, repeats: int = 3) -> dict[str, Any]:
    """Seconds of a chain alone and of one that is watched, by turns; the fastest of each counts."""
    catalog = Catalog(WEIGHTS, device)
    loaded = catalog.get(model)
    recipe = Recipe(model, loaded.fingerprint, loaded.info.plan, 0, WARM_CHAINS)
    alone, watched, first = [], [], []
    for _ in range(repeats):
        walk = Walk(loaded.landscape, recipe)
        walk.go_on()
        walk.wait()
        alone.append(walk.seconds)

        session = Session()
        began = time.perf_counter()
        views = start(session, catalog, model, controls_of(loaded), WARM_CHAINS, 0)
        next(views)
        first.append(time.perf_counter() - began)
        for _ in views:
            pass
        assert session.walk is not None
        watched.append(session.walk.seconds)
        session.close()
    return {
        "model": model,
        "chains": WARM_CHAINS,
        "steps": recipe.plan.num_steps,
        "seconds_alone": min(alone),
        "seconds_watched": min(watched),
        "overhead": min(watched) / min(alone) - 1,
        "first_frame_seconds": max(first),
    }


if __name__ == "__main__":
    give_cores_to_compute()
    print(json.dumps(live_view(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
