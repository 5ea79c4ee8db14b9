"""How the server's process ends: at once, with its exit code, and with nothing left behind."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from app import __main__ as page_command

# A thread of Gradio's kind, that is inside of torch whenever the process ends.
BUSY = """
import signal, sys, threading, time
import torch
from app import __main__ as page_command

def work():
    x = torch.zeros(10, requires_grad=True)
    while True:
        torch.autograd.grad(x.exp().sum(), x)

def run(a):
    signal.signal(signal.SIGTERM, page_command._leave)
    for _ in range(4):
        threading.Thread(target=work, daemon=True).start()
    open(page_command.tempfile.gettempdir() + "/dropped.png", "w").close()
    print(page_command.tempfile.gettempdir(), flush=True)
    time.sleep(60)

page_command._run = run
sys.argv = ["app"]
page_command.end()
"""


def test_a_busy_server_that_is_told_twice_ends_well_and_leaves_nothing(tmp_path):
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", BUSY],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"TMPDIR": str(tmp_path)},
        )
        assert process.stdout is not None
        folder = Path(process.stdout.readline().decode().strip())
        assert (folder / "dropped.png").exists()
        assert folder.parent == tmp_path
        for _ in range(3):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.01)
        _, said = process.communicate(timeout=60)
        assert (process.returncode, said) == (0, b"")
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("leaving", "code"), [(lambda: 2, 2), (lambda: sys.exit(0), 0), (lambda: sys.exit(None), 0)])
def test_the_exit_code_is_mains(monkeypatch, leaving, code):
    class Ended(Exception):
        pass

    def leave(code):
        raise Ended(code)

    monkeypatch.setattr("os._exit", leave)
    monkeypatch.setattr(page_command, "main", leaving)
    with pytest.raises(Ended, match=f"^{code}$"):
        page_command.end()


def test_without_room_for_a_temporary_folder_it_says_so(monkeypatch, capsys):
    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", full)
    assert page_command.main([]) == 2
    sentence = (
        "cannot make a temporary folder ([Errno 28] No space left on device); free space or set TMPDIR to another"
    )
    assert capsys.readouterr().err == f"error: {sentence}\n"
