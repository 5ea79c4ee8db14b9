"""The commands about scores: ``calibrate``, ``evaluate ood`` and ``score``. Heavy imports wait until one is run."""

import argparse
import sys
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

from ebm_core.arguments import COUNT, whole
from ebm_core.ood import RATE
from ebm_core.pictures import Limits
from ebm_core.recipe import SEED
from train.data.config import DataConfig, Source
from train.provenance import add_allow_dirty, command_of

UNREADABLE = 3  # exit code
PATIENCE = timedelta(days=30)  # some machines are slower than others, or have larger pictures to read
UNSPLIT = ("zip", "folder")  # sources that are one set each


def add_commands(commands: Any, evaluations: Any, device: argparse.ArgumentParser) -> None:
    """Register the three."""
    calibrate = commands.add_parser("calibrate", parents=[device], help="put scores of held-out pictures into a model")
    calibrate.add_argument("model", help="a name under weights/ or a path; the file is rewritten in one piece")
    calibrate.add_argument("--data", required=True, metavar="PATH", help="held-out pictures, never those trained on")
    calibrate.add_argument("--source", choices=get_args(Source), default="zip", help="default: %(default)s")
    calibrate.add_argument("--split", default="test", help="of a source with official splits (default: %(default)s)")
    calibrate.add_argument("--skip", type=whole(0), default=0, metavar="N", help="leave the first N pictures out")
    calibrate.add_argument("--first", type=COUNT, metavar="N", help="then take only N, and leave the rest for a test")
    calibrate.add_argument("--batch", type=COUNT, default=64, help="pictures measured at once (default: %(default)s)")
    calibrate.add_argument("--name", help='what the pictures are, such as "CIFAR-10 test, first 5,000"')
    calibrate.set_defaults(command=_calibrate)

    ood = evaluations.add_parser(
        "ood", parents=[device], help="how well scores tell other pictures from the model's own kind"
    )
    ood.add_argument("model", help="a name under weights/, a path, or hf:owner/repo")
    ood.add_argument(
        "--data", type=Path, required=True, metavar="DIR",
        help="folder of the test sets: zips such as cifar10-test.zip, or the official files, downloaded if missing",
    )  # fmt: skip
    ood.add_argument(
        "--in", dest="inside", default="cifar10", metavar="SET",
        help="the in-distribution set: cifar10, objects, celeba, ..., or the path of a zip (default: %(default)s)",
    )  # fmt: skip
    ood.add_argument("--skip", type=whole(0), metavar="N", help="leave its first N pictures out (default: half)")
    ood.add_argument("--num", type=whole(2), help="pictures of each set, drawn by the seed (default: all)")
    ood.add_argument("--seed", type=SEED, default=0)
    ood.add_argument("--batch", type=COUNT, default=64, help="pictures measured at once (default: %(default)s)")
    ood.add_argument("--out", type=Path, required=True, metavar="DIR", help="ood.json, README.md, histograms.png")
    add_allow_dirty(ood)
    ood.set_defaults(command=_evaluate_ood)

    limits = Limits()
    score = commands.add_parser(
        "score", parents=[device], help="score a folder, a zip or a list of picture files",
        description="Scores every picture as the page does: upright, its centre square, resized. A kill loses at most "
        "--save-every files of each process: the same command goes on. torchrun shares the files among processes and "
        "machines, which need a common folder for --out. A file that cannot be read has a row with the reason, and the "
        f"exit code is then {UNREADABLE} (0: all were read; 2: a sentence says why there is no table; torchrun itself "
        "ends with 1 where a process does not end with 0). Files that are no pictures "
        "have no row and are named at the end.",
    )  # fmt: skip
    score.add_argument(
        "path", type=Path,
        help="a folder or a zip, of which the files that are pictures by their suffix or their first bytes are taken, "
        "or a text file with a file name in each line",
    )  # fmt: skip
    score.add_argument("--model", required=True, help="a name under weights/, a path, or hf:owner/repo")
    score.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .parquet or .csv file to write")
    score.add_argument(
        "--false-alarm-rate", type=RATE, default=0.05, metavar="RATE",
        help="share of held-out pictures that the verdict may call out-of-distribution (default: %(default)s)",
    )  # fmt: skip
    score.add_argument(
        "--by", default="energy",
        help="the score of percentile and verdict: energy, grad_norm, typicality, ... (default: %(default)s)",
    )  # fmt: skip
    score.add_argument("--batch", type=COUNT, default=64, help="pictures scored at once (default: %(default)s)")
    score.add_argument("--save-every", type=COUNT, default=1024, metavar="N", help="files (default: %(default)s)")
    mib, megapixels = limits.max_bytes // 2**20, limits.max_pixels // 10**6
    score.add_argument("--max-mib", type=COUNT, default=mib, help="of a file (default: %(default)s)")
    score.add_argument("--max-megapixels", type=COUNT, default=megapixels, help="of a picture (default: %(default)s)")
    score.set_defaults(command=_score)


def _calibrate(a: argparse.Namespace) -> None:
    from train.score.calibrate import calibrate
    from train.score.detector import load_detector

    config = DataConfig(a.source, a.data, "train" if a.source in UNSPLIT else a.split)
    detector = load_detector(a.model, a.device, calibrated=False)
    calibration = calibrate(detector, config, skip=a.skip, first=a.first, batch=a.batch, name=a.name)
    print(
        f"{detector.path}: calibrated on {calibration.num} pictures ({calibration.data}), median energy "
        f"{calibration.energy_median:.6g}; 5 % of them are above {calibration.threshold('energy', 0.05):.6g}"
    )


def _evaluate_ood(a: argparse.Namespace) -> None:
    from train.evaluate.ood import evaluate, prepare
    from train.evaluate.ood_report import markdown
    from train.score.detector import load_detector

    detector = load_detector(a.model, a.device)
    setting = prepare(detector, a.data, a.inside, a.skip)
    options = {"data": a.data, "in": a.inside, "skip": a.skip, "num": a.num, "seed": a.seed, "out": a.out}
    command = command_of(["evaluate", "ood", a.model], options, a.device)
    report = evaluate(detector, setting, num=a.num, seed=a.seed, batch=a.batch, out=a.out, model=a.model, command=command)
    print(markdown(report))


def _score(a: argparse.Namespace) -> int:
    try:
        from train.score.engine import Options, score
    except ImportError as error:
        raise ValueError(f"tables need a package that is missing ({error}): pip install 'ebm-studio[train]'") from error
    from train.data.files import left_out_notes, open_files
    from train.parallel import Processes
    from train.score.detector import load_detector

    limits = Limits(a.max_mib * 2**20, a.max_megapixels * 10**6)
    options = Options(a.by, a.false_alarm_rate, a.batch, a.save_every, limits)
    warnings.filterwarnings("ignore", module="PIL")  # of odd metadata, once for each of a million files
    processes = Processes.join(PATIENCE)
    try:
        detector = load_detector(a.model, processes.device(a.device))
        if detector.calibration is None and processes.is_first:
            print(
                f"{detector.path} has no calibration, so there are only raw scores, no percentiles and no verdicts; "
                "python -m train calibrate makes one",
                file=sys.stderr,
            )
        with open_files(a.path, limits) as files:
            tally = score(files, detector, a.out, options, processes)
            notes = left_out_notes(files.left_out)
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on from {a.out}.parts", file=sys.stderr)
        return 130
    processes.leave()
    if tally is None:
        return 0
    print(f"{a.out}: {tally.num - tally.num_unreadable} of {tally.num} files scored")
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

