"""One thread computes, in the order of asking."""

import os
import subprocess
import sys
import threading
import time
from itertools import pairwise

import pytest

from app.compute import COMPUTE


def test_who_asks_again_goes_to_the_end_of_the_line():
    order, ready = [], threading.Barrier(2)

    def step(name):
        order.append(name)
        time.sleep(0.001)

    def walk(name):
        ready.wait()
        for _ in range(20):
            COMPUTE.submit(step, name).result()

    threads = [threading.Thread(target=walk, args=[name]) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    changes = sum(x != y for x, y in pairwise(order))
    assert changes > 30  # of 39; an ordinary lock gives a handful


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
    assert result.stdout.split() == ["1", str(os.cpu_count()), "1"]
