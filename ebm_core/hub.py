"""From a name to a model file and the space it lives in, and from a file to the Hub. All use of the network is here."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from huggingface_hub import CommitOperationAdd, HfApi, constants, get_token, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from ebm_core.checkpoint import CheckpointError, ModelInfo, read_info
from ebm_core.classifier import CLASSIFIER_FILE
from ebm_core.codec import Codec, load_codec
from ebm_core.files import one_line
from ebm_core.nets import NetConfig
from ebm_core.space import Space, SpaceConfig, latent, pixels

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
# What a model's folder has, here and on the Hub. The page knows a codec and a classifier by folders of their own, which
# several models share; on the Hub each repository is whole (``belongings``).
MODEL_FILE = "model.safetensors"
CALIBRATION_FILE = "calibration.safetensors"  # what of its calibration are tensors
CODEC_FILE = "codec.safetensors"
DETECTOR_FILE = "detector.safetensors"  # of a person's own pictures; no model of the page's
CARD_FILE = "README.md"
METRICS_FILE = "metrics.json"  # the card's figures, with their commands
SAMPLES_FILE = "samples.webp"
CODEC_CARD_FILE = "codec.md"  # where a codec lies beside its model, as on the Hub: its card, whose terms hold too
CONFIG_FILE = "config.json"  # on the Hub alone: what the model file says of itself, for readers who do not open it
REPO = re.compile(r"[\w.-]+/[\w.-]+")
REVISION = re.compile(r"[\w.-]+(?:/[\w.-]+)*")
# Of all that its library's HTTP client raises, whichever that is: httpx before version 2, httpx2 since.
HTTPError: type[Exception] = HfHubHTTPError.__bases__[0]
HUB_NAME = re.compile(rf"hf:({REPO.pattern})(?:@({REVISION.pattern}))?")


class HubError(CheckpointError):
    """What the Hub does not give or take; the message says why and what to do, and never a token."""


def shipped_models(weights: Path = WEIGHTS) -> list[str]:
    """Names of the models in the weights folder, sorted."""
    return sorted(path.parent.name for path in weights.glob(f"*/{MODEL_FILE}"))


def check_models(weights: Path = WEIGHTS) -> dict[str, ModelInfo | CheckpointError]:
    """What each model file of the weights folder says of itself, or why it or its codec cannot be used."""
    checked: dict[str, ModelInfo | CheckpointError] = {}
    for name in shipped_models(weights):
        path = weights / name / MODEL_FILE
        try:
            info = read_info(path)
            open_space(info.space, info.net, model=path)
            checked[name] = info
        except CheckpointError as error:
            checked[name] = error
    return checked


def shipped_infos(weights: Path = WEIGHTS) -> dict[str, ModelInfo]:
    """What the usable model files of the weights folder say of themselves."""
    return {name: info for name, info in check_models(weights).items() if isinstance(info, ModelInfo)}


def find_model(name: str, weights: Path = WEIGHTS) -> Path:
    """The model file for a shipped model's name, a path to a file or folder, or ``hf:owner/repo[@revision]``.

    A file of the Hub stays in its cache (HF_HOME), whence it comes without a network. Raises CheckpointError when there
    is none, with the names there are.
    """
    if match := HUB_NAME.fullmatch(name):
        return _fetch(match[1], match[2])
    if name in shipped_models(weights):
        return weights / name / MODEL_FILE
    path = Path(name)
    if path.is_dir():
        path = path / MODEL_FILE
    if not path.is_file():
        known = ", ".join(shipped_models(weights)) or "none yet"
        raise CheckpointError(
            f"no model '{name}': give one of the shipped models ({known}), a path to a .safetensors file, or "
            "hf:owner/repo, with @ and a revision where one is meant"
        )
    return path


def title_of(model: str) -> str:
    """What ``find_model``'s model is called: by its name; of a path the folder's, or a file's that has no folder."""
    path = Path(model)
    if HUB_NAME.fullmatch(model):
        return model
    return path.parent.name if path.name == MODEL_FILE and path.parent.name else path.name.removesuffix(".safetensors")


