"""A model's card as the Hub reads it: above its text a header of figures and what is known of the data."""

import json
import re
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData, hf_hub_url
from yaml import YAMLError

from ebm_core.checkpoint import CheckpointError, ModelInfo
from ebm_core.hub import CARD_FILE, CODEC_CARD_FILE, METRICS_FILE, SAMPLES_FILE
from train.origin import origin_of

LIBRARY = "ebm-studio"
TAGS = ("energy-based-model", "langevin-dynamics", "out-of-distribution-detection")
TASK = "unconditional-image-generation"
USE = """
## Use

With EBM Studio, in its folder, and then on its page:

```sh
hf download {repo}{option} --local-dir weights/{name}
```
"""
SAMPLE = """
Or in Python; `@REVISION` behind it names a branch, a tag or a commit:

```python
from ebm_core.api import sample

pictures = sample("hf:{place}", num=4).pictures
```
"""
CODEC_TERMS = f"""
Its codec has [a card of its own]({CODEC_CARD_FILE}), whose terms hold too.
"""
_OUTWARD = re.compile(r"\[([^\]]*)\]\(\.\./[^)]*\)")


def hub_card(name: str, repo: str, revision: str | None, info: ModelInfo, files: dict[str, Path]) -> str:
    """The card for ``repo`` of a model whose files are ``files``; what its own card's header says counts before ours.

    Raises CheckpointError, in a sentence, for a card or figures that cannot be read.
    """
    origin = origin_of(info.family)
    own, text = _own_card(files[CARD_FILE]) if CARD_FILE in files else ({}, f"\n# {name}\n\n{_sentence(info)}\n")
    results = _results(files[METRICS_FILE], origin.data) if METRICS_FILE in files else []
    header: dict[str, Any] = {
        "library_name": LIBRARY,
        "pipeline_tag": TASK,
        "tags": [*TAGS, *([info.attribute.name] if info.attribute else [])],
        **({"license": origin.licence} if origin.licence else {}),
        **({"license_name": origin.licence_name} if origin.licence_name else {}),
        **({"datasets": list(origin.datasets)} if origin.datasets else {}),
        **({"thumbnail": hf_hub_url(repo, SAMPLES_FILE, revision=revision)} if SAMPLES_FILE in files else {}),
    }
    measured: dict[str, Any] = {"model_name": name, "eval_results": results} if results else {}
    data = ModelCardData(**header | own | measured)
    if CODEC_CARD_FILE in files:  # it lies beside the model there
        text = text.replace(f"(../{info.space.codec}/{CARD_FILE})", f"({CODEC_CARD_FILE})")
    use = (CODEC_TERMS if CODEC_CARD_FILE in files else "") + USE + ("" if info.attribute else SAMPLE)
    if "\n## Use\n" in text:  # it was on the Hub before, or its maker knows better
        use = ""
    place, option = (f"{repo}@{revision}", f" --revision {revision}") if revision else (repo, "")
    use = use.format(repo=repo, name=name, place=place, option=option)
    return f"---\n{data.to_yaml()}\n---\n{without_outward_links(text).rstrip()}\n{use}"


def without_outward_links(text: str) -> str:
    """A card in which the words of links to folders beside the model's, which are not on the Hub, stand alone."""
    return _OUTWARD.sub(r"\1", text)


def _own_card(path: Path) -> tuple[dict[str, Any], str]:
    """Header, empty where there is none, and text of a card."""
    try:
        text = path.read_text(encoding="utf-8")
        if not text.startswith("---"):
            return {}, f"\n{text}"
        card = ModelCard(text, ignore_metadata_errors=True)
    except (ValueError, YAMLError) as error:
        raise CheckpointError(f"the header of {path} is no YAML that can be read; correct or remove it") from error
    header: dict[str, Any] = card.data.to_dict()  # type: ignore[no-untyped-call]
    # Those of another repository, where it came from one; figures have no other source than metrics.json.
    return {key: value for key, value in header.items() if key not in ("model-index", "thumbnail")}, card.text


def _sentence(info: ModelInfo) -> str:
    what = f"by its *{info.attribute.name}*" if info.attribute else "unconditional"
    return f"An energy of pictures, {what}. Nothing has been measured of it yet."


def _results(path: Path, data: str) -> list[EvalResult]:
    """The figures of a metrics.json that were measured, none of its own making."""
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        figures = metrics.get("figures", metrics)  # older files have them at the top
        return [
            *(_frechet(figures["frechet"], data) if "frechet" in figures else []),
            *(_compose(figures["compose"]) if "compose" in figures else []),
            *(_ood(figures["ood"]) if "ood" in figures else []),
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} cannot be read ({error!r}); python -m train card writes it anew") from error


def _frechet(f: dict[str, Any], data: str) -> list[EvalResult]:
    words = f"on {f['features']} features, {f['num_samples']} samples against {f['num_test']} pictures (not an FID)"
    return [_result(_read_on(f, data), "frechet_distance", f"Fréchet distance {words}", f["distance"])]


def _compose(f: dict[str, Any]) -> list[EvalResult]:
    metric, words = ("balanced_accuracy", "share read as asked") if f["choice"] else ("mae", "mean error")
    name = f"{f['attribute']}, {words} by a classifier in {f['samples']} samples ({f['asked']})"
    return [_result(_read_on(f, ""), metric, name, f["read"])]


def _ood(f: dict[str, Any]) -> list[EvalResult]:
    home = f["in_distribution"]["title"]
    measured = [(row, row["detection"]["energy"]) for row in f["sets"] if "energy" in (row.get("detection") or {})]
    return [
        _result(row["title"], "roc_auc", f"AUROC of the energy, {home} against it", energy["auroc"], TAGS[-1])
        for row, energy in measured
    ]


def _read_on(figure: dict[str, Any], otherwise: str) -> str:
    return str(figure["read_on"]["file"]) if "read_on" in figure else otherwise


def _result(dataset: str, metric: str, name: str, value: float, task: str = TASK) -> EvalResult:
    kind = re.sub(r"[^\w.-]+", "-", dataset.lower()).strip("-")
    return EvalResult(
        task_type=task,
        dataset_type=kind,
        dataset_name=dataset,
        metric_type=metric,
        metric_name=name,
        metric_value=value,
    )
