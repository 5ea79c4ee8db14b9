"""``python -m train evaluate codec CODEC``: what a codec loses, how learnable its latents are, what it costs."""

import argparse
import json
from pathlib import Path
from typing import Any

from ebm_core.arguments import add_device, whole
from ebm_core.hub import WEIGHTS
from ebm_core.recipe import SEED
from train.markdown import table
from train.provenance import add_allow_dirty, command_of, portable, provenance

SHEET = "reconstructions-private.png"  # git ignores this name: the data sets' pictures are not this project's


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_device(parser)
    parser.add_argument("codec", type=Path, nargs="?", default=WEIGHTS / "codec" / "codec.safetensors")
    parser.add_argument(
        "--data", nargs=2, action="append", required=True, metavar=("TRAIN", "TEST"), help="zips; may be repeated"
    )
    parser.add_argument("--teacher", help="folder of the teacher's weights, to be measured beside it")
    parser.add_argument("--num", type=whole(2), default=500, help="pictures of each zip")
    parser.add_argument("--seed", type=SEED, default=0, help="which pictures of each zip")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    add_allow_dirty(parser)


def run(a: argparse.Namespace) -> None:
    import torch

    from ebm_core import images
    from ebm_core.codec import load_codec
    from ebm_core.files import write_atomically
    from train.data import DataConfig, load
    from train.evaluate.codec_figures import Map, Measured, coded, costs
    from train.teacher import load_teacher

    codec = load_codec(a.codec, a.device)
    coders: dict[str, tuple[Map, Map]] = {"codec": (codec.encode, codec.decode)}
    if a.teacher:
        teacher = load_teacher(a.teacher, a.device)
        coders["teacher"] = (lambda x: teacher.encoder(x), lambda z: teacher.decoder(z).clamp(0, 1))
    rows: list[dict[str, Any]] = []
    a.out.mkdir(parents=True, exist_ok=True)
    for paths in a.data:
        train, test = (load(DataConfig("zip", path), codec.config.image_size).images for path in paths)
        measured = Measured(train, test, a.num, a.seed, a.device)
        for name, (encode, decode) in coders.items():
            rows.append({"data": Path(paths[1]).stem, "coder": name, **measured(encode, decode)})
            print(json.dumps(rows[-1]), flush=True)
        sheet = torch.cat([test[:8], *(coded(test[:8], *coder, a.device)[1] for coder in coders.values())])
        images.grid(sheet, 8, zoom=2).save(a.out / f"{Path(paths[1]).stem}-{SHEET}")
    pairs = [part for paths in a.data for part in ("--data", *paths)]
    options = {"teacher": a.teacher, "num": a.num, "seed": a.seed, "out": a.out}
    command = command_of(["evaluate", "codec", str(a.codec), *pairs], options, a.device)
    report = {
        "rows": rows,
        "cost": costs(codec, a.device),
        "parameters": {n: sum(p.numel() for p in getattr(codec, n).parameters()) for n in ("encoder", "decoder")},
        "mib": round(a.codec.stat().st_size / 2**20, 2),
        "seed": a.seed,
        "trained": codec.provenance,
        "provenance": provenance(command),
    }
    report = portable(report)
    write_atomically(a.out / "codec.json", json.dumps(report, indent=1).encode())
    write_atomically(a.out / "README.md", markdown(report).encode())


def markdown(report: dict[str, Any]) -> str:
    """The report in words and a table."""
    rows, cost, origin = report["rows"], report["cost"], report["provenance"]
    head = [
        "pictures",
        "coder",
        "PSNR, dB",
        "Fréchet distance, train reconstructed to test",
        "train to test (floor)",
        "ratio",
        "test reconstructed to test",
        "lag-1 correlation",
        "not predicted by 3x3 neighbours",
        "mean picture's share",
    ]
    cells = []
    for row in rows:
        floor, train = row["floor_train_against_test"], row["train_reconstructed_against_test"]
        cells.append(
            [
                f"{row['data']} ({row['num']})",
                row["coder"],
                f"{row['psnr']:.1f}",
                f"{train:.1f}",
                f"{floor:.1f}",
                f"{train / floor:.2f}",
                f"{row['test_reconstructed_against_test']:.1f}",
                f"{row['lag1']:.2f}",
                f"{row['unpredicted']:.2f}",
                f"{row['mean_picture']:.2f}",
            ]
        )
    return "\n".join(
        [
            f"# What the codec loses: {', '.join(dict.fromkeys(row['data'] for row in rows))}",
            "",
            table(head, cells),
            "",
            f"Distances are on {rows[0]['features']} features, so no FID; the codec was trained on a loss of the same "
            "features, which flatters its distances. The last three columns are of the test pictures' latents "
            "(`train/evaluate/latents.py` says how).",
            "",
            _origin(report),
            "",
            f"The codec's file has {report['mib']:.2f} MiB. A picture costs {cost['encode_ms']:.1f} ms to encode, "
            f"{cost['decode_ms']:.1f} ms to decode and {cost['preview_ms']:.2f} ms to preview, in float32 and "
            f"batches of "
            f"{cost['batch']}.",
            "",
            f"`{origin['command']}`, {origin['date']}, commit {origin['commit']}, {origin['machine']}. The "
            f"reconstructions "
            "are not kept here: the pictures are not the project's to pass on.",
            "",
        ]
    )


def _origin(report: dict[str, Any]) -> str:
    """How the codec was trained, in a sentence or two."""
    trained, parameters = report["trained"], report["parameters"]
    if "config" not in trained:
        return "The codec's file does not say how it was trained."
    config = trained["config"]
    data = config["data"]["path"].replace(",", " and ")
    text = (
        f"Encoder and decoder have {parameters['encoder'] / 1e6:.2f} and {parameters['decoder'] / 1e6:.2f} million "
        f"parameters. Trained on {data} for {trained['iteration']:,} iterations of {config['batch_size']} pictures "
        f"(commit {trained['commit']}, {trained['date']}, {trained['machine']})"
    )
    if not config.get("teacher"):
        return f"{text}, without a teacher."
    return f"{text}, against the latents of {config['teacher']}; nothing of that teacher is in the file."
