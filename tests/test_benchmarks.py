"""The benchmarks measure what they say: the baseline has the same energies, and every row is filled. No times."""

from dataclasses import replace

import torch

from benchmarks.crowd import CROWDS, WAITS, busy
from benchmarks.crowd import markdown as crowd_page
from benchmarks.race import TURN, race
from benchmarks.race import markdown as race_page
from benchmarks.report import markdown
from benchmarks.sampling import rows
from benchmarks.straightforward import straightforward
from benchmarks.training import compare, warm_start_rate
from ebm_core.nets import EnergyNetwork
from tests.conftest import TINY
from tests.train.conftest import CONFIG
from train.work import work


def network():
    torch.manual_seed(0)
    return EnergyNetwork(TINY)


def test_the_baseline_has_the_same_energies_with_other_modules():
    net, x = network(), torch.rand(4, 3, 8, 8)
    plain = straightforward(net)
    torch.testing.assert_close(plain(x), net(x), rtol=1e-5, atol=1e-6)
    kinds = {type(m) for m in plain.modules()}
    assert torch.nn.InstanceNorm2d in kinds
    assert torch.nn.GroupNorm not in kinds


def test_sampling_rows_are_whole(monkeypatch):
    monkeypatch.setattr("benchmarks.sampling.matmul_peak", lambda device, dtype: 1e9)
    monkeypatch.setattr(torch, "compile", lambda function: function)  # it would take minutes
    table = list(rows("tiny", network(), (1, 2), "cpu", compiled=(2,)))
    variants = {"straightforward", "folded", "folded, channels last", "folded, compiled"}
    assert {row["batch"] for row in table if row["variant"] == "folded, compiled"} == {2}
    assert {row["variant"] for row in table} == variants
    assert {row["batch"] for row in table} == {1, 2}
    assert all(row["ms_per_image_step"] > 0 and row["gflop_per_image_step"] > 0 for row in table)
    assert all(row["energy_error"] < 1e-3 for row in table if row["precision"] == "float32")


def test_the_page_has_a_line_for_every_row(monkeypatch):
    monkeypatch.setattr("benchmarks.sampling.matmul_peak", lambda device, dtype: 1e9)
    training = {
        "network": "tiny",
        "batch": 2,
        "chain_steps": 3,
        "iterations_per_second": 4.0,
        "straightforward_iterations_per_second": 1.0,
        "speedup": 4.0,
        "share": {"draw": 0.25, "chain": 0.75},
    }
    page = {
        "model": "tiny",
        "chains": 2,
        "steps": 9,
        "seconds_alone": 2.0,
        "seconds_watched": 2.1,
        "overhead": 0.05,
        "first_frame_seconds": 0.123,
    }
    report = {
        "command": "python -m benchmarks",
        "machine": "a machine",
        "date": "2026-11-24",
        "commit": "abc",
        "sampling": list(rows("tiny", network(), (1, 2), "cpu")),
        "training": [training],
        "warm_start": {"tiny": 1.5},
        "page": [page],
    }
    text = markdown(report)
    assert text.count("| tiny | ") == len(report["sampling"]) + 3
    for told in ("a machine, 2026-11-24, commit abc", "| chain | 75.0% |", "| tiny | 1.50 |", "| 5.0% | 123 |"):
        assert told in text


def test_training_rows_are_whole():
    images = torch.randint(256, (32, 3, 8, 8), dtype=torch.uint8)
    config = replace(CONFIG, icd=replace(CONFIG.icd, entropy_past=4))
    row = compare("tiny", config, images, "cpu", 1)
    assert row["iterations_per_second"] > 0
    assert row["straightforward_iterations_per_second"] > 0
    assert set(row["share"]) >= {"draw", "chain", "moving average", "losses and their gradients"}
    assert warm_start_rate(config, images, "cpu", 1) > 0


def test_work_is_counted():
    a = torch.rand(8, 4)
    flops, moved = work(lambda: a @ a.T)
    assert flops == 2 * 8 * 4 * 8
    assert moved == 4 * (2 * 8 * 4 + 8 * 8)


def test_each_architecture_is_measured_once():
    from benchmarks.__main__ import _distinct

    one, other, third = network(), network(), EnergyNetwork(replace(TINY, width=4))
    labelled = EnergyNetwork(replace(TINY, label_dim=2))
    assert _distinct({"a": one, "b": other, "c": labelled, "d": third}) == {"a": one, "d": third}


def test_a_race_goes_by_turns_and_gives_the_later_trainer_half_the_time():
    class Runner:
        def __init__(self):
            self.curve, self.asked, self.ended = [], [], False

        def ask(self, seconds):
            self.asked.append(seconds)

        def turn(self):
            self.curve.append({"seconds": TURN * (len(self.curve) + 1), "iterations": 1, "held_out": 0.5})

        def end(self):
            self.ended = True

    before, after = Runner(), Runner()
    result = race(before, after, minutes=4)
    assert (len(before.curve), len(after.curve)) == (12, 6)
    assert before.asked == [240]
    assert after.asked == [120]
    assert before.ended
    assert after.ended
    rate = {
        "config": "tiny.toml",
        "set": [],
        "precision": "float32",
        "trainer": "after",
        "pictures_per_core_second": 9.6,
        "gflop_per_picture": 0.5,
        "share_of_peak": 0.4,
    }
    about = {"command": "race", "machine": "one", "date": "today", "commit": "abc", "before": "def"}
    text = race_page({**about, "rates": [rate], "races": [{"title": "one", **result}]})
    assert "| tiny.toml | float32 | after | 10 | 0.50 | 40% |" in text
    assert "| 2.0 | 0.5000 | 0.5000 |" in text
    assert "| 4.0 | 0.5000 |  |" in text


def test_a_busy_process_runs_only_as_long_as_it_is_wanted():
    with busy(1) as others:
        assert [other.poll() for other in others] == [None]
    assert others[0].poll() is not None
    rows = [{"spins": w, "beside": c, "ms": [40.0, 20.0, 10.0 * i]} for i, w in enumerate(WAITS, 1) for c in CROWDS]
    about = {"command": "crowd", "machine": "one", "date": "today", "commit": "abc"}
    page = crowd_page({**about, "model": "tiny", "chains": 3, "repeats": 3, "threads": 2, "rows": rows})
    assert "| 300,000 times | nothing | 20 | 1.50 |" in page
    assert "| not at all | one busy process | 30 | 1.00 |" in page
