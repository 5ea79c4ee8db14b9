"""``python -m benchmarks``: write ``results.json`` and ``README.md``; takes minutes and wants an idle machine."""

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.live_view import live_view_alone
from benchmarks.report import markdown, sampling_table
from benchmarks.sampling import rows
from benchmarks.training import compare, warm_start_rate
from ebm_core.arguments import COUNT, Parser, add_device
from ebm_core.checkpoint import load_model
from ebm_core.config import load_toml
from ebm_core.files import write_atomically
from ebm_core.hub import find_model, shipped_models
from ebm_core.nets import EnergyNetwork, NetConfig
from train.config import IcdConfig, TrainConfig
from train.data import DataConfig
from train.provenance import add_allow_dirty, parse_publishing, provenance

CONFIGS = Path(__file__).resolve().parent.parent / "train" / "configs"
# The reference's own setting where a GPU can carry it; on a CPU a short chain, whose share is the same in both.
ICD_ON = {"cuda": IcdConfig(batch_size=128, steps=40), "cpu": IcdConfig(batch_size=16, steps=5, entropy_past=16)}


def main() -> None:
    parser = Parser(prog="python -m benchmarks", description=__doc__)
    add_device(parser)
    parser.add_argument("--batches", type=COUNT, nargs="+", default=[1, 16, 64])
    parser.add_argument("--repeats", type=COUNT, default=3, help="of the training steps and walks; the median counts")
    parser.add_argument(
        "--compile", type=COUNT, nargs="*", default=[], metavar="BATCH", help="also torch.compile's rows, minutes each"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks"), help="folder of both files")
    add_allow_dirty(parser)
    a = parse_publishing(parser)
    torch.manual_seed(0)
    paper = EnergyNetwork(NetConfig()).to(a.device)
    shipped = _distinct({name: load_model(find_model(name), a.device)[0] for name in shipped_models()})

    about = provenance(shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]))
    report: dict[str, Any] = {**about, "sampling": [], "training": [], "warm_start": {}}
    for name, net in {"CIFAR-10, F = 64": paper, **shipped}.items():
        for row in rows(name, net, tuple(a.batches), a.device, tuple(a.compile)):
            report["sampling"].append(row)
            print(sampling_table([row]).splitlines()[-1], flush=True)
    images = torch.randint(256, (512, 3, 32, 32), dtype=torch.uint8)
    cifar = TrainConfig(DataConfig("zip", ""), NetConfig(), icd=ICD_ON[a.device.split(":")[0]])
    report["training"].append(compare("CIFAR-10, F = 64", cifar, images, a.device, a.repeats))
    for path in sorted(CONFIGS.glob("*.toml")):
        config = load_toml(TrainConfig, path)
        if config.attribute is not None or config.space.is_latent:
            continue  # the same network as its family's, and a few hundred iterations; or none of 32x32 pixels
        config = replace(config, data=replace(config.data, path=""))
        report["warm_start"][path.stem] = warm_start_rate(config, images, a.device, a.repeats)
    report["page"] = [live_view_alone(name, a.device, a.repeats) for name in shipped]
    write_atomically(a.out / "results.json", (json.dumps(report, indent=1) + "\n").encode())
    write_atomically(a.out / "README.md", markdown(report).encode())
    print(a.out / "README.md")


def _distinct(nets: dict[str, EnergyNetwork]) -> dict[str, EnergyNetwork]:
    """One unconditional network of each architecture: what models have learned makes no difference to their speed."""
    by_config = {net.config: (name, net) for name, net in reversed(nets.items()) if not net.config.label_dim}
    return dict(sorted(by_config.values()))


if __name__ == "__main__":
    main()
