"""Power-function averages: their width is what they are named for, and the export chooses among them."""

from dataclasses import replace

import pytest
import torch

from ebm_core.checkpoint import load_model
from tests.train.conftest import CONFIG
from train.ema import MovingAverage, power
from train.export import export_run
from train.lock import RunError
from train.loop import fit

WIDTHS = replace(CONFIG, ema_widths=(0.1, 0.2))


@pytest.mark.parametrize("width", [0.05, 0.1, 0.2])
def test_a_power_average_has_the_relative_width_it_is_named_for(width):
    updates = 2000
    net = torch.nn.Linear(1, 1, bias=False)
    first, second = MovingAverage(net, power(width)), MovingAverage(net, power(width))
    for t in range(1, updates + 1):  # averages of t and of t^2: the mean and spread of the weights given to the past
        for average, value in ((first, t), (second, t * t)):
            torch.nn.init.constant_(net.weight, value / updates**2)
            average.update(net)
    mean, square = (float(average.net.weight) * updates**2 for average in (first, second))
    assert (square - mean**2) ** 0.5 / updates == pytest.approx(width, rel=0.02)


def test_the_export_chooses_among_the_averages(data, tmp_path):
    trainer = fit(WIDTHS, data, tmp_path / "run", resume=False, minutes=None, device="cpu")
    files = {name: export_run(tmp_path / "run", tmp_path / f"{name}.safetensors", name) for name in ("0.5", "0.2")}
    heads = {name: load_model(path)[0].scales[0].head.bias for name, path in files.items()}
    for name, bias in heads.items():
        exact = trainer.averages.by_name[name].net.scales[0].head.bias
        torch.testing.assert_close(bias, exact, rtol=1e-3, atol=1e-6)
    assert not torch.equal(*heads.values())
    with pytest.raises(RunError, match=r"no average '0\.3'; there are: 0\.5, 0\.1, 0\.2"):
        export_run(tmp_path / "run", tmp_path / "other.safetensors", "0.3")


def test_a_run_goes_on_with_its_own_averages_only(data, tmp_path):
    fit(WIDTHS, data, tmp_path, resume=False, minutes=None, device="cpu")
    with pytest.raises(RunError, match=r"it has the averages 0\.5, 0\.1, 0\.2, the config asks for 0\.5"):
        fit(CONFIG, data, tmp_path, resume=True, minutes=None, device="cpu")


@pytest.mark.parametrize("width", [0.0, 0.3])
def test_impossible_widths_are_refused(width):
    with pytest.raises(ValueError, match="ema_widths must be a number between 0 and"):
        replace(CONFIG, ema_widths=(width,))
