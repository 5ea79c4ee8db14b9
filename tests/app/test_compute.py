"""One thread computes, in the order of asking."""

import subprocess
import sys
import threading

import pytest

from app.compute import COMPUTE
from ebm_core.device import cores


def test_who_asks_again_goes_to_the_end_of_the_line():
    order, doors, ends = [], threading.Event(), {name: threading.Event() for name in "abc"}

    def walk(name, steps):
        order.append(name)
        if steps > 1:
            COMPUTE.submit(walk, name, steps - 1)
        else:
            ends[name].set()

    COMPUTE.submit(doors.wait)  # until all stand in the line
    for name in "abc":
        COMPUTE.submit(walk, name, 4)
    doors.set()
    assert all(end.wait(60) for end in ends.values())
    assert "".join(order) == "abc" * 4


def test_what_is_urgent_goes_before_what_waits_already():
    order, doors = [], threading.Event()
    COMPUTE.submit(doors.wait)
    calls = [COMPUTE.submit(order.append, name, urgent=name.isupper()) for name in "abAcB"]
    doors.set()
    for call in calls:
        call.result(60)
    assert "".join(order) == "ABabc"


def test_what_is_cancelled_before_its_turn_is_not_done():
    order, doors = [], threading.Event()
    COMPUTE.submit(doors.wait)
    first, second = (COMPUTE.submit(order.append, name) for name in "ab")
    assert first.cancel()
    doors.set()
    second.result(60)
    assert order == ["b"]
    assert not second.cancel()


def test_an_error_reaches_who_asked_and_stops_nobody_else():
    with pytest.raises(ZeroDivisionError):
        COMPUTE.submit(lambda: 1 / 0).result()
    assert COMPUTE.submit(int).result() == 0


def test_only_the_compute_thread_has_the_cores():
    program = """
import threading, torch
from app.compute import COMPUTE, give_cores_to_compute
give_cores_to_compute()
seen = [torch.get_num_threads(), COMPUTE.submit(torch.get_num_threads).result()]
other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
other.start(); other.join()
print(*seen)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["1", str(cores()), "1"]
