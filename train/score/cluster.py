"""``python -m train score-cluster ADDRESS``: scores of picture files by many workers of a Ray cluster.

Ray Data hands the units (``train.score.shards``) to actors that hold the model, and gives those of a lost worker to
another. A unit's table appears whole under a name of its own, so what is there is never scored again.
"""

import argparse
import hashlib
import json
import logging
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ebm_core.arguments import COUNT, add_device
from ebm_core.files import one_line
from train.score.command import UNREADABLE, add_scoring, limits_of

STATE = "_state.json"  # readers of tables pass over names that begin so


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description = (
        "Scores pictures as `score` does, by workers of a Ray cluster or of this machine. ADDRESS and --out may be of "
        "any file system that fsspec knows (s3://, gs://, hf://, ...). After a kill the same command goes on. The exit "
        f"code is {UNREADABLE} where a file could not be read, whose row has the reason."
    )
    add_device(parser)
    parser.add_argument("address", help="a folder of pictures, zips, Parquet files and WebDataset shards, or one")
    parser.add_argument("--out", required=True, metavar="ADDRESS", help="a folder, which becomes one Parquet table")
    parser.add_argument("--workers", type=COUNT, default=2, help="each with a model of its own (default: %(default)s)")
    parser.add_argument("--cluster", metavar="ADDRESS", help="of a Ray cluster, or auto (default: this machine alone)")
    add_scoring(parser)


def run(a: argparse.Namespace) -> int:
    """The command itself; gives its exit code. Raises ValueError, in a sentence."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    try:
        import ray
        import ray.data

        from train.score.shards import open_address, read_table, units_of, write
    except ImportError as error:
        raise ValueError(f"a package is missing ({error}): pip install 'ebm-studio[train,ray]'") from error
    import fsspec
    from tqdm import tqdm

    from train.score.detector import load_scorer
    from train.score.engine import Options, threshold_of

    limits = limits_of(a)
    detector = load_scorer(a.model, "cpu")
    options = Options(a.by or detector.judge, a.false_alarm_rate, a.batch, a.save_every, limits)
    threshold_of(detector, options)
    units = units_of(a.address, a.save_every, limits)
    fs, folder = fsspec.core.url_to_fs(a.out)
    fs.makedirs(folder, exist_ok=True)
    state = {
        "model": detector.fingerprint,
        "calibration": detector.calibration_digest,
        "pictures": hashlib.sha256(repr(units).encode()).hexdigest()[:16],
        "options": repr(options),
    }
    there = set(open_address(a.out).names)
    if STATE not in there:
        if there:
            raise ValueError(f"{a.out} has other files already; give a new folder as --out")
        write(fs, f"{folder}/{STATE}", json.dumps(state, indent=1).encode())
    elif (noted := json.loads(fs.cat_file(f"{folder}/{STATE}"))) != state:
        other = ", ".join(key for key in state if noted.get(key) != state[key])
        raise ValueError(f"{a.out} was begun with another {other}; go on with what it was begun with, or give another")

    names = [f"{number:07d}.parquet" for number in range(len(units))]
    missing = [number for number, name in enumerate(names) if name not in there]
    if missing:
        # One processor more than workers: handing out the units takes one now and then.
        alone = {} if a.cluster else {"num_cpus": a.workers + 1, "include_dashboard": False}
        try:
            ray.init(address=a.cluster, logging_level=logging.ERROR, log_to_driver=False, **alone)
        except Exception as error:  # Ray raises bare ones
            where = a.cluster or "this machine"
            raise ValueError(
                f"no Ray cluster on {where} ({one_line(error)}); start one, or free the machine"
            ) from error
        ray.data.DataContext.get_current().enable_progress_bars = False  # there is one bar, of units
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        work = [{"number": number, "unit": json.dumps(units[number])} for number in missing]
        scored = ray.data.from_items(work, override_num_blocks=len(work)).map_batches(
            Worker,
            fn_constructor_args=(a.model, a.device, a.address, a.out, options),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(a.workers, len(work))),
            num_gpus=1 if a.device.startswith("cuda") else 0,
        )
        with tqdm(total=len(units), initial=len(units) - len(missing), unit="unit") as bar:
            for _ in scored.iter_rows():
                bar.update(1)
        ray.shutdown()
    errors = [error for name in names for error in read_table(fs, f"{folder}/{name}", ["error"])["error"].to_pylist()]
    num_unreadable = sum(error is not None for error in errors)
    print(f"{a.out}: {len(errors) - num_unreadable} of {len(errors)} files scored")
    if num_unreadable:
        print(f"{num_unreadable} files could not be read: see the column 'error' of the table", file=sys.stderr)
    return UNREADABLE if num_unreadable else 0


class Worker:
    """An actor with a model, which scores whole units."""

    def __init__(self, model: str, device: str, address: str, out: str, options: Any) -> None:
        import torch

        from train.score.detector import load_scorer

        if device == "cpu":
            torch.set_num_threads(1)  # as many workers as processors
        self.detector = load_scorer(model, device)
        self.address, self.out, self.options = address, out, options

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        import fsspec

        from train.score.engine import score_part, threshold_of
        from train.score.shards import Unit, open_unit, write
        from train.score.table import part_bytes, schema

        fs, folder = fsspec.core.url_to_fs(self.out)
        columns = schema(self.detector.score_names, self.detector.calibration is not None)
        threshold = threshold_of(self.detector, self.options)
        for number, text in zip(batch["number"], batch["unit"], strict=True):
            path, names, group = json.loads(str(text))
            with (
                open_unit(self.address, Unit(path, tuple(names), group), self.options.limits) as files,
                ThreadPoolExecutor(2) as pool,
            ):
                rows = list(score_part(files, files.names, self.detector, threshold, self.options, pool))
            write(fs, str(Path(folder) / f"{int(number):07d}.parquet"), part_bytes(rows, columns))
        return {"number": batch["number"]}
