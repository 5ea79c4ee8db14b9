"""Turns are given in the order of asking."""

import threading
import time
from itertools import pairwise

from app.turns import Turns


def test_a_thread_that_asks_again_goes_to_the_end_of_the_line():
    turns, order, ready = Turns(), [], threading.Barrier(2)

    def work(name):
        ready.wait()
        for _ in range(20):
            with turns:
                order.append(name)
                time.sleep(0.001)

    threads = [threading.Thread(target=work, args=[name]) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    changes = sum(x != y for x, y in pairwise(order))
    assert changes > 30  # of 39; an ordinary lock gives a handful


def test_one_at_a_time_also_after_an_error():
    turns = Turns()
    try:
        with turns:
            raise KeyError
    except KeyError:
        pass
    with turns:
        pass
