"""Scoring many files: in parts of so many, by several processes if wanted, so that a kill costs little.

Part ``k`` holds the files ``k * save_every`` and on, whoever scores it: processes take every so-manyth part. Batches
never reach across parts, so the result is the same, row for row, for any number of processes and of interruptions.
"""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa
import torch
from tqdm import tqdm

from ebm_core.config import to_dict
from ebm_core.files import check_new, write_atomically
from ebm_core.picture_files import Files, printable
from ebm_core.pictures import Limits, Picture, PictureError, read_picture
from train.lock import held
from train.parallel import Processes
from train.score.detector import Scorer
from train.score.sheet import Unusual
from train.score.table import SUFFIXES, assemble, highest, rows, schema, write_part

STATE = "state.json"
DECODERS = 4  # threads; the decoders of Pillow run beside each other and beside the network
MAX_LISTED = 20  # unreadable files that are named at the end; the table has all


@dataclass(frozen=True)
class Options:
    """What the rows depend on, and how often they are saved."""

    by: str = "energy"  # the score that percentile and verdict are of
    false_alarm_rate: float = 0.05
    batch: int = 64
    save_every: int = 1024
    limits: Limits = field(default_factory=Limits)


class Tally(NamedTuple):
    """How many files there are, how many of them could not be read, the first of those with the reason."""

    num: int
    num_unreadable: int
    unreadable: list[tuple[str, str]]
    top: list[Unusual]  # the highest scores, as many as were asked for


def score(
    files: Files, detector: Scorer, out: Path, options: Options, processes: Processes, top: int = 0
) -> Tally | None:
    """Score every file into the table ``out``; the same call after a kill goes on with the parts that are missing.

    The first process puts the parts together and returns the tally with the ``top`` most unusual, the others None.
    Raises ValueError, in a sentence, for a name that is neither .parquet nor .csv, an ``out`` that is there already,
    parts that were begun with another model, other files or other options, and a disk that refuses.
    """
    if out.suffix not in SUFFIXES:
        raise ValueError(f"the output must be the name of a .parquet or .csv file, got {out}")
    check_new(out)
    threshold = threshold_of(detector, options)
    columns = schema(detector.score_names, detector.calibration is not None)
    folder = out.with_name(out.name + ".parts")
    _agree(folder, files, detector, options, processes)

    with held(folder, processes.is_first):
        starts = range(0, len(files.names), options.save_every)
        paths = [folder / f"{number:07d}.parquet" for number in range(len(starts))]
        mine = range(processes.rank, len(starts), processes.size)
        missing = [number for number in mine if not paths[number].is_file()]
        num_in = [min(options.save_every, len(files.names) - start) for start in starts]
        num_mine, num_missing = (sum(num_in[number] for number in numbers) for numbers in (mine, missing))
        with (
            ThreadPoolExecutor(DECODERS) as pool,
            tqdm(total=num_mine, initial=num_mine - num_missing, unit="file", disable=not processes.is_first) as bar,
        ):
            for number in missing:
                names = files.names[starts[number] : starts[number] + options.save_every]
                write_part(
                    paths[number], list(score_part(files, names, detector, threshold, options, pool, bar)), columns
                )
        processes.wait()
        tally = None
        if processes.is_first:
            chosen = highest(paths, columns, options.by, top)
            most = [Unusual(part * options.save_every + row, *values) for part, row, *values in chosen]
            tally = _finish(paths, out, columns, folder, most)
    processes.wait()  # torchrun ends all when one ends, so none ends before the table is there
    return tally


