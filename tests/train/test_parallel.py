"""Two gloo processes against one: same parameters, shared buffer, checkpoints of the whole group."""

import os
import socket
from dataclasses import replace
from threading import Event

import pytest
import torch
import torch.multiprocessing

from tests.train.conftest import CONFIG
from tests.train.test_loop import same
from train.lock import RunError
from train.loop import fit
from train.parallel import Processes
from train.run import load_state
from train.step import matching_step
from train.trainer import Trainer

# No norm: under one, the biases before it have no gradient, and Adam makes steps of rounding errors.
WARM = replace(
    CONFIG,
    net=replace(CONFIG.net, norm="none"),
    warm_start=replace(CONFIG.warm_start, iterations=3),
    icd=replace(CONFIG.icd, iterations=0),
)


def on_two(worker, *arguments):
    """Run ``worker(processes, *arguments)`` in two processes, as torchrun would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_enter, (port, worker, arguments), nprocs=2)


def _enter(rank, port, worker, arguments):
    torch.set_num_threads(1)
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()})
    processes = Processes.join()
    assert (processes.rank, processes.size) == (rank, 2)
    worker(processes, *arguments)
    processes.leave()


def train(processes, config, data, path, options):
    trainer = fit(config, data, path / "run", minutes=None, device="cpu", processes=processes, **options)
    torch.save(trainer.net.state_dict(), path / f"net-{processes.rank}.pt")


def test_two_processes_step_like_one_on_the_whole_batch(data, tmp_path):
    on_two(train, WARM, data, tmp_path, {"resume": False})
    nets = [torch.load(tmp_path / f"net-{rank}.pt", weights_only=True) for rank in range(2)]
    assert same(*nets)

    # One process that sees both halves: the mean of their losses is the loss of the whole batch.
    one = Trainer(WARM, data, "cpu")
    halves = [Trainer(WARM, data, "cpu", Processes(rank, 2)) for rank in range(2)]
    for _ in range(WARM.iterations):
        one.optimiser.zero_grad()
        losses = [matching_step(one.net, half._batch(4), WARM, half.rng, half.space).loss for half in halves]
        (sum(losses) / 2).backward()
        one.optimiser.clip()
        one.optimiser.step(1.0)
    for name, value in one.net.state_dict().items():
        torch.testing.assert_close(nets[0][name], value, rtol=1e-4, atol=1e-5)  # steps are 1e-2
    alone = fit(WARM, data, tmp_path / "alone", resume=False, minutes=None, device="cpu")
    assert not same(alone.net.state_dict(), nets[0])


def test_a_group_resumes_bit_for_bit_and_only_as_the_same_group(data, tmp_path):
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    on_two(train, CONFIG, data, tmp_path / "whole", {"resume": False})
    on_two(train, replace(CONFIG, icd=replace(CONFIG.icd, iterations=1)), data, tmp_path / "parts", {"resume": False})
    on_two(train, CONFIG, data, tmp_path / "parts", {"resume": True})
    whole, parts = (load_state(tmp_path / name / "run") for name in ("whole", "parts"))
    assert whole["iteration"] == CONFIG.iterations
    assert same(whole, parts)
    shards = [shard["buffer"]["images"] for shard in whole["shards"]]
    assert [len(s) for s in shards] == [4, 4]  # half of each batch of four, twice
    assert not torch.equal(*shards)
    with pytest.raises(RunError, match="written by 2 processes, there are 1"):
        fit(CONFIG, data, tmp_path / "whole" / "run", resume=True, minutes=None, device="cpu")


def stop_one(processes, config, data, path):
    stop = Event()
    if processes.rank == 1:
        stop.set()
    trainer = fit(config, data, path, resume=False, minutes=None, device="cpu", processes=processes, stop=stop)
    assert trainer.iteration == 0


def test_one_process_that_is_told_to_stop_stops_all(data, tmp_path):
    on_two(stop_one, WARM, data, tmp_path)
    assert load_state(tmp_path)["iteration"] == 0


def test_batches_must_divide():
    with pytest.raises(ValueError, match="batch size 7 cannot be shared evenly by 2 processes"):
        Processes(0, 2).share(7, "batch size")
    assert Processes(0, 2).share(8, "batch size") == 4
