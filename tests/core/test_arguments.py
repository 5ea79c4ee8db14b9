"""Numbers within bounds, for command lines, configs and the page, and a command line that ends in one sentence."""

import argparse
import math

import pytest

from ebm_core.arguments import COUNT, POSITIVE, ArgumentError, Bounds, Parser, folder_name, whole


@pytest.mark.parametrize(
    ("bounds", "good", "bad"),
    [
        (whole(1, 64), {"1": 1, "64": 64, " 7": 7}, ["0", "65", "1.5", "2.0", "", "x", "nan", "inf", "1e1", "-1"]),
        (COUNT, {"1": 1, "1000000": 1_000_000}, ["0", "-5", "0.5"]),
        (POSITIVE, {"1e-9": 1e-9, "5": 5.0}, ["0", "-0.0", "nan", "inf", "1e999", "-1", ""]),
        (Bounds(0, 1, open=True), {"0.05": 0.05}, ["0", "1", "nan"]),
        (Bounds(0), {"0": 0.0}, ["-1e-9", "nan"]),
    ],
)
def test_texts_are_read_within_bounds(bounds, good, bad):
    for text, value in good.items():
        assert bounds(text) == value
        assert type(bounds(text)) is (int if bounds.whole else float)
        assert bounds.check(value, "it") == value
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError, match=r"must be a .*number"):
            bounds(text)


@pytest.mark.parametrize("value", [None, True, "3", math.nan, math.inf, 1.5, 0, [3], 10**400])
def test_values_of_a_page_or_a_config_are_checked(value):
    with pytest.raises(ArgumentError, match=r"^'Seed' (must be|is empty: it must be) a whole number from 1 to 9"):
        whole(1, 9).check(value, "'Seed'")
    assert type(whole(1, 9).check(3.0, "x")) is int


def test_bounds_in_words():
    assert str(whole(0, 2**32 - 1)) == "a whole number from 0 to 4294967295"
    assert str(POSITIVE) == "a number above 0"
    assert str(Bounds(0)) == "a number of 0 or more"
    assert str(Bounds(0, 1, open=True)) == "a number between 0 and 1"


def test_a_command_line_ends_in_one_sentence():
    parser = Parser(prog="prog")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("go").add_argument("--num", type=COUNT)
    commands.add_parser("name").add_argument("name", type=folder_name)
    for arguments, message in [
        (["go", "--num", "0"], "argument --num: must be a whole number of 1 or more, got '0' (prog go --help says"),
        (["go", "--nun", "1"], "unrecognized arguments: --nun 1 (prog --help says more)"),
        (["name", ".."], "argument name: a name has 1 to 100 letters"),
        ([], "the following arguments are required: COMMAND"),
    ]:
        with pytest.raises(ArgumentError) as error:
            parser.parse_args(arguments)
        assert str(error.value).startswith(message)
