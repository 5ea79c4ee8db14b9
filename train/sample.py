"""``python -m train sample``: pictures and energies of a model, or of a composition of several.

They also come as one sheet, lowest energy first: failures tend to be the last.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

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

SHEET = "by-energy.webp"


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
    parser.add_argument("--force", action="store_true", help="replace the pictures that are in the folder")


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
    for old in a.out.glob("[0-9]" * 5 + ".png"):
        old.unlink()
    listing = []
    u8 = images.quantise(scene.space.decode(final.x)).cpu()
    for number, (image, value) in enumerate(zip(u8, final.energy.tolist(), strict=True)):
        name = f"{number:05d}.png"
        write_atomically(a.out / name, to_png(images.to_pil(image), replace(recipe, index=number)))
        listing.append({"file": name, "energy": value})
    write_atomically(a.out / SHEET, images.encode_sheet(u8[final.energy.argsort().cpu()]))
    summary = {"recipe": to_dict(recipe), "notes": notes, "images": listing}
    write_atomically(a.out / "energies.json", json.dumps(summary, indent=1).encode())
    print(f"{recipe.num} images in {a.out}, mean energy {final.energy.mean():.4f}")


def read_recipe(path: Path, weights: Path, device: str) -> Restored:
    """``restore`` of a file. Raises ValueError, in a sentence that names it, for one that cannot be used."""
    try:
        return restore(path.read_bytes(), weights, device, anywhere=True)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
