"""``python -m train card NAME``: the card of a model, with an uncurated sheet, from its own file and its reports."""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ebm_core import images
from ebm_core.arguments import add_device, folder_name
from ebm_core.checkpoint import ModelInfo, load_model
from ebm_core.compose import conditioned
from ebm_core.files import write_atomically
from ebm_core.hub import CARD_FILE, METRICS_FILE, MODEL_FILE, SAMPLES_FILE, WEIGHTS, open_space
from ebm_core.nets import EnergyNetwork
from ebm_core.nets.liveness import attention_shares, dead_scales, describe_dead_attention, describe_dead_scales
from ebm_core.precision import for_sampling
from ebm_core.recipe import fingerprint
from ebm_core.sampling import SamplePlan, final_state, sample
from ebm_core.space import Space
from train.card_figures import collect
from train.evaluate.ood_sets import PIXELS
from train.evaluate.split import saying
from train.history import describe_training, objective, parts_of
from train.markdown import table
from train.origin import origin_of
from train.provenance import add_allow_dirty, command_of, portable, provenance

COLUMNS = 8
PICTURES = 32  # of the sheet, in which a scale that is alive shows some spread
FRECHET = "Fréchet distance"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_device(parser)
    parser.add_argument("name", type=folder_name, help="a folder under weights/")
    parser.add_argument("--compose", type=Path, help="compose.json of the model's family: what a classifier reads")
    parser.add_argument("--frechet", type=Path, help="frechet.json of the model")
    parser.add_argument("--ood", type=Path, help="ood.json of the model")
    parser.add_argument("--poor", help="what is still poor, a sentence or two (default: what the card says now)")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    add_allow_dirty(parser)


def run(a: argparse.Namespace) -> None:
    folder = a.weights / a.name
    net, info = load_model(folder / MODEL_FILE, a.device)
    own = fingerprint(folder / MODEL_FILE)
    figures = collect(info, own, compose=a.compose, frechet=a.frechet, ood=a.ood)  # before the walks, which take long
    now = json.loads((folder / METRICS_FILE).read_text()) if (folder / METRICS_FILE).is_file() else {}
    space = open_space(info.space, info.net, a.device, folder / MODEL_FILE)
    sheet, rows = draw_sheet(net, info, space, a.device)
    pictures = space.decode(sheet.to(a.device)).cpu()
    write_atomically(folder / SAMPLES_FILE, images.encode_sheet(pictures, COLUMNS))
    dead = dead_parts(net, info, sheet[:PICTURES].to(a.device))
    options = {"compose": a.compose, "frechet": a.frechet, "ood": a.ood, "poor": a.poor, "weights": a.weights}
    command = command_of(["card", a.name], options, a.device)
    metrics = portable(
        {
            "figures": figures,
            "trained": trained(info, now),
            "poor": a.poor or now.get("poor", ""),
            "dead": dead,
            "card": provenance(command),
        }
    )
    write_atomically(folder / METRICS_FILE, (json.dumps(metrics, indent=1) + "\n").encode())
    size = (folder / MODEL_FILE).stat().st_size / 2**20
    num = sum(p.numel() for p in net.parameters())
    write_atomically(folder / CARD_FILE, write_card(a.name, info, space, size, num, rows, metrics).encode())
    print(folder / CARD_FILE)


def trained(info: ModelInfo, now: dict[str, Any]) -> str:
    """How a model was trained, added up from the parts in its file; of an older file the sentence of its card."""
    if "parts" in info.provenance:
        return describe_training(parts_of(info.provenance))
    return str(now.get("trained", "")) or "Neither the model's file nor an older card says how."


def dead_parts(net: EnergyNetwork, info: ModelInfo, x: Tensor) -> str:
    """Sentences on scales and attentions that say nothing of the pictures ``x (B, C, H, W)``, for the first label."""
    attribute = info.attribute
    y = torch.tensor(attribute.encode(attribute.sheet[0]), device=x.device) if attribute else None
    y = None if y is None else y.expand(len(x), -1)
    sentences = (describe_dead_scales(dead_scales(net, x, y)), describe_dead_attention(attention_shares(net, x, y)))
    return " ".join(filter(None, sentences))


def draw_sheet(net: EnergyNetwork, info: ModelInfo, space: Space, device: str) -> tuple[Tensor, list[str]]:
    """Points of samples of seed 0, ``COLUMNS`` in a row, and each row's label in words; all from the same noise."""
    attribute = info.attribute
    fast = for_sampling(net)
    values = attribute.sheet if attribute else [None]
    num = COLUMNS if attribute else COLUMNS * COLUMNS
    points, words = [], []
    for value in values:
        label = torch.tensor(attribute.encode(value), device=device) if attribute else None
        rng = torch.Generator(device).manual_seed(0)
        chain = sample(conditioned(fast, label), space.noise(num, rng), info.plan, rng, space)
        points.append(final_state(chain).x.cpu())
        if attribute and label is not None:
            words.append(attribute.describe(label.tolist()))
    return torch.cat(points), words


