"""What is published comes from a commit, prints the command that makes it again, and names no machine's folders."""

import re
import subprocess
from pathlib import Path

import pytest

from ebm_core.arguments import COUNT, Parser
from ebm_core.hub import WEIGHTS
from train import provenance
from train.__main__ import main
from train.provenance import command_of, commit, portable

ROOT = Path(__file__).resolve().parents[2]
MACHINE_PATH = re.compile(rb"(?<![\w.])/(?:work|root|tmp|home|mnt|Users)/[\w.]")


def git_says(monkeypatch, answers):
    def git(*words):
        if words[0] not in answers:
            raise subprocess.CalledProcessError(128, words)
        return answers[words[0]]

    monkeypatch.setattr(provenance, "git", git)
    commit.cache_clear()


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"rev-parse": "abc", "status": ""}, "abc"),
        ({"rev-parse": "abc", "status": " M train/loop.py"}, "abc-dirty"),
        ({}, "unknown"),
    ],
)
def test_a_commit_is_marked_where_the_code_has_changed(answers, expected, monkeypatch):
    git_says(monkeypatch, answers)
    assert commit() == expected


def test_a_copy_outside_a_checkout_says_its_commit(monkeypatch):
    git_says(monkeypatch, {})
    monkeypatch.setenv("EBM_STUDIO_COMMIT", "abc")
    assert commit() == "abc"


def test_a_commit_is_that_of_the_start(monkeypatch):
    git_says(monkeypatch, {"rev-parse": "abc", "status": ""})
    assert commit() == "abc"
    monkeypatch.setattr(provenance, "git", lambda *words: "def")
    assert commit() == "abc"


@pytest.mark.parametrize(
    "command",
    [
        ["export", "nowhere", "--name", "x"],
        ["card", "nobody"],
        ["classifier", "faces", "--train", "a.zip", "--test", "b.zip"],
        ["evaluate", "frechet", "nobody", "--train", "a.zip", "--test", "b.zip", "--out", "o"],
        ["evaluate", "compose", "nobody", "--train", "a.zip", "--test", "b.zip", "--out", "o"],
        ["evaluate", "ood", "nobody", "--data", "d", "--out", "o"],
        ["reproduce", "nothing"],
        ["trials", "nowhere.toml", "--data", "a.zip", "--val", "b.zip", "--out", "o"],
        ["tune", "nobody", "--data", "a.zip"],
    ],
)
def test_commands_that_publish_want_a_commit(command, monkeypatch, capsys):
    git_says(monkeypatch, {"rev-parse": "abc", "status": "?? train/new.py"})
    assert main(command) == 2
    assert capsys.readouterr().err.startswith("error: the code has changes that are not committed")
    assert main([*command, "--allow-dirty"]) == 2  # for what else is wrong with it
    assert "not committed" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the code has changes that are not committed"),
        (["--allow-dirty"], None),
        (["--repeats", "0"], "--repeats: must be a whole number of 1 or more, got '0'"),
    ],
)
def test_a_program_that_publishes_wants_a_commit_too(words, message, monkeypatch, capsys):
    git_says(monkeypatch, {"rev-parse": "abc", "status": "?? train/new.py"})
    monkeypatch.setattr("sys.argv", ["benchmarks", *words])
    parser = Parser()
    parser.add_argument("--repeats", type=COUNT, default=3)
    provenance.add_allow_dirty(parser)
    if message is None:
        assert provenance.parse_publishing(parser).repeats == 3
        return
    with pytest.raises(SystemExit) as end:
        provenance.parse_publishing(parser)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_commands_are_as_they_are_typed_on_any_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {
        "data": "/data/of mine/a.zip",
        "num": 3,
        "sum_only": True,
        "minutes": None,
        "fast": False,
        "weights": WEIGHTS,
        "set": ["x.y=1", "data.path=/some/where/b.zip"],
        "out": tmp_path / "reports" / "new",
    }
    monkeypatch.setattr(provenance, "default_device", lambda: "cpu")
    expected = (
        "python -m train evaluate it --data a.zip --num 3 --sum-only --set x.y=1 --set data.path=b.zip "
        "--out reports/new"
    )
    assert command_of(["evaluate", "it"], options, "cpu") == expected
    assert command_of(["evaluate", "it"], {}, "cuda") == "python -m train evaluate it --device cuda"


def test_no_absolute_path_is_left_in_plain_containers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    value = {
        "path": "/a/b/c.zip",
        "two": "/a/b.zip,/a/c.zip",
        "here": str(tmp_path / "runs" / "x"),
        "n": 3,
        "none": None,
        "told": "'svhn' is neither whole in /a/data nor at https://example.org/a/b (see 1/2, and/or); put it there",
        "list": ["/a/b/model.safetensors", {"deep": "/x/y"}],
        "windows": r"C:\Users\me\x.zip",
        "/a/key": 1,
    }
    assert portable(value) == {
        "path": "c.zip",
        "two": "b.zip,c.zip",
        "here": "runs/x",
        "n": 3,
        "none": None,
        "told": "'svhn' is neither whole in data nor at https://example.org/a/b (see 1/2, and/or); put it there",
        "list": ["model.safetensors", {"deep": "y"}],
        "windows": "x.zip",
        "key": 1,
    }


@pytest.mark.parametrize("folder", ["weights", "reports", "benchmarks"])
def test_nothing_that_is_published_names_a_folder_of_a_machine(folder):
    files = [
        path for path in (ROOT / folder).rglob("*") if path.is_file() and "runs" not in path.relative_to(ROOT).parts
    ]
    assert files
    for path in files:
        if path.suffix != ".png":  # compressed bytes may be anything
            data = path.read_bytes()
            if path.suffix == ".safetensors":
                data = data[8 : 8 + int.from_bytes(data[:8], "little")]  # the header; then come the tensors
            assert not MACHINE_PATH.search(data), f"{path}: {MACHINE_PATH.search(data)}"
