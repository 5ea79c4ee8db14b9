"""The paper's settings start on a few images of the right format: the real command, two narrow iterations."""

import io
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torchvision.datasets as tv
from PIL import Image

# Two pictures of every format, made as the tests of the sources make them.
from test_data_imagenet import make_imagenet
from test_data_lsun import FakeLmdb
from test_data_official import make_cifar, noise

from ebm_core.config import load_toml
from ebm_core.nets import EnergyNetwork
from train.__main__ import main
from train.config import TrainConfig
from train.run import load_config, load_state

PAPER = Path(__file__).parents[3] / "train" / "configs" / "paper"
NARROW = [
    "net.width=8",
    "icd.iterations=2",
    "icd.batch_size=2",
    "icd.steps=2",
    "icd.buffer_size=4",
    "icd.entropy_past=2",
    "plan.rounds=1",
    "plan.refinement_steps=1",
    "plan.langevin.steps=1",
    "log.samples_every=2",
    "log.num_samples=1",
]


def encoded(size: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(noise(size, size + 4, 3)).save(buffer, "PNG")
    return buffer.getvalue()


def folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for number in range(2):
        (root / f"{number:05d}.png").write_bytes(encoded(140))
    return root


def packed(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with zipfile.ZipFile(root / "objects128.zip", "w") as archive:
        for number in range(2):
            archive.writestr(f"{number:05d}.png", encoded(128))
    return root / "objects128.zip"


def bedrooms(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pictures = [(b"a", encoded(150)), (b"b", encoded(128))]

    class Context(SimpleNamespace):
        def __enter__(self) -> Any:
            return self

        def __exit__(self, *error: object) -> None:
            pass

    transaction = Context(stat=lambda: {"entries": len(pictures)}, cursor=lambda: iter(pictures))
    lmdb = SimpleNamespace(Error=FakeLmdb.Error, open=lambda *a, **options: Context(begin=lambda: transaction))
    monkeypatch.setitem(sys.modules, "lmdb", lmdb)  # type: ignore[arg-type]
    (root / "bedroom_train_lmdb").mkdir()
    (root / "bedroom_train_lmdb" / "data.mdb").touch()
    return root


def cifar(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_cifar(root, tv.CIFAR10, "labels", monkeypatch)
    return root


def imagenet(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_imagenet(root)
    return root


MAKERS = {
    "cifar10": cifar,
    "celebahq128": folder,
    "lsun_bedroom128": bedrooms,
    "imagenet32": imagenet,
    "objects128": packed,
}


def test_every_paper_config_is_started_here() -> None:
    assert {path.stem for path in PAPER.glob("*.toml")} == MAKERS.keys()


@pytest.mark.parametrize("name", MAKERS)
def test_a_paper_config_starts_on_its_own_format(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    data = MAKERS[name](tmp_path / "data", monkeypatch)
    run = tmp_path / "run"
    settings = [part for value in NARROW for part in ("--set", value)]
    fit = ["fit", str(PAPER / f"{name}.toml"), "--data", str(data), "--out", str(run), "--device", "cpu", *settings]
    assert main(fit) == 0
    state, config = load_state(run), load_config(run)
    assert state["iteration"] == 2
    assert state["shards"][0]["buffer"]["images"].shape == (4, 3, config.net.image_size, config.net.image_size)
    assert (run / "sheets" / "000002.png").is_file()


@pytest.mark.parametrize(
    ("name", "size", "step_size", "jitter"),
    [
        ("cifar10", 32, 100.0, 1.0),
        ("imagenet32", 32, 100.0, 1.0),
        ("celebahq128", 128, 500.0, 0.5),
        ("lsun_bedroom128", 128, 500.0, 0.5),
        ("objects128", 128, 1000.0, 0.5),
    ],
)
def test_paper_configs_have_the_papers_values(name: str, size: int, step_size: float, jitter: float) -> None:
    config = load_toml(TrainConfig, PAPER / f"{name}.toml")
    assert config.net.image_size == size
    assert config.plan.langevin.step_size == step_size
    assert config.plan.langevin.steps == config.icd.steps == 40
    assert config.plan.transition.jitter_strength == jitter
    assert (config.icd.batch_size, config.icd.buffer_size, config.icd.buffer_kind) == (128, 10_000, "reservoir")
    assert (config.icd.optim.lr, config.icd.optim.beta1, config.icd.optim.beta2) == (2e-4, 0.0, 0.9)
    assert (config.warm_start.iterations, config.icd.matching_weight) == (0, 0.0)  # nothing of the warm start


def test_the_cifar_network_has_the_papers_parameters() -> None:
    net = EnergyNetwork(load_toml(TrainConfig, PAPER / "cifar10.toml").net)
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(6.6e6, rel=0.02)
