"""``python -m train codec CONFIG``: train the autoencoder whose latents the energies live on."""

import argparse
import signal
import sys
from pathlib import Path
from threading import Event

from ebm_core.arguments import POSITIVE, add_device

TEACHER_LATENTS = "teacher.safetensors"  # in the run's folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_device(parser)
    parser.add_argument("config", type=Path, help="a TOML file such as train/configs/codec/codec.toml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a config value")
    parser.add_argument("--data", help="zips of pictures, joined by commas; the same as --set data.path=...")
    parser.add_argument("--teacher", help="folder of the teacher's weights; the same as --set teacher=...")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run, and of the codec")
    parser.add_argument("--minutes", type=POSITIVE, help="stop after so many minutes; --resume goes on")
    parser.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint")


def run(a: argparse.Namespace) -> None:
    from ebm_core.config import ConfigError, load_toml
    from ebm_core.hub import CODEC_FILE
    from train.codec_training import CodecRun, fit_codec, write_codec
    from train.data import load
    from train.lock import held
    from train.run import check_run
    from train.teacher import teacher_latents

    if not a.config.is_file():
        raise ConfigError(f"{a.config} is not there; the shipped configs are in train/configs")
    config = load_toml(CodecRun, a.config, a.set, {"data.path": a.data, "teacher": a.teacher})
    check_run(a.out, a.resume)
    with held(a.out):
        u8 = load(config.data, config.codec.image_size).images
        latents = teacher_latents(config.teacher, u8, a.out / TEACHER_LATENTS, a.device) if config.teacher else None
        stop = Event()
        for number in (signal.SIGINT, signal.SIGTERM):  # both end in a checkpoint
            signal.signal(number, lambda *_: stop.set())
        trainer = fit_codec(config, u8, latents, a.out, resume=a.resume, minutes=a.minutes, device=a.device, stop=stop)
        path = write_codec(trainer, a.out / CODEC_FILE)
    print(
        f"{path}: {path.stat().st_size / 2**20:.2f} MiB, saved at iteration {trainer.iteration} of {config.iterations}",
        file=sys.stderr,
    )
