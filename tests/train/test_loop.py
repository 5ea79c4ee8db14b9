"""The loop: resume bit for bit, stops that lose nothing, and no dead options."""

import json
import math
from dataclasses import replace
from itertools import pairwise
from threading import Event

import pytest
import torch

from ebm_core.files import FileError
from tests.train.conftest import CONFIG
from train import loop
from train import trainer as trainer_module
from train.config import OptimConfig
from train.ema import MovingAverage, constant
from train.lock import RunError
from train.loop import fit
from train.run import LOG, cut_back, load_config, load_state
from train.trainer import DivergedError, Trainer, schedule


def same(a, b):
    """Equality of nested states, bit for bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def run(config, data, path, **options):
    return fit(config, data, path, **{"resume": False, "minutes": None, "device": "cpu"} | options)


@pytest.mark.parametrize("stop", [1, 2, 3])
@pytest.mark.parametrize(("kind", "muon_lr"), [("ring", 0.0), ("reservoir", 0.0), ("persistent", 0.0), ("ring", 0.02)])
def test_resume_is_bit_for_bit(stop, kind, muon_lr, data, tmp_path, monkeypatch):
    optim = replace(CONFIG.icd.optim, muon_lr=muon_lr)
    icd = replace(CONFIG.icd, buffer_kind=kind, optim=optim)
    config = replace(CONFIG, icd=icd, warm_start=replace(CONFIG.warm_start, optim=optim))
    whole = run(config, data, tmp_path / "whole").state_dict()
    told = Event()
    interrupt(monkeypatch, stop - 1, told.set)
    run(config, data, tmp_path / "parts", stop=told)
    monkeypatch.undo()
    assert load_state(tmp_path / "parts")["iteration"] == stop
    resumed = run(config, data, tmp_path / "parts", resume=True).state_dict()
    assert same(whole, resumed)
    assert same(load_state(tmp_path / "parts"), resumed)
    assert not same(whole, run(replace(config, seed=1), data, tmp_path / "other").state_dict())


@pytest.mark.parametrize("stop", [2, 3])
def test_resume_goes_on_with_the_rates_of_its_own_phase(stop, data, tmp_path, monkeypatch):
    warm = replace(CONFIG.warm_start, optim=OptimConfig(lr=3e-2, muon_lr=2e-2, clip_norm=10.0))
    config = replace(CONFIG, warm_start=warm, icd=replace(CONFIG.icd, optim=OptimConfig(lr=1e-3, clip_norm=0.1)))
    whole = run(config, data, tmp_path / "whole").state_dict()
    told = Event()
    interrupt(monkeypatch, stop - 1, told.set)
    run(config, data, tmp_path / "parts", stop=told)
    monkeypatch.undo()
    assert same(whole, run(config, data, tmp_path / "parts", resume=True).state_dict())


def interrupt(monkeypatch, at, action):
    """Do something in the midst of the step of iteration ``at``."""
    original = Trainer.step

    def step(self, measure=False):
        if self.iteration == at:
            action()
        return original(self, measure)

    monkeypatch.setattr(Trainer, "step", step)


def test_a_kill_loses_only_what_came_after_the_last_checkpoint(data, tmp_path, monkeypatch):
    config = replace(CONFIG, log=replace(CONFIG.log, checkpoint_every=2))

    def kill():
        raise MemoryError  # like kill -9: nothing of ours runs after it

    interrupt(monkeypatch, 3, kill)
    with pytest.raises(MemoryError):
        run(config, data, tmp_path)
    monkeypatch.undo()
    assert load_state(tmp_path)["iteration"] == 2
    resumed = run(config, data, tmp_path, resume=True)
    assert same(resumed.state_dict(), run(config, data, tmp_path / "whole").state_dict())
    # What was logged after the checkpoint is not there twice, and half a last line is gone.
    assert [line["iteration"] for line in log_of(tmp_path)] == [0, 1, 2, 3]
    for line, other in zip(log_of(tmp_path), log_of(tmp_path / "whole"), strict=True):
        assert line | {"seconds": 0} == other | {"seconds": 0}


def test_a_log_is_cut_back_to_its_checkpoint(tmp_path):
    lines = [json.dumps({"iteration": i, "matching": i}) for i in (0, 20, 40, 60)]
    (tmp_path / LOG).write_text("\n".join([*lines, '{"iteration": 7']))
    for name in ("000020", "000040", "000060", "notes"):
        (tmp_path / "sheets").mkdir(exist_ok=True)
        (tmp_path / "sheets" / f"{name}.png").touch()
    cut_back(tmp_path, 40)
    assert (tmp_path / LOG).read_text() == "\n".join(lines[:2]) + "\n"
    assert sorted(p.stem for p in (tmp_path / "sheets").iterdir()) == ["000020", "000040", "notes"]


def log_of(path):
    return [json.loads(line) for line in (path / LOG).read_text().splitlines()]


def test_minutes_stop_a_run_with_a_checkpoint(data, tmp_path, monkeypatch):
    clock = iter(range(0, 10_000, 30))  # every look at the clock is half a minute later
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(clock))
    trainer = run(replace(CONFIG, warm_start=replace(CONFIG.warm_start, iterations=500)), data, tmp_path, minutes=3)
    assert 0 < trainer.iteration < 10
    assert load_state(tmp_path)["iteration"] == trainer.iteration


def test_divergence_names_its_step_and_keeps_the_checkpoint(data, tmp_path, monkeypatch):
    original = trainer_module.icd_losses

    def exploding(*args):
        output = original(*args)
        return output._replace(figures=output.figures | {"energy_gap": torch.tensor(-1e6)})

    monkeypatch.setattr(trainer_module, "icd_losses", exploding)
    with pytest.raises(DivergedError, match=r"gap is -1e\+06 at iteration 2; .* checkpoint of iteration 2 is kept"):
        run(CONFIG, data, tmp_path)
    state = load_state(tmp_path)
    assert state["iteration"] == 2
    assert all(v.isfinite().all() for v in state["net"].values())


def test_a_matching_loss_far_above_that_of_a_flat_energy_stops_the_run(data):
    trainer = Trainer(CONFIG, data, "cpu")
    trainer.step(measure=True)
    with torch.no_grad():
        for scale in trainer.net.scales:
            scale.head.weight.mul_(1e6)
    with pytest.raises(DivergedError, match=r"the matching loss is .* at iteration 1, that of a flat energy 0\."):
        trainer.step(measure=True)


def test_a_non_finite_chain_stops_the_run(data, tmp_path):
    trainer = run(replace(CONFIG, icd=replace(CONFIG.icd, iterations=0)), data, tmp_path)
    state = trainer.state_dict()
    state["averages"]["0.5"]["net"]["scales.0.head.bias"].fill_(math.nan)
    torch.save(state, tmp_path / "state.pt")
    with pytest.raises(DivergedError, match=r"not a finite number at step 0.*stopped at iteration 2"):
        run(CONFIG, data, tmp_path, resume=True)


def test_log_sheets_and_tensorboard_are_written(data, tmp_path):
    run(CONFIG, data, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [0, 1, 2, 3]
    assert {"matching", "grad_norm"} <= lines[0].keys()
    figures = {"energy_gap", "saturated", "grad_norm_cd", "grad_norm_kl", "grad_norm_matching", "e_pos", "e_neg"}
    assert figures <= lines[2].keys()
    assert sorted(p.name for p in (tmp_path / "sheets").iterdir()) == ["000002.png", "000004.png"]
    assert list((tmp_path / "tensorboard").iterdir())
    assert load_config(tmp_path) == CONFIG


def test_logged_gradient_figures_are_those_of_the_terms(data):
    trainer = Trainer(replace(CONFIG, warm_start=replace(CONFIG.warm_start, iterations=0)), data, "cpu")
    trainer.step()
    captured = {}
    original = trainer._gradient_figures
    trainer._gradient_figures = lambda output: captured.update(terms=output.terms) or original(output)
    before = [p.detach().clone() for p in trainer.net.parameters()]
    figures = trainer.step(measure=True)
    assert any(not torch.equal(a, b) for a, b in zip(before, trainer.net.parameters()))
    assert figures["grad_norm_cd"] > 0
    total = figures["grad_norm_cd"] + figures["grad_norm_kl"] + figures["grad_norm_matching"]
    # The triangle inequality; the penalty's gradient is the rest, and small at these energies.
    assert figures["grad_norm"] <= 1.5 * total


def test_unusable_runs_are_refused_in_a_sentence(data, tmp_path):
    with pytest.raises(RunError, match="start it without --resume"):
        run(CONFIG, data, tmp_path / "none", resume=True)
    run(replace(CONFIG, icd=replace(CONFIG.icd, iterations=0)), data, tmp_path / "cut")
    state = tmp_path / "cut" / "state.pt"
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(RunError, match="is no whole checkpoint that can be read") as error:
        run(CONFIG, data, tmp_path / "cut", resume=True)
    assert "weights_only" not in str(error.value)
    for content, what in [
        ({"a": torch.zeros(1)}, "a bare state dict"),
        ([1], "a list"),
        (torch.zeros(1), "a Tensor"),
        ({"net": Event}, "holds more than tensors"),
    ]:
        torch.save(content, state)
        with pytest.raises(RunError, match=what) as error:
            run(CONFIG, data, tmp_path / "cut", resume=True)
        assert "weights_only" not in str(error.value)
    run(replace(CONFIG, icd=replace(CONFIG.icd, iterations=0)), data, tmp_path / "other")
    with pytest.raises(RunError, match=r"it is of another network: .scales\S+. is not the same in both") as error:
        run(replace(CONFIG, net=replace(CONFIG.net, width=16)), data, tmp_path / "other", resume=True)
    assert len(str(error.value).splitlines()) == 1
    before = (tmp_path / "other" / "state.pt").read_bytes()
    with pytest.raises(FileError, match=r"is in use, it has config\.json.*go on with --resume, or choose another"):
        run(CONFIG, data, tmp_path / "other")
    assert (tmp_path / "other" / "state.pt").read_bytes() == before
    (tmp_path / "other" / "state.pt").unlink()
    with pytest.raises(FileError, match="delete it, or choose another folder"):
        run(CONFIG, data, tmp_path / "other")
    (tmp_path / "other" / "config.json").write_text("{")
    with pytest.raises(RunError, match=r"config\.json cannot be read"):
        load_config(tmp_path / "other")


def test_a_full_disk_keeps_the_last_checkpoint(data, tmp_path, monkeypatch):
    from ebm_core import files

    run(replace(CONFIG, icd=replace(CONFIG.icd, iterations=0)), data, tmp_path)
    before = (tmp_path / "state.pt").read_bytes()
    original = files.os.replace

    def full(source, target):
        if str(target).endswith("state.pt"):
            raise OSError(28, "No space left on device")
        original(source, target)

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(FileError, match="No space left"):
        run(CONFIG, data, tmp_path, resume=True)
    assert (tmp_path / "state.pt").read_bytes() == before


def test_the_second_phase_begins_with_data_at_energy_zero(data):
    config = replace(CONFIG, icd=replace(CONFIG.icd, optim=OptimConfig(lr=1e-12)))
    trainer = Trainer(config, data, "cpu")
    for head in (trainer.net.scales[0].head, trainer.averages.main.net.scales[0].head):
        torch.nn.init.constant_(head.bias, 30.0)
    for _ in range(3):
        trainer.step()
    x = (data.float() + 0.5) / 256
    assert abs(float(trainer.net(x).detach().mean())) < 1e-4


def test_schedule_rises_and_falls():
    optim = OptimConfig(warmup=10, final_lr=0.1)
    assert schedule(0, 0, optim) == pytest.approx(0.1, rel=0.01)
    assert schedule(9, 0.09, optim) == pytest.approx(0.98, abs=0.02)
    assert schedule(50, 0.5, optim) == pytest.approx(0.55)
    assert schedule(100, 1, optim) == pytest.approx(0.1)


def test_a_held_schedule_falls_late():
    optim = OptimConfig(hold=0.6, final_lr=0.1)
    assert schedule(60, 0.6, optim) == 1.0
    assert schedule(80, 0.8, optim) == pytest.approx(0.55)
    assert schedule(100, 1, optim) == pytest.approx(0.1)


def test_a_run_that_fills_its_minutes_falls_by_the_clock(data, tmp_path, monkeypatch):
    now = iter(range(0, 10**6, 15))  # a quarter of a minute at each look
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(now))
    rates = []
    step = trainer_module.Optimiser.step
    monkeypatch.setattr(trainer_module.Optimiser, "step", lambda self, share: (rates.append(share), step(self, share)))
    warm = replace(CONFIG.warm_start, optim=OptimConfig(final_lr=0.1))
    config = replace(CONFIG, warm_start=warm, icd=replace(CONFIG.icd, iterations=0))
    trainer = run(config, data, tmp_path / "run", minutes=5, fill=True)
    assert len(rates) == trainer.iteration > config.warm_start.iterations
    assert all(later < earlier for earlier, later in pairwise(rates))
    assert rates[0] > 0.9
    assert rates[-1] < 0.2
    assert load_config(tmp_path / "run").warm_start.iterations == trainer.iteration


def test_only_a_run_of_one_phase_fills_a_time(data, tmp_path):
    with pytest.raises(ValueError, match="a run of two phases cannot fill a time"):
        run(CONFIG, data, tmp_path / "run", minutes=1, fill=True)


def test_moving_average_starts_fast_and_ends_at_its_decay():
    net = torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False), torch.nn.BatchNorm1d(1))
    torch.nn.init.zeros_(net[0].weight)
    average = MovingAverage(net, constant(0.5))
    torch.nn.init.ones_(net[0].weight)
    net[1].running_mean.fill_(3.0)
    average.update(net)
    assert average.net[0].weight == pytest.approx(0.9)
    assert average.net[1].running_mean == 3.0
    average.num_updates = 10_000
    torch.nn.init.zeros_(average.net[0].weight)
    average.update(net)
    assert average.net[0].weight == pytest.approx(0.5)
    assert not average.net[0].weight.requires_grad


# A value other than CONFIG's for every field of the training sections; the test below walks all fields.