def score_lines(files: Files, detector: Scorer, options: Options, out: IO[str]) -> Tally:
    """Write a line of JSON for every file to ``out`` as soon as its batch is scored, in the order of the names.

    The keys are the columns of the table, null where there is nothing. Nothing is kept, so nothing is gone on with.
    """
    threshold = threshold_of(detector, options)
    columns = schema(detector.score_names, detector.calibration is not None).names
    num_unreadable, unreadable = 0, []
    with ThreadPoolExecutor(DECODERS) as pool, tqdm(total=len(files.names), unit="file") as bar:
        for start in range(0, len(files.names), options.save_every):
            names = files.names[start : start + options.save_every]
            for row in score_part(files, names, detector, threshold, options, pool, bar):
                out.write(json.dumps({name: row.get(name) for name in columns}, ensure_ascii=False) + "\n")
                if row.get("error") is not None:
                    num_unreadable += 1
                    unreadable += [(row["file"], row["error"])] if num_unreadable <= MAX_LISTED else []
            out.flush()
    return Tally(len(files.names), num_unreadable, unreadable, [])


def threshold_of(detector: Scorer, options: Options) -> float | None:
    """What verdicts go by; None without a calibration. Raises ValueError for a score that is not to be had."""
    if detector.calibration is not None:
        return detector.calibration.threshold(options.by, options.false_alarm_rate)
    if options.by not in detector.score_names:
        raise ValueError(f"there is no score '{options.by}'; there are: {', '.join(detector.score_names)}")
    return None


def _agree(folder: Path, files: Files, detector: Scorer, options: Options, processes: Processes) -> None:
    """Note what the parts are of, or compare it with the note that is there: first the first process, then all."""
    path = folder / STATE
    state: dict[str, Any] = {
        "model": detector.fingerprint,
        "calibration": detector.calibration_digest,
        "number of files": len(files.names),
        "names of files": files.digest(),
    } | to_dict(options)
    if processes.is_first and not path.is_file():
        write_atomically(path, json.dumps(state, indent=1).encode())
    if not processes.is_first:
        processes.wait()
    try:
        noted = json.loads(path.read_bytes())
        differing = [f"{key} ({noted.get(key)}, now {new})" for key, new in state.items() if noted.get(key) != new]
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}); all processes need the same output folder, and a damaged one is deleted "
            "to begin anew"
        ) from error
    if differing:
        raise ValueError(
            f"{folder} was begun with another {', '.join(differing)}; go on with what it was begun with, or delete it "
            "to begin anew"
        )
    if processes.is_first:
        processes.wait()


def score_part(
    files: Files,
    names: list[str],
    detector: Scorer,
    threshold: float | None,
    options: Options,
    pool: ThreadPoolExecutor,
    bar: tqdm | None = None,
) -> Iterator[dict[str, Any]]:
    """Rows of one part, in the order of the names."""

    def read(name: str) -> Picture | PictureError:
        try:
            return read_picture(files.read(name), *detector.size_and_channels, options.limits)
        except PictureError as error:
            return error

    decoded = pool.map(read, names)  # goes on while the network works; a part of small pictures fits in memory
    for start in range(0, len(names), options.batch):
        batch = [(name, next(decoded)) for name in names[start : start + options.batch]]
        good = [(name, result) for name, result in batch if isinstance(result, Picture)]
        scored = iter(_score_batch(good, detector, threshold, options.by))
        for name, result in batch:
            yield next(scored) if isinstance(result, Picture) else {"file": printable(name), "error": str(result)}
        if bar is not None:
            bar.update(len(batch))


def _score_batch(
    batch: list[tuple[str, Picture]], detector: Scorer, threshold: float | None, by: str
) -> list[dict[str, Any]]:
    if not batch:
        return []
    columns = detector.scores(torch.stack([picture.u8 for _, picture in batch]))
    if detector.calibration is not None and threshold is not None:
        values = columns[by]
        columns |= {"percentile": detector.calibration.percentile(by, values), "verdict": values > threshold}
    return rows([name for name, _ in batch], columns, [picture.notes for _, picture in batch])


def _finish(paths: list[Path], out: Path, columns: pa.Schema, folder: Path, top: list[Unusual]) -> Tally:
    num, num_unreadable, unreadable = 0, 0, []
    for name, error in assemble(paths, out, columns):
        num += 1
        if error is not None:
            num_unreadable += 1
            unreadable += [(name, error)] if num_unreadable <= MAX_LISTED else []
    shutil.rmtree(folder)
    return Tally(num, num_unreadable, unreadable, top)
