"""How long threads spin before they sleep is set before torch is there to read it, in whatever is started."""

import os
import subprocess
import sys

import pytest

# Says what the variable is at the moment at which torch is looked for the first time.
WATCH = """
import importlib, os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("GOMP_SPINCOUNT"))
            sys.exit()
sys.meta_path.insert(0, Watch())
importlib.import_module({module!r})
import torch
"""


def told(module, **variables):
    clean = {name: value for name, value in os.environ.items() if name not in {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}}
    command = [sys.executable, "-c", WATCH.format(module=module)]
    return subprocess.check_output(command, text=True, env=clean | variables).strip()


@pytest.mark.parametrize("module", ["app.__main__", "train.__main__", "train.fit", "ebm_core.api"])
def test_it_is_set_before_torch_is_imported(module):
    assert told(module) == "5000"


def test_who_has_set_it_knows_better():
    assert told("app.__main__", GOMP_SPINCOUNT="7") == "7"
    assert told("app.__main__", OMP_WAIT_POLICY="passive") == "None"
