"""``python -m train detector PICTURES --name mine``: a detector of what does not belong among normal pictures."""

import argparse
import sys
from pathlib import Path

from ebm_core.arguments import add_device, folder_name
from ebm_core.files import check_new, write_atomically
from ebm_core.hub import CARD_FILE, DETECTOR_FILE, MODEL_FILE, WEIGHTS
from ebm_core.recipe import SEED


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    from ebm_core.detector.gathering import ADVISED, FEWEST, MOST
    from ebm_core.detector.network import SIZES, STRIDE

    parser.description = (
        f"Fits a detector on {ADVISED} to {MOST:,} normal pictures ({FEWEST} are the least) in minutes, without any "
        "outlier: a learned energy, Mahalanobis and nearest neighbours over frozen features, of which the best on "
        "held-out pictures judges. Then: python -m train score MORE --model NAME --out scores.csv"
    )
    add_device(parser)
    parser.add_argument("path", type=Path, help="a folder, a zip, or a text file with a file name in each line")
    parser.add_argument("--name", type=folder_name, required=True, help="name of the folder under weights/")
    parser.add_argument(
        "--size",
        type=int,
        default=128,
        help=f"of the pictures that it sees, {SIZES} and a multiple of {STRIDE}; larger ones show smaller defects and "
        "take longer (default: %(default)s)",
    )
    parser.add_argument("--seed", type=SEED, default=0)
    parser.add_argument("--force", action="store_true", help="replace the detector of that name")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="the weights folder")


def run(a: argparse.Namespace) -> None:
    """The command itself. Raises ValueError as ``ebm_core.detector.fit.fit`` does, and for a name that is taken."""
    from tqdm import tqdm

    from ebm_core.detector.card import alarms_sentence, card, choice_sentence
    from ebm_core.detector.fit import FitOptions, fit
    from ebm_core.detector.network import check_size
    from ebm_core.picture_files import left_out_notes, open_files
    from train.data.archive import LIMITS
    from train.provenance import command_of, provenance

    path = a.weights / a.name / DETECTOR_FILE
    check_new(a.weights / a.name / MODEL_FILE, "it is a model: choose another --name")
    if not a.force:
        check_new(path, "choose another --name, or --force replaces it")
    options = FitOptions(size=check_size(a.size), seed=a.seed, limits=LIMITS)
    command = command_of(["detector", str(a.path)], {"name": a.name, "size": a.size, "seed": a.seed}, a.device)
    with open_files(a.path, LIMITS) as files:
        notes = left_out_notes(files.left_out)
        steps = fit(files, options, provenance(command), a.device)
        with tqdm(total=1000, bar_format="{desc}: {percentage:3.0f}%|{bar}|{postfix}", leave=False) as bar:
            while True:
                try:
                    progress = next(steps)
                except StopIteration as end:
                    result = end.value
                    break
                bar.set_description_str(progress.doing, refresh=False)
                bar.set_postfix_str(f" about {progress.seconds_left or 0:.0f} s left", refresh=False)
                bar.update(round(1000 * progress.done) - bar.n)
    detector = result.detector
    detector.save(path)
    write_atomically(path.with_name(CARD_FILE), card(detector, a.name).encode())
    for note in [*notes, *result.account.sentences()]:
        print(note, file=sys.stderr)
    print(f"{path}: {result.account.num} pictures, {path.stat().st_size / 2**20:.1f} MiB, {result.seconds:.0f} s")
    print(choice_sentence(detector))
    print(alarms_sentence(detector))
