"""How many cores a process may use."""

import os

import pytest

from ebm_core import device


@pytest.mark.parametrize(
    ("affinity", "threads", "quota", "num"),
    [
        ({0, 1, 2}, None, "max 100000", 3),
        ({0, 1, 2}, "2", "max 100000", 2),
        ({0, 1, 2}, "8", "max 100000", 3),
        ({0, 1, 2}, "many", "150000 100000", 1),
        ({0, 1, 2}, "0", "50000 100000", 1),
        ({0, 1, 2}, None, "nonsense", 3),
        ({0, 1, 2}, None, None, 3),
    ],
)
def test_cores_are_those_that_the_process_may_use(affinity, threads, quota, num, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: affinity, raising=False)
    monkeypatch.setattr(device, "QUOTA", tmp_path / "cpu.max")
    if quota is not None:
        (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if threads is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
    assert device.cores() == num
