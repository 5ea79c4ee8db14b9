"""``python -m train push NAME owner/repo``: a model's folder as a repository of the Hugging Face Hub."""

import argparse
import json
from pathlib import Path

from ebm_core.hub import REPO, REVISION, WEIGHTS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("model", help="a name under weights/, or a path to a model's folder")
    parser.add_argument("repo", type=repository, help="owner/repo on the Hub, made where it is not there")
    parser.add_argument("--revision", type=branch, help="a branch to push to (default: main)")
    parser.add_argument("--private", action="store_true", help="for you alone, and whom you let in")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)


def run(a: argparse.Namespace) -> None:
    """The command itself. Raises ValueError, in a sentence, before anything is sent or for what the Hub refuses."""
    from ebm_core.checkpoint import load_model, metadata_of
    from ebm_core.hub import CARD_FILE, CODEC_CARD_FILE, CONFIG_FILE, belongings, find_model, title_of, upload
    from train.hub_card import LIBRARY, hub_card, without_outward_links

    if a.model.startswith("hf:"):
        raise ValueError(f"'{a.model}' is on the Hub already; give a model under {a.weights} or a model's folder")
    path = find_model(a.model, a.weights)
    files = belongings(path)
    _, info = load_model(path)  # a damaged file is noticed here, not by whoever fetches it
    name = title_of(str(path))
    config = {"model_type": LIBRARY, **metadata_of(info)}
    del config["calibration"]  # long, and in the model file
    contents: dict[str, Path | bytes] = {
        **files,
        CONFIG_FILE: (json.dumps(config, indent=1) + "\n").encode(),
        CARD_FILE: hub_card(name, a.repo, a.revision, info, files).encode(),
    }
    if CODEC_CARD_FILE in files:
        contents[CODEC_CARD_FILE] = without_outward_links(files[CODEC_CARD_FILE].read_text(encoding="utf-8")).encode()
    commit = upload(contents, a.repo, a.revision, a.private, f"{name}, {', '.join(contents)}")
    print(f"{', '.join(contents)}: in {a.repo}. Everywhere this very model is")
    print(f"hf:{a.repo}@{commit}")


def repository(text: str) -> str:
    """An argparse type: ``owner/repo``."""
    if not REPO.fullmatch(text):
        raise argparse.ArgumentTypeError(f"must be owner/repo, of letters, digits, '-', '_' and '.', got '{text}'")
    return text


def branch(text: str) -> str:
    """An argparse type: the name of a branch."""
    if not REVISION.fullmatch(text):
        raise argparse.ArgumentTypeError(f"must be the name of a branch, got '{text}'")
    return text
