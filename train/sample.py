"""``python -m train sample``: pictures and energies of a model, or of a composition of several.

They also come as one sheet, lowest energy first: failures tend to be the last.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from ebm_core import images
from ebm_core.arguments import add_device
from ebm_core.composition import Composition, Term
from ebm_core.config import override, to_dict
from ebm_core.files import check_new_folder, write_atomically
from ebm_core.hub import WEIGHTS
from ebm_core.recipe import CHAINS, SEED, to_png
from ebm_core.restore import Restored, chain, load_scene, recipe_of, restore
from ebm_core.sampling import final_state

SHEET, LISTING = "by-energy.webp", "energies.json"
PICTURE = re.compile(r"\d{5}\.png")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_device(parser)
    parser.add_argument("model", nargs="?", help="a name under weights/, a path, or hf:owner/repo[@revision]")
    parser.add_argument(
        "--recipe", type=Path, metavar="FILE", help="instead of a model: a composition as JSON, or a PNG of the page"
    )
    parser.add_argument("--num", type=CHAINS, help="default 16, or that of the PNG")
    parser.add_argument("--seed", type=SEED, help="default 0, or that of the PNG")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override the model's plan")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="the weights folder")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new or empty folder")
    parser.add_argument("--force", action="store_true", help="replace the pictures of an earlier run in the folder")


def run(a: argparse.Namespace) -> None:
    if (a.model is None) == (a.recipe is None):
        raise ValueError("give either a model's name or --recipe FILE")
    if not a.force:
        check_new_folder(a.out, "choose another folder, or --force replaces its pictures")
    notes: Sequence[str] = ()
    if a.recipe is None:
        recipe = recipe_of(Composition(Term(a.model)), a.weights, a.device)
    else:
        recipe, notes = read_recipe(a.recipe, a.weights, a.device)
    recipe = replace(
        recipe,
        plan=override(recipe.plan, a.set),
        num=recipe.num if a.num is None else a.num,
        seed=recipe.seed if a.seed is None else a.seed,
    )
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    scene = load_scene(recipe, a.weights, a.device)
    final = final_state(tqdm(chain(scene, recipe), "steps", recipe.plan.num_steps + 1, leave=False))
    u8 = images.quantise(scene.space.decode(final.x)).cpu()
    files, listing = {}, []
    for number, (image, value) in enumerate(zip(u8, final.energy.tolist(), strict=True)):
        name = f"{number:05d}.png"
        files[name] = to_png(images.to_pil(image), replace(recipe, index=number))
        listing.append({"file": name, "energy": value})
    files[SHEET] = images.encode_sheet(u8[final.energy.argsort().cpu()])
    summary = {"recipe": to_dict(recipe), "notes": notes, "images": listing}
    files[LISTING] = json.dumps(summary, indent=1).encode()
    replace_pictures(a.out, files)
    print(f"{recipe.num} images in {a.out}, mean energy {final.energy.mean():.4f}")


def replace_pictures(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put the files of a run there, all or none, and take those away that an earlier one alone had made.

    Raises FileError when the disk refuses; what was there is then untouched.
    """
    old = _pictures_of(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".new-") as new:
        for name, data in files.items():
            write_atomically(Path(new) / name, data)
        for name in files:  # which takes no space any more
            (Path(new) / name).replace(folder / name)
    for name in old - files.keys():
        (folder / name).unlink(missing_ok=True)


def _pictures_of(folder: Path) -> set[str]:
    """The pictures that a run listed there; none where there is no list that can be read."""
    try:
        names = {entry["file"] for entry in json.loads((folder / LISTING).read_text())["images"]}
        return {name for name in names if PICTURE.fullmatch(name)}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return set()


def read_recipe(path: Path, weights: Path, device: str) -> Restored:
    """``restore`` of a file. Raises ValueError, in a sentence that names it, for one that cannot be used."""
    try:
        return restore(path.read_bytes(), weights, device, anywhere=True)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
