"""The one thread in which the networks run, whoever waits for them."""

from concurrent.futures import ThreadPoolExecutor

import torch

from ebm_core.device import cores


# Each thread that runs a large operation brings helpers of its own, one for each core. As soon as there are more of
# them than cores, OpenMP makes them sleep between operations instead of spinning, and a Langevin step, a line of
# short operations, takes twice as long. One thread for all also makes walks take turns, a step each, in the order of
# asking.
def _take_cores() -> None:
    torch.set_num_threads(cores())
    torch.get_num_threads()  # a thread's first operation takes the number that was set last, by whomever: that is now


COMPUTE = ThreadPoolExecutor(1, "compute", _take_cores)


def give_cores_to_compute() -> None:
    """Let only the compute thread use several cores; call it once, before any other thread runs an operation."""
    torch.set_num_interop_threads(1)
    COMPUTE.submit(int).result()  # starts it; the number for all later threads is the one set last
    torch.set_num_threads(1)
