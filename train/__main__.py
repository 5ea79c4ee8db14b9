"""Command line of the trainer: everything that needs data."""

import sys
from importlib import import_module
from typing import Any, NamedTuple

from ebm_core.arguments import Parser


class Command(NamedTuple):
    """``home`` is a module with ``add_arguments(parser)`` and ``run(arguments)``, or the commands below this one."""

    name: str
    help: str
    home: "str | tuple[Command, ...]"


EVALUATIONS = (
    Command("frechet", "Fréchet distance of samples to a test set", "train.evaluate.frechet"),
    Command("compose", "what a classifier reads in composed samples", "train.evaluate.compose"),
    Command("codec", "what the autoencoder loses, and what it costs", "train.evaluate.codec"),
    Command("detector", "own detectors on real data, by every method", "train.evaluate.detector"),
    Command("arms", "runs that differ in one thing, over several seeds", "train.evaluate.arms"),
    Command("gap", "whether a run of contrastive divergence stayed in balance, as a plot", "train.evaluate.gap"),
    Command("chain", "where chains are long after their plan has ended", "train.evaluate.chain"),
    Command("joint", "which numbers the joint score should be of", "train.evaluate.joint"),
    Command("ood", "how well scores tell other pictures from the model's own kind", "train.evaluate.ood"),
)
COMMANDS = (
    Command("fit", "train a model from a config", "train.fit"),
    Command("codec", "train the autoencoder of the latent models", "train.codec"),
    Command("sample", "images and energies, by Algorithm 2", "train.sample"),
    Command("export", "the averaged network of a run as a model file", "train.export"),
    Command("render", "make pictures of the objects data set (needs Blender's bpy)", "train.objects.render"),
    Command("classifier", "train the classifier that judges compositions", "train.classifier"),
    Command("card", "write a shipped model's card and sample sheet", "train.card"),
    Command("push", "a model as a repository of the Hugging Face Hub", "train.push"),
    Command("space", "lay out a Space of the Hub: the page, on the models named", "train.space"),
    Command("trials", "warm starts of equal core time, side by side", "train.trials"),
    Command("tune", "choose a model's plan on validation pictures", "train.tune"),
    Command("evaluate", "measure a model", EVALUATIONS),
    Command("detector", "a detector of what does not belong among your own pictures", "train.detector"),
    Command("calibrate", "put scores of held-out pictures into a model", "train.score.calibrate"),
    Command("score", "score a folder, a zip or a list of picture files", "train.score.command"),
    Command("score-cluster", "score folders, zips, Parquet and shards by many workers (Ray)", "train.score.cluster"),
    Command("reproduce", "a table or figure of the paper, with a report", "train.reproduce.command"),
)


class CommandParser(Parser):
    """The arguments of a command, whose module is imported when the command is given and not before."""

    def __init__(self, *, home: str | tuple[Command, ...], **options: Any) -> None:
        super().__init__(**options)
        self.home = home

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if isinstance(self.home, str):
            module = import_module(self.home)
            module.add_arguments(self)
            self.set_defaults(command=module.run)
        else:
            choices = self.add_subparsers(required=True, metavar="COMMAND", parser_class=CommandParser)
            for name, text, home in self.home:
                choices.add_parser(name, help=text, home=home)
        return super().parse_known_args(args, namespace)


def main(argv: list[str] | None = None) -> int:
    """Run a command; bad input ends with one sentence on standard error and exit code 2.

    A command may return an exit code of its own.
    """
    try:
        arguments = CommandParser(prog="python -m train", description=__doc__, home=COMMANDS).parse_args(argv)
        if not getattr(arguments, "allow_dirty", True):
            from train.provenance import require_clean

            require_clean()
        code: int | None = arguments.command(arguments)
    except (ValueError, RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return code or 0


if __name__ == "__main__":
    sys.exit(main())