def write_card(
    name: str, info: ModelInfo, space: Space, mebibytes: float, num: int, rows: list[str], metrics: dict[str, Any]
) -> str:
    """The card as Markdown."""
    size, origin = space.picture_shape[1], origin_of(info.family)
    what = f"by its *{info.attribute.name}*" if info.attribute else "unconditional"
    lines = [
        f"# {name}",
        "",
        f"An energy of {origin.data}, {size}x{size}, {what}. {num / 1e6:.2f} million "
        f"parameters, {mebibytes:.1f} MiB in float16." + _latents(info, space),
        "",
        origin.terms,
        "",
        f"![Samples, seed 0, nothing chosen]({SAMPLES_FILE})",
        "",
        f"*Uncurated: seed 0, the model's own plan ({describe_plan(info.plan)})."
        + (f" Rows, from the same noise: {'; '.join(rows)}.*" if rows else "*"),
        "",
        "## Figures",
        "",
    ]
    figures = metrics["figures"]
    if "compose" in figures:
        f = figures["compose"]
        unit = "balanced share read as asked" if f["choice"] else "mean error"
        lines += [
            f"A classifier trained on real pictures alone reads {f['samples']} samples, each asked for one value "
            f"(*{f['asked']}*). Each value that is asked for counts alike, and all rows are asked the same. "
            + saying(f["read_on"]),
            "",
            table(
                ("", unit),
                (
                    ("**samples of this model**", f"**{f['read']:.3f}**"),
                    ("samples where nothing was asked", _number(f["read_where_nothing_is_asked"])),
                    ("real pictures that have it", _number(f["read_in_real_pictures"])),
                ),
            ),
            "",
        ]
    if "frechet" in figures:
        f = figures["frechet"]
        lines += [
            saying(f["read_on"]),
            "",
            table(
                (f"{f['num_samples']} pictures against {f['num_test']} {f['read_on']['kind']} images", FRECHET),
                (
                    ("floor: training images", f"{f['floor_train_against_test']:.1f}"),
                    ("**this model**", f"**{f['distance']:.1f}**"),
                    ("ceiling: noise", f"{f['ceiling_noise_against_test']:.1f}"),
                ),
            ),
            "",
            f"On {f['features']} features at 128x128 pixels, so **not** an FID. The median squared error to the "
            f"nearest training image is {f['nearest_training_image_mse']['samples_median']:.5f} for samples and "
            f"{f['nearest_training_image_mse']['test_median']:.5f} for test images: no copies.",
            "",
        ]
    if "ood" in figures:
        names = figures["ood"]["scores"]
        home = figures["ood"]["in_distribution"]["title"]
        rows_of_sets = []
        for row in figures["ood"]["sets"]:
            detection = row.get("detection")
            values = [f"{detection[name]['auroc']:.2f}" for name in names] if detection else ["not run"] * len(names)
            rows_of_sets.append((row["title"], *values, row["paper_auroc"] or ""))
        lines += [
            f"AUROC of each score, {home} against other sets (0.5 is chance):",
            "",
            table(("set", *names, "the paper's, by energy"), rows_of_sets),
            "",
        ]
        if PIXELS in names:
            lines += [f"*{PIXELS}* is no model: six plain statistics of a picture, which the others should beat.", ""]
    p = info.provenance
    if tuning := p.get("tuning"):
        of_whom = "How far it walks" if info.attribute is None else "It walks as its family does; how far that is"
        lines += [
            f"{of_whom} was chosen on `{tuning['file']}`, by the Fréchet distance of {tuning['num']} samples: "
            f"*{tuning['chosen']}*."
            + (" Candidates were asked for, whatever their distance." if tuning.get("candidates", 1) > 1 else ""),
            "",
            table(("plan", FRECHET), ((row["name"], f"{row['distance']:.1f}") for row in tuning["plans"])),
            "",
        ]
    lines += [
        "`metrics.json` has all figures with their commands, commits, machines and dates.",
        "",
        "## How it was trained",
        "",
        *([objective(p), ""] if objective(p) else []),
        metrics["trained"],
        "",
        f"Exported {p.get('date')}, commit {p.get('commit')}. The whole configuration is in the file's metadata.",
        "",
        "## What is poor",
        "",
        *([metrics["dead"], ""] if metrics["dead"] else []),
        metrics["poor"],
        "",
    ]
    return "\n".join(lines)


def describe_plan(plan: SamplePlan) -> str:
    """How a picture comes about, in words."""
    steps = f"{plan.num_steps} Langevin steps"
    if plan.candidates == 1:
        return steps
    return f"{steps}; of {plan.candidates} chains each the one of lowest energy after {plan.round_steps} of them"


def _latents(info: ModelInfo, space: Space) -> str:
    """A sentence on where a latent model's chains walk; nothing for pixels."""
    if not info.space.is_latent:
        return ""
    c, h, w = space.shape
    return (
        f" Its chains walk in the latents of [{info.space.codec}](../{info.space.codec}/README.md), {h}x{w} points of "
        f"{c} numbers, and are decoded at the end; the codec's weights must be those with the digest "
        f"`{info.space.weights}`."
    )


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"
