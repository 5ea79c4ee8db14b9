"""Strict configurations."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from ebm_core.config import ConfigError, from_dict, load_toml, override, to_dict


@dataclass(frozen=True)
class Inner:
    steps: int = 1
    size: float = 0.5

    def __post_init__(self):
        if self.steps < 0:
            raise ValueError("steps must be 0 or more")


@dataclass(frozen=True)
class Outer:
    name: str
    kind: Literal["a", "b"] = "a"
    layouts: tuple[str, ...] = ("x",)
    pair: tuple[float, float] = (0.0, 1.0)
    inner: Inner = field(default_factory=Inner)
    maybe: Inner | None = None


def test_round_trip():
    config = Outer("n", "b", ("p", "q"), (1.0, 2.0), Inner(3, 4.0), Inner(5))
    assert from_dict(Outer, to_dict(config)) == config
    assert from_dict(Outer, to_dict(Outer("n"))) == Outer("n")


def test_toml_with_overrides(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('name = "n"\n[inner]\nsteps = 2\n')
    config = load_toml(Outer, path, ["inner.steps=7", "kind=b", 'layouts=["u", "v"]', "inner.size=2"])
    assert config == Outer("n", "b", ("u", "v"), inner=Inner(7, 2.0))
    assert override(config, ["maybe.steps=9"]).maybe == Inner(9)


def test_options_are_taken_as_they_are(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("[inner]\nsteps = 2\n")
    for text in ("a\\new.zip", 'say "hi".zip', "cat \N{CAT FACE}.zip", "\x7f", "\udcff", "true", "7"):
        assert load_toml(Outer, path, options={"name": text, "kind": None}) == Outer(text, inner=Inner(2))
    with pytest.raises(ConfigError, match=r"inner\.steps\.x: 'steps' is not a section"):
        load_toml(Outer, path, options={"inner.steps.x": "y"})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "n", "inner": {"stepz": 1}}, r"unknown key 'inner.stepz'; did you mean 'inner.steps'\?"),
        ({}, "missing key 'name'"),
        ({"name": 3}, "'name' must be str, got 3"),
        ({"name": "n", "kind": "c"}, "'kind' must be one of 'a', 'b'; got 'c'"),
        ({"name": "n", "inner": 3}, "'inner' must be a table"),
        ({"name": "n", "inner": {"steps": True}}, "'inner.steps' must be int, got True"),
        ({"name": "n", "inner": {"steps": 1.5}}, "'inner.steps' must be int"),
        ({"name": "n", "layouts": "x"}, "'layouts' must be a list"),
        ({"name": "n", "layouts": [1]}, r"'layouts\[0\]' must be str"),
        ({"name": "n", "pair": [1.0]}, "'pair' must have 2 entries"),
        ({"name": "n", "inner": {"steps": -1}}, r"\[inner\] steps must be 0 or more"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(values, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(Outer, values)


def test_broken_toml_and_overrides_are_refused(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("name = \n")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_toml(Outer, path)
    path.write_text('name = "n"\n')
    with pytest.raises(ConfigError, match=r"expected section\.key=value"):
        load_toml(Outer, path, ["inner.steps"])
    with pytest.raises(ConfigError, match="'name' is not a section"):
        load_toml(Outer, path, ["name.steps=1"])


def test_a_file_that_extends_another_says_only_what_differs(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text('name = "base"\n[inner]\nsteps = 3\nsize = 2\n')
    (tmp_path / "middle.toml").write_text('extends = "base.toml"\n[inner]\nsteps = 4\n')
    (tmp_path / "top.toml").write_text('extends = "middle.toml"\nname = "top"\n')
    config = load_toml(Outer, tmp_path / "top.toml", ["inner.size=5"])
    assert (config.name, config.inner.steps, config.inner.size) == ("top", 4, 5)


def test_extending_in_a_circle_or_from_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('extends = "b.toml"\n')
    (tmp_path / "b.toml").write_text('extends = "a.toml"\n')
    (tmp_path / "c.toml").write_text('extends = "absent.toml"\n')
    with pytest.raises(ConfigError, match="extends itself"):
        load_toml(Outer, tmp_path / "a.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_toml(Outer, tmp_path / "c.toml")


def test_tables_of_free_keys_keep_them_and_check_their_values():
    @dataclass(frozen=True)
    class Figures:
        shares: dict[str, float] = field(default_factory=dict)
        notes: dict[str, Any] = field(default_factory=dict)

    values = {"shares": {"a": 1, "b": 0.5}, "notes": {"c": [1, "x"]}}
    assert to_dict(from_dict(Figures, values)) == values
    with pytest.raises(ConfigError, match=r"'shares.a' must be float"):
        from_dict(Figures, {"shares": {"a": "x"}})
    with pytest.raises(ConfigError, match="'shares' must be a table"):
        from_dict(Figures, {"shares": 3})
