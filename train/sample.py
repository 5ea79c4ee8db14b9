"""``python -m train sample``: pictures and energies of a model, or of a composition of several."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from ebm_core import images
from ebm_core.checkpoint import load_model
from ebm_core.composition import Composition, Term
from ebm_core.config import to_dict
from ebm_core.files import check_new_folder, write_atomically
from ebm_core.hub import WEIGHTS, find_model
from ebm_core.images import PNG_SIGNATURE
from ebm_core.precision import for_sampling
from ebm_core.recipe import CHAINS, SEED, Recipe, fingerprint, from_png, to_png
from train.evaluate.samples import draw_chains


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="?", help="a name under weights/, a path, or hf:owner/repo")
    parser.add_argument(
        "--recipe", type=Path, metavar="FILE", help="instead of a model: a composition as JSON, or a PNG of the page"
    )
    parser.add_argument("--num", type=CHAINS, help="default 16, or that of the PNG")
    parser.add_argument("--seed", type=SEED, help="default 0, or that of the PNG")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="the weights folder")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new or empty folder")
    parser.add_argument("--force", action="store_true", help="replace the pictures that are in the folder")


def run(a: argparse.Namespace) -> None:
    if (a.model is None) == (a.recipe is None):
        raise ValueError("give either a model's name or --recipe FILE")
    if not a.force:
        check_new_folder(a.out, "choose another folder, or --force replaces its pictures")
    composition, saved = (Composition(Term(a.model)), None) if a.recipe is None else read_recipe(a.recipe)
    files = {name: find_model(name, a.weights) for name in composition.models()}
    loaded = {name: load_model(path, a.device) for name, path in files.items()}
    infos = {name: info for name, (_, info) in loaded.items()}
    plan = composition.plan(infos)
    if saved is not None:
        plan = saved.plan
    num = a.num if a.num is not None else (saved.num if saved else 16)
    seed = a.seed if a.seed is not None else (saved.seed if saved else 0)
    mixed = a.model is None and not isinstance(composition.root, Term)
    first = infos[composition.models()[0]]
    recipe = Recipe(
        first.family if mixed else composition.models()[0], fingerprint(*files.values()), plan, seed, num,
        composition=composition if mixed else None,
    )  # fmt: skip
    energy = composition.energy({name: for_sampling(net, min(num, 16), a.device) for name, (net, _) in loaded.items()})
    shape = (first.net.channels, first.net.image_size, first.net.image_size)
    drawn, energies = draw_chains(lambda part: energy, shape, plan, num, seed, batch=num, device=a.device)
    for old in a.out.glob("[0-9]" * 5 + ".png"):
        old.unlink()
    listing = []
    for number, (image, value) in enumerate(zip(drawn, energies.tolist(), strict=True)):
        name = f"{number:05d}.png"
        write_atomically(a.out / name, to_png(images.to_pil(image), replace(recipe, index=number)))
        listing.append({"file": name, "energy": value})
    summary = {"recipe": to_dict(recipe), "images": listing}
    write_atomically(a.out / "energies.json", json.dumps(summary, indent=1).encode())
    print(f"{num} images in {a.out}, mean energy {energies.mean():.4f}")


def read_recipe(path: Path) -> tuple[Composition, Recipe | None]:
    """The composition in a JSON file, or in a PNG that the page saved, with the PNG's whole recipe.

    Raises ValueError, in a sentence, when there is none that could be made again.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    if data.startswith(PNG_SIGNATURE):
        recipe = from_png(data)
        if recipe.steered:
            raise ValueError(f"{path} was steered while it ran, so its recipe does not make it again")
        return recipe.composition or Composition(Term(recipe.model)), recipe
    try:
        return Composition.from_plain(json.loads(data)), None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is neither JSON nor a PNG of this program: {error}") from error