def belongings(model: Path) -> dict[str, Path]:
    """The files that belong to a model, by the names that they have in a folder of its own: ``*_FILE``.

    Raises CheckpointError for a file that is no model, and for a codec that is missing or another than the model's.
    """
    info = read_info(model)
    open_space(info.space, info.net, model=model)
    files, beside = {MODEL_FILE: model}, {}
    if info.space.is_latent:
        files[CODEC_FILE] = codec = find_codec(info.space.codec, model)
        beside[CODEC_CARD_FILE] = codec.with_name(CARD_FILE if codec.parent != model.parent else CODEC_CARD_FILE)
    if info.calibration.get("joint"):
        beside[CALIBRATION_FILE] = calibration_file(model)
    if model.name == MODEL_FILE:  # it has a folder of its own; what lies beside another file may be anybody's
        own = model.with_name(CLASSIFIER_FILE)
        of_family = model.parent.parent / info.family / CLASSIFIER_FILE
        beside[CLASSIFIER_FILE] = own if own.is_file() or not info.family else of_family
        beside |= {name: model.with_name(name) for name in (CARD_FILE, METRICS_FILE, SAMPLES_FILE)}
    return files | {name: path for name, path in beside.items() if path.is_file()}


def calibration_file(model: Path) -> Path:
    """Where the tensors of a model's calibration are: in its folder, by its own name where others may lie there too."""
    return model.with_name(CALIBRATION_FILE if model.name == MODEL_FILE else f"{model.stem}.{CALIBRATION_FILE}")


def find_codec(name: str, model: Path | None = None) -> Path:
    """The file of a codec: beside the file ``model`` or in a folder ``name`` beside its own, else the shipped one.

    Raises CheckpointError when there is none.
    """
    folders = [model.parent, model.parent.parent / name] if model else []
    places = [folder / CODEC_FILE for folder in [*folders, WEIGHTS / name]]
    for place in places:
        if place.is_file():
            return place
    raise CheckpointError(
        f"{model or 'the config'} lives in the latents of the codec '{name}', which is not there; put its "
        f"{CODEC_FILE} into the folder {places[0].parent if model else WEIGHTS / name}"
    )


def open_space(config: SpaceConfig, net: NetConfig, device: str = "cpu", model: Path | None = None) -> Space:
    """The space that a network's points live in; ``model`` is the file that it came from, if it did.

    Raises CheckpointError for a codec that is missing, not the one that the model was trained with, or whose latents
    the network does not take.
    """
    if not config.is_latent:
        return pixels(net.channels, net.image_size)
    path, codec = _open_codec(config.codec, model, device)
    if config.weights and codec.weights != config.weights:
        raise CheckpointError(
            f"{model or 'the config'} was trained in the latents of another '{config.codec}' than {path}; give it its "
            "own codec, or train it again"
        )
    if codec.config.latent_shape != (net.channels, net.image_size, net.image_size):
        c, side, _ = codec.config.latent_shape
        raise CheckpointError(
            f"the network takes points of {net.channels} channels and side {net.image_size}, the latents of {path} "
            f"have {c} and {side}; set [net] channels and image_size to these"
        )
    return latent(codec)


def pinned(config: SpaceConfig) -> SpaceConfig:
    """The same space with the digest of the codec that is there now, for what is to be trained in it."""
    if not config.is_latent or config.weights:
        return config
    return replace(config, weights=_open_codec(config.codec)[1].weights)


def _open_codec(name: str, model: Path | None = None, device: str = "cpu") -> tuple[Path, Codec]:
    path = find_codec(name, model)
    return path, _codec(path, path.stat().st_mtime_ns, device)


@lru_cache(maxsize=4)
def _codec(path: Path, modified: int, device: str) -> Codec:
    """One for all models of a process: it is only read."""
    return load_codec(path, device)


