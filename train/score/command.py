"""``python -m train score PATH``: a table of the scores of picture files."""

import argparse
import os
import sys
import warnings
from datetime import timedelta
from pathlib import Path

from ebm_core.arguments import COUNT, add_device
from ebm_core.calibration import RATE
from ebm_core.pictures import Limits

UNREADABLE = 3  # exit code
PATIENCE = timedelta(days=30)  # some machines are slower than others, or have larger pictures to read


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description = (
        "Scores every picture as the page does: upright, its centre square, resized. A kill loses at most "
        "--save-every files of each process: the same command goes on. torchrun shares the files among processes and "
        "machines, which need a common folder for --out. A file that cannot be read has a row with the reason, and the "
        f"exit code is then {UNREADABLE} (0: all were read; 2: a sentence says why there is no table; torchrun itself "
        "ends with 1 where a process does not end with 0). Files that are no pictures "
        "have no row and are named at the end."
    )
    add_device(parser)
    parser.add_argument(
        "path",
        type=Path,
        help="a folder or a zip, of which the files that are pictures by their suffix or their first bytes are taken, "
        "or a text file with a file name in each line",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="a .parquet or .csv file to write, or - for lines of JSON",
    )
    parser.add_argument(
        "--top",
        type=COUNT,
        default=0,
        metavar="N",
        help="also write the N most unusual pictures as a contact sheet beside the table: an .html file that opens "
        "anywhere",
    )
    add_scoring(parser)


def add_scoring(parser: argparse.ArgumentParser) -> None:
    """What a table's rows depend on, and how often they are saved."""
    limits = Limits()
    parser.add_argument(
        "--model", required=True, help="a model or detector: a name under weights/, a path, or hf:owner/repo[@revision]"
    )
    parser.add_argument(
        "--false-alarm-rate",
        type=RATE,
        default=0.05,
        metavar="RATE",
        help="share of held-out pictures that the verdict may call out-of-distribution (default: %(default)s)",
    )
    parser.add_argument(
        "--by",
        metavar="SCORE",
        help="the score of percentile and verdict: joint, energy, typicality, ...; of a detector energy, "
        "mahalanobis or neighbours (default: joint where the model has it, else energy; or what the detector chose)",
    )
    parser.add_argument("--batch", type=COUNT, default=64, help="pictures scored at once (default: %(default)s)")
    parser.add_argument("--save-every", type=COUNT, default=1024, metavar="N", help="files (default: %(default)s)")
    mib, megapixels = limits.max_bytes // 2**20, limits.max_pixels // 10**6
    parser.add_argument("--max-mib", type=COUNT, default=mib, help="of a file (default: %(default)s)")
    parser.add_argument("--max-megapixels", type=COUNT, default=megapixels, help="of a picture (default: %(default)s)")


def limits_of(a: argparse.Namespace) -> Limits:
    """Of the files, as they were asked for."""
    return Limits(a.max_mib * 2**20, a.max_megapixels * 10**6)


def run(a: argparse.Namespace) -> int:
    """The command itself; gives its exit code. Raises ValueError as ``train.score.engine.score`` does."""
    try:
        from train.score.engine import Options, Tally, score, score_lines
    except ImportError as error:
        raise ValueError(f"tables need a package that is missing ({error}): pip install 'ebm-studio[train]'") from error
    from ebm_core.files import check_new
    from ebm_core.hub import title_of
    from ebm_core.picture_files import left_out_notes, open_files
    from train.parallel import Processes
    from train.score.detector import load_scorer
    from train.score.sheet import write_sheet

    limits = limits_of(a)
    warnings.filterwarnings("ignore", module="PIL")  # of odd metadata, once for each of a million files
    processes = Processes.join(PATIENCE)
    if (is_piped := str(a.out) == "-") and processes.size > 1:
        raise ValueError("lines for a pipe are written by one process; give a file as --out, or leave out torchrun")
    sheet = a.out.with_suffix(".html")
    if a.top:
        if is_piped:
            raise ValueError("--top writes a contact sheet beside a table: give a .parquet or .csv file as --out")
        check_new(sheet)
    try:
        detector = load_scorer(a.model, processes.device(a.device))
        if detector.calibration is None and processes.is_first:
            print(
                f"{detector.path} has no calibration, so there are only raw scores, no percentiles and no verdicts; "
                "python -m train calibrate makes one",
                file=sys.stderr,
            )
        elif detector.calibration is not None and detector.calibration.note and processes.is_first:
            print(detector.calibration.note, file=sys.stderr)
        options = Options(a.by or detector.judge, a.false_alarm_rate, a.batch, a.save_every, limits)
        tally: Tally | None
        with open_files(a.path, limits) as files:
            tally = (
                score_lines(files, detector, options, sys.stdout)
                if is_piped
                else score(files, detector, a.out, options, processes, a.top)
            )
            if a.top and tally is not None:
                title = f"{a.path.name}: the {len(tally.top)} most unusual by {options.by} of {title_of(a.model)}"
                write_sheet(sheet, files, tally.top, title, limits)
            notes = left_out_notes(files.left_out)
    except KeyboardInterrupt:
        print("stopped" if is_piped else f"stopped; the same command goes on from {a.out}.parts", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read the lines has enough, such as head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    processes.leave()
    if tally is None:
        return 0
    said = f"{a.out}: {tally.num - tally.num_unreadable} of {tally.num} files scored"
    print(said, file=sys.stderr if is_piped else sys.stdout)
    if a.top:
        print(f"{sheet}: the {len(tally.top)} most unusual")
    for note in notes:
        print(note, file=sys.stderr)
    for name, reason in tally.unreadable:
        print(f"not read: {name}: {reason}", file=sys.stderr)
    if not tally.num_unreadable:
        return 0
    more = tally.num_unreadable - len(tally.unreadable)
    rest = f"; {more} more are in the column 'error' of the table" if more else ""
    print(f"{tally.num_unreadable} files could not be read{rest}", file=sys.stderr)
    return UNREADABLE
