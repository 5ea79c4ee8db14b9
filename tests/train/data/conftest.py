"""Every test of the data sources has a cache of its own."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that ``load`` caches in, empty."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("EBM_STUDIO_CACHE", str(folder))
    return folder


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever would be downloaded fails at once, as on a machine without a network."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("no network in tests")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("torchvision.datasets.celeba.download_file_from_google_drive", refuse)
