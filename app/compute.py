"""The one thread in which the networks run, whoever waits for them."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import torch

from ebm_core.device import cores

R = TypeVar("R")


# Each thread that runs a large operation brings helpers of its own, one for each core. As soon as there are more of
# them than cores, OpenMP makes them sleep between operations instead of spinning, and a Langevin step, a line of
# short operations, takes twice as long. One thread for all also makes walks take turns, a step each, in the order of
# asking.
def _take_cores() -> None:
    torch.set_num_threads(cores())
    torch.get_num_threads()  # a thread's first operation takes the number that was set last, by whomever: that is now


class Compute:
    """The thread: it does one call after the other, in the order of asking, but the urgent ones first.

    Urgent is what somebody waits for and happens once, a first step or the pictures of a walk that ended: others wait a
    moment longer, and nobody for ever.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "compute", _take_cores)
        self._urgent: deque[Callable[[], None]] = deque()
        self._others: deque[Callable[[], None]] = deque()

    def submit(self, function: Callable[..., R], *arguments: Any, urgent: bool = False) -> "Future[R]":
        """Let the thread call ``function``. Until it begins, the future can be cancelled."""
        future: Future[R] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(function(*arguments))
            except BaseException as error:
                future.set_exception(error)

        (self._urgent if urgent else self._others).append(call)
        self._pool.submit(self._call_next)
        return future

    def _call_next(self) -> None:
        (self._urgent or self._others).popleft()()


COMPUTE = Compute()


def give_cores_to_compute() -> None:
    """Let only the compute thread use several cores; call it once, before any other thread runs an operation."""
    torch.set_num_interop_threads(1)
    COMPUTE.submit(int).result()  # starts it; the number for all later threads is the one set last
    torch.set_num_threads(1)
