"""``results.json`` as the tables of ``README.md``."""

from collections.abc import Iterable
from typing import Any

from train.markdown import table

INTRODUCTION = """# Benchmarks

```sh
{command}      # wants an idle machine; writes this page and results.json
```

{machine}, {date}, commit {commit}.

Every speed is a ratio to a *straightforward* implementation in the same run ([straightforward.py](straightforward.py)):
the same network and the same numbers, its norms as InstanceNorm modules, weights standardised in every pass,
augmentations image by image on the host. Before anything is timed the energies are compared with its own.
*Of peak* is the share of the fastest large matrix product that this machine does in that precision, counting
convolutions, matrix products and attention only: at 100 % nothing could be faster without doing less work.
"""

SAMPLING = """## A Langevin step

*Folded*: parameters frozen and weight standardisation done once for the chain. *Energy error*: largest difference from
the straightforward energies, as a share of the largest energy. The shipped models share one architecture each; one of
them is timed.
"""

TRAINING = """## A training iteration

Algorithm 1 on the paper's CIFAR-10 network, and what ours spends its time on. The losses hold the second-order pass.
"""

WARM_START = """The warm start of the shipped models' configs, whose batches are their own:
"""

PAGE = """## The live view

A chain with nobody watching, and the same chain watched from the page's own handler, by turns; the fastest of each.
The first frame is the slowest of them, from the press of *Sample*.
"""


def markdown(report: dict[str, Any]) -> str:
    """The page, for a report of ``python -m benchmarks``."""
    parts = [
        INTRODUCTION.format(**report),
        SAMPLING,
        sampling_table(report["sampling"]) + "\n",
        TRAINING,
        _training(report["training"]),
        WARM_START,
        table(("config", "iterations a second"), ((name, f"{rate:.2f}") for name, rate in report["warm_start"].items()))
        + "\n",
        PAGE,
        _page(report["page"]) + "\n",
    ]
    return "\n".join(parts)


def sampling_table(rows: Iterable[dict[str, Any]]) -> str:
    """Rows of ``benchmarks.sampling.rows``."""
    columns = (
        "network",
        "batch",
        "way",
        "precision",
        "ms per image and step",
        "images × steps a second",
        "GFLOP",
        "MB moved",
        "of peak",
        "speed-up",
        "energy error",
    )
    return table(
        columns,
        (
            (
                r["network"],
                r["batch"],
                r["variant"],
                r["precision"],
                f"{r['ms_per_image_step']:.2f}",
                f"{r['image_steps_per_second']:.0f}",
                f"{r['gflop_per_image_step']:.2f}",
                f"{r['megabytes_per_image_step']:.0f}",
                f"{r['share_of_matmul_peak']:.0%}",
                f"{r['speedup']:.2f}",
                f"{r['energy_error']:.0e}",
            )
            for r in rows
        ),
    )


def _training(rows: list[dict[str, Any]]) -> str:
    columns = ("network", "batch", "chain", "iterations a second", "straightforward", "speed-up")
    speed = table(
        columns,
        (
            (
                r["network"],
                r["batch"],
                r["chain_steps"],
                f"{r['iterations_per_second']:.3f}",
                f"{r['straightforward_iterations_per_second']:.3f}",
                f"{r['speedup']:.2f}",
            )
            for r in rows
        ),
    )
    shares = table(
        ("part", *(r["network"] for r in rows)),
        ((part, *(f"{r['share'][part]:.1%}" for r in rows)) for part in rows[0]["share"]),
    )
    return f"{speed}\n\n{shares}\n"


def _page(rows: list[dict[str, Any]]) -> str:
    columns = ("model", "chains", "steps", "seconds alone", "watched", "overhead", "first frame, ms")
    return table(
        columns,
        (
            (
                r["model"],
                r["chains"],
                r["steps"],
                f"{r['seconds_alone']:.2f}",
                f"{r['seconds_watched']:.2f}",
                f"{r['overhead']:.1%}",
                f"{1e3 * r['first_frame_seconds']:.0f}",
            )
            for r in rows
        ),
    )
