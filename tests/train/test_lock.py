"""Two runs never write to one folder."""

import pytest

from train.__main__ import main
from train.lock import RunError, held


def test_a_folder_is_held_until_its_run_ends(tmp_path):
    run = tmp_path / "new" / "run"
    with held(run):
        with (
            pytest.raises(RunError, match="another run is at work"),
            held(run),
        ):
            pass
        with held(run, wanted=False), held(tmp_path / "other"):
            pass
    with pytest.raises(ZeroDivisionError), held(run):
        _ = 1 / 0
    assert not run.exists()
    with held(run):
        (run / "state.pt").touch()
    assert [path.name for path in run.iterdir()] == ["state.pt"]


def test_fit_refuses_a_folder_where_a_fit_is_at_work(tmp_path, capsys, monkeypatch):
    run = tmp_path / "run"
    monkeypatch.setattr("train.data.load", lambda *_: pytest.fail("data were loaded"))
    with held(run):
        code = main(["fit", "train/configs/cifar10.toml", "--data", "x.zip", "--out", str(run), "--device", "cpu"])
    assert code == 2
    assert "another run is at work" in capsys.readouterr().err
