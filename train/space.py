"""``python -m train space DIR NAME...``: all that a Space of the Hugging Face Hub serves the page with."""

import argparse
import re
import shutil
from pathlib import Path
from typing import Any

from ebm_core.arguments import folder_name
from ebm_core.hub import WEIGHTS

ROOT = WEIGHTS.parent
LOCK = ROOT / "requirements" / "app.lock"
PACKAGES = ("app", "ebm_core")
ENTRY = '''"""The page as a Space serves it. The package ``app`` beside this file is the one that is imported."""

import os
import sys

from app.__main__ import main

if __name__ == "__main__":
    # The Hub shows the page in a frame of its own site, under a name that it gives.
    name = os.environ.get("SPACE_HOST", "localhost")
    sys.exit(main(["--host", "0.0.0.0", "--allow-frames", "--allow-host", name]))
'''
TEXT = """# EBM Studio

Energy-based models of pictures: watch noise walk downhill into pictures, mix attributes by adding energies, score
pictures of your own.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("folder", type=Path, help="a new folder")
    parser.add_argument("models", type=folder_name, nargs="+", metavar="NAME", help="models under weights/")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)


def run(a: argparse.Namespace) -> None:
    """The command itself. Raises ValueError, in a sentence, before anything is written."""
    from ebm_core.checkpoint import load_model
    from ebm_core.files import check_new_folder
    from ebm_core.hub import belongings, find_model

    if not LOCK.is_file():
        raise ValueError(
            "a Space is laid out from a checkout, which has requirements/app.lock; this is an installation"
        )
    check_new_folder(a.folder, "give a new one")
    paths = [find_model(name, a.weights) for name in a.models]
    infos = [load_model(path)[1] for path in paths]  # a damaged file is noticed here
    files = {path for model in paths for path in belongings(model).values()}
    for package in PACKAGES:
        shutil.copytree(ROOT / package, a.folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for path in files:  # in folders as they are here, where models share codecs and classifiers
        target = a.folder / "weights" / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    shutil.copyfile(LOCK, a.folder / "requirements.txt")
    shutil.copyfile(ROOT / "LICENSE", a.folder / "LICENSE")
    (a.folder / "app.py").write_text(ENTRY)
    (a.folder / "README.md").write_text(space_card([info.family for info in infos]), encoding="utf-8")
    print(f"{a.folder}: hf upload owner/name {a.folder} . --repo-type space")


def space_card(families: list[str]) -> str:
    """The Space's README: what it runs on, and the terms of its models' data."""
    from huggingface_hub import SpaceCardData

    from train.origin import origin_of

    origins = dict.fromkeys(origin_of(family) for family in families)
    one = next(iter(origins)) if len(origins) == 1 else None  # several licences are told below, and none of them first
    licence: dict[str, Any] = {"license_name": one.licence_name} if one and one.licence_name else {}
    data = SpaceCardData(
        title="EBM Studio",
        sdk="gradio",
        sdk_version=re.findall(r"^gradio==(\S+)", LOCK.read_text(), re.MULTILINE)[0],
        python_version="3.11",
        app_file="app.py",
        license=one.licence or None if one else None,
        emoji="⛰️",
        colorFrom="indigo",
        colorTo="blue",
        short_description="Watch noise walk downhill into pictures",
        **licence,
    )
    terms = "".join(f"\n{origin.terms}\n" for origin in origins if origin.terms)
    return f"---\n{data.to_yaml()}\n---\n\n{TEXT}{terms}"
