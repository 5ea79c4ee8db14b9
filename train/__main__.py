"""Command line of the trainer: everything that needs data."""

import argparse
import json
import signal
import sys
from pathlib import Path
from threading import Event

from ebm_core.arguments import POSITIVE, Parser, device, folder_name, whole
from ebm_core.device import default_device
from ebm_core.files import check_new
from ebm_core.hub import MODEL_FILE, WEIGHTS, find_model
from ebm_core.recipe import SEED
from train import card, codec, reader, sample, trials, tune
from train.evaluate import codec as evaluate_codec
from train.evaluate import compose
from train.evaluate.split import Split, add_split
from train.objects import render
from train.provenance import add_allow_dirty, command_of, require_clean
from train.reproduce import command as reproduce
from train.score import command as scoring_cli


def main(argv: list[str] | None = None) -> int:
    """Run a command; bad input ends with one sentence on standard error and exit code 2.

    A command may return an exit code of its own.
    """
    try:
        arguments = _parser().parse_args(argv)
        if not getattr(arguments, "allow_dirty", True):
            require_clean()
        code: int | None = arguments.command(arguments)
    except (ValueError, RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return code or 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m train", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    on_device = argparse.ArgumentParser(add_help=False)
    on_device.add_argument("--device", type=device, default=default_device())

    fit = commands.add_parser("fit", parents=[on_device], help="train a model from a config")
    fit.add_argument("config", type=Path, help="a TOML file of train/configs")
    fit.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a config value")
    fit.add_argument("--data", help="path of the data; the same as --set data.path=...")
    fit.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run, new or with --resume")
    fit.add_argument("--minutes", type=POSITIVE, help="stop after so many minutes; --resume goes on")
    fit.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint")
    fit.set_defaults(command=_fit)

    codecs = commands.add_parser("codec", parents=[on_device], help="train the autoencoder of the latent models")
    codec.add_arguments(codecs)
    codecs.set_defaults(command=codec.run)

    samples = commands.add_parser("sample", parents=[on_device], help="images and energies, by Algorithm 2")
    sample.add_arguments(samples)
    samples.set_defaults(command=sample.run)

    export = commands.add_parser("export", help="the averaged network of a run as a model file")
    export.add_argument("run", type=Path)
    export.add_argument("--name", type=folder_name, required=True, help="name of the folder under weights/")
    export.add_argument("--force", action="store_true", help="replace the model of that name")
    export.add_argument("--weights", type=Path, default=WEIGHTS, help="the weights folder")
    export.add_argument("--average", metavar="NAME", help="decay or width of the average to export")
    add_allow_dirty(export)
    export.set_defaults(command=_export)

    objects = commands.add_parser("render", help="make pictures of the objects data set (needs Blender's bpy)")
    render.add_arguments(objects)
    objects.set_defaults(command=render.run)

    reads = commands.add_parser("reader", parents=[on_device], help="train the classifier that judges compositions")
    reader.add_arguments(reads)
    reads.set_defaults(command=reader.run)

    cards = commands.add_parser("card", parents=[on_device], help="write a shipped model's card and sample sheet")
    card.add_arguments(cards)
    cards.set_defaults(command=card.run)

    trial = commands.add_parser("trials", parents=[on_device], help="warm starts of equal core time, side by side")
    trials.add_arguments(trial)
    trial.set_defaults(command=trials.run)

    tuning = commands.add_parser("tune", parents=[on_device], help="choose a model's plan on validation pictures")
    tune.add_arguments(tuning)
    tuning.set_defaults(command=tune.run)

    evaluate = commands.add_parser("evaluate", help="measure a model")
    kinds = evaluate.add_subparsers(required=True, metavar="WHAT")
    frechet = kinds.add_parser("frechet", parents=[on_device], help="Fréchet distance of samples to a test set")
    frechet.add_argument("model", help="a name under weights/, a path, or hf:owner/repo")
    frechet.add_argument("--train", required=True, help="zip of the training images (for the floor)")
    add_split(frechet, "to measure the distance to")
    frechet.add_argument("--num", type=whole(2), default=1000)
    frechet.add_argument("--seed", type=SEED, default=0)
    frechet.add_argument("--inception", type=Path, help="torch-fidelity's Inception weights; then it is the FID")
    frechet.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override the model's plan")
    frechet.add_argument("--out", type=Path, required=True, metavar="DIR")
    add_allow_dirty(frechet)
    frechet.set_defaults(command=_frechet)

    composing = kinds.add_parser("compose", parents=[on_device], help="what a classifier reads in composed samples")
    compose.add_arguments(composing)
    composing.set_defaults(command=compose.run)
    coding = kinds.add_parser("codec", parents=[on_device], help="what the autoencoder loses, and what it costs")
    evaluate_codec.add_arguments(coding)
    coding.set_defaults(command=evaluate_codec.run)
    scoring_cli.add_commands(commands, kinds, on_device)

    paper = commands.add_parser("reproduce", parents=[on_device], help="a table or figure of the paper, with a report")
    reproduce.add_arguments(paper)
    paper.set_defaults(command=reproduce.run)
    return parser


def _fit(a: argparse.Namespace) -> None:
    from ebm_core.config import ConfigError, load_toml
    from train.batch import label_vectors
    from train.config import TrainConfig
    from train.data import load
    from train.loop import fit
    from train.parallel import Processes
    from train.run import check_run

    check_run(a.out, a.resume)  # before the data, which may take long
    overrides = a.set + ([f'data.path="{a.data}"'] if a.data else [])
    if not a.config.is_file():
        raise ConfigError(f"{a.config} is not there; the shipped configs are in train/configs")
    config = load_toml(TrainConfig, a.config, overrides)
    data = load(config.data, config.net.image_size, config.net.channels)
    labels = label_vectors(data.labels, config.attribute, data.names) if config.attribute else None
    stop = Event()
    # A scheduler's SIGTERM, and Ctrl-C also where a shell started us with it ignored, end in a checkpoint.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    processes = Processes.join()
    trainer = fit(
        config, data.images, a.out, resume=a.resume, minutes=a.minutes, device=processes.device(a.device),
        processes=processes, stop=stop, labels=labels,
    )  # fmt: skip
    if processes.is_first:
        print(f"{a.out}: saved at iteration {trainer.iteration} of {config.iterations}", file=sys.stderr)
    processes.leave()


def _export(a: argparse.Namespace) -> None:
    from train.export import export_run

    path = a.weights / a.name / MODEL_FILE
    if not a.force:
        check_new(path, "choose another --name, or --force replaces it")
    export_run(a.run, path, a.average)
    print(f"{path}: {path.stat().st_size / 2**20:.2f} MiB")
    if (card := path.with_name("README.md")).is_file():
        print(f"{card} is still of the model before: python -m train card writes it anew", file=sys.stderr)


def _frechet(a: argparse.Namespace) -> None:
    from ebm_core.checkpoint import load_model
    from ebm_core.config import override
    from train.data import DataConfig, load
    from train.evaluate.frechet import evaluate

    if a.inception is not None and not a.inception.is_file():
        raise ValueError(f"{a.inception} is not there; give torch-fidelity's Inception weights or no --inception")
    net, info = load_model(find_model(a.model), a.device)
    split = Split.of(a)
    train, test = (
        load(DataConfig("zip", path), info.net.image_size, info.net.channels).images for path in (a.train, split.path)
    )
    options = {"train": a.train, split.kind: split.path, "num": a.num, "seed": a.seed, "inception": a.inception,
               "set": a.set, "out": a.out}  # fmt: skip
    report = evaluate(
        net, override(info.plan, a.set), train, test, num=a.num, seed=a.seed, out=a.out,
        inception_weights=a.inception, device=a.device, read_on=split.to_plain(),
        command=command_of(["evaluate", "frechet", a.model], options, a.device),
    )  # fmt: skip
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    sys.exit(main())