def upload(files: Mapping[str, Path | bytes], repo: str, revision: str | None, private: bool, message: str) -> str:
    """Put files, by their names there, into the repository ``owner/repo`` of the Hub in one commit; its id.

    The repository and the branch ``revision`` (main without) are made where they are not there. Raises HubError; no
    file is changed then.
    """
    token = get_token()
    if token is None:
        raise HubError("nobody is logged in: `hf auth login`, or the variable HF_TOKEN, takes a token that may write")
    if not re.fullmatch("[!-~]+", token):
        raise HubError("the token has characters that no token has; copy it anew (`hf auth login`, or HF_TOKEN)")
    api = HfApi()
    with _in_a_sentence(repo, revision):
        api.create_repo(repo, private=private or None, exist_ok=True)
        if private and not api.model_info(repo).private:
            raise HubError(
                f"{repo} is there already and everybody can read it: make it private in its settings, or give another "
                "name (nothing was uploaded)"
            )
        if revision:
            api.create_branch(repo, branch=revision, exist_ok=True)
        additions = [CommitOperationAdd(name, content) for name, content in files.items()]
        return str(api.create_commit(repo, additions, commit_message=message, revision=revision).oid)


def _fetch(repo: str, revision: str | None) -> Path:
    with _in_a_sentence(repo, revision):
        path = Path(hf_hub_download(repo, MODEL_FILE, revision=revision))
        info, commit = read_info(path), path.parent.name  # in the commit's folder of the cache files lie together
        if info.space.is_latent:
            hf_hub_download(repo, CODEC_FILE, revision=commit)
        if info.calibration.get("joint"):
            with suppress(EntryNotFoundError):  # a score less, which is said where it is asked for
                hf_hub_download(repo, CALIBRATION_FILE, revision=commit)
        return path


@contextmanager
def _in_a_sentence(repo: str, revision: str | None) -> Iterator[None]:
    """Raises HubError for whatever the Hub, its library or the network has against what is done in it."""
    try:
        yield
    except CheckpointError:
        raise
    # Its library raises RuntimeError for a file that could not be uploaded, ValueError for answers that it cannot read.
    except (HTTPError, OSError, RuntimeError, ValueError) as error:
        raise HubError(_reason(error, repo, revision)) from error


def _reason(error: BaseException, repo: str, revision: str | None) -> str:
    """Only chosen words of an error go into it: requests carry the token, and so may what libraries say of them."""
    host = urlsplit(constants.ENDPOINT).hostname
    place = f"{repo}@{revision}" if revision else repo
    cause = error.__cause__
    if isinstance(error, LocalEntryNotFoundError) and not isinstance(cause, HfHubHTTPError):
        return f"{host} cannot be reached, and {place} is not in this machine's cache; fetch it once with a network"
    if isinstance(error, (LocalEntryNotFoundError, RuntimeError)) and cause is not None:
        return _reason(cause, repo, revision)
    if isinstance(error, HFValidationError):
        return f"'{repo}' is no name of a repository: owner/name, of letters, digits, '-', '_' and '.' within it"
    if isinstance(error, OfflineModeIsEnabled):
        return f"{host} is not asked while HF_HUB_OFFLINE is set; unset it"
    if not isinstance(error, HTTPError):
        return f"{place} on {host}: {_without_token(one_line(error))}"
    if not isinstance(error, HfHubHTTPError):
        return f"{host} cannot be reached ({type(error).__name__}); try again with a network"
    status = error.response.status_code
    if isinstance(error, GatedRepoError):
        return f"{repo} is given only to those whom its owner has let in: ask on its page at {host}, and log in"
    if isinstance(error, RevisionNotFoundError):
        return f"{repo} has no revision '{revision}'; give a branch, a tag or a commit that it has"
    if isinstance(error, RemoteEntryNotFoundError):
        missing = str(error.response.request.url).rsplit("/", 1)[-1]
        return f"{place} has no {missing}: it is no model of this program, or not a whole one"
    if isinstance(error, RepositoryNotFoundError) or status == 404:
        return f"{host} knows no {repo} that you may read; check the name, and log in (`hf auth login`) if private"
    if status == 401:
        return f"{host} does not know this token; give it one that is valid (`hf auth login`, or HF_TOKEN)"
    if status == 403:
        return f"{host} does not let this token do that to {repo}; give one that may (`hf auth login`, or HF_TOKEN)"
    return f"{host} answered {status} about {place}: {_without_token(error.server_message or 'without a reason')}"


def _without_token(text: str) -> str:
    token = get_token()
    return text.replace(token, "(the token)") if token else text
