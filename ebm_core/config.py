"""Frozen dataclasses <-> plain dictionaries and TOML, strictly.

A configuration that is misspelt must fail, not be ignored: an unknown key is refused and the nearest known
name is offered, and a value of the wrong type is refused with the full path of its key.

A field declares its type, its range and its meaning in one line, ``width: Annotated[int, whole(1, 8192)] = 64  # ...``,
and ``check_fields`` in ``__post_init__`` holds the values to it, whoever builds the dataclass.
"""

import dataclasses
import difflib
import math
import tomllib
import types
from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from ebm_core.arguments import Bounds, brief, whole

T = TypeVar("T")


Probability = Annotated[float, Bounds(0, 1)]
Positive = Annotated[float, Bounds(0, 1e12, open=True)]
NotNegative = Annotated[float, Bounds(0, 1e12)]
Count = Annotated[int, whole(1, 10**9)]
Iterations = Annotated[int, whole(0, 10**9)]


class ConfigError(ValueError):
    """A configuration that does not fit its dataclass; the message names the key and what was expected."""


def from_dict(cls: type[T], values: dict[str, Any], path: str = "") -> T:
    """Build the dataclass ``cls`` from nested dictionaries; ``path`` prefixes key names in errors.

    Raises ConfigError for unknown or missing keys and for values of the wrong type; whatever ``__post_init__``
    raises as ValueError is passed on with the section's name.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"'{path}' must be a table, got {brief(values)}")
    hints = get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cast(Any, cls)) if f.init}
    for key in values:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1, cutoff=0.0)
            raise ConfigError(f"unknown key {brief(_join(path, key))}; did you mean '{_join(path, near[0])}'?")
    arguments = {}
    for name, field in fields.items():
        if name in values:
            arguments[name] = _convert(hints[name], values[name], _join(path, name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"missing key '{_join(path, name)}'")
    try:
        return cls(**arguments)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"[{path or cls.__name__}] {error}") from error


def check_fields(config: Any) -> None:
    """Raises ValueError for the first field of a dataclass that is out of the bounds of its declaration.

    The bounds of a tuple are those of each entry.
    """
    for name, bounds in _bounds_of(cast(Hashable, type(config))):
        value = getattr(config, name)
        for one in value if isinstance(value, tuple) else (value,):
            bounds.check(one, name)


@cache
def _bounds_of(cls: Any) -> list[tuple[str, Bounds]]:
    hints = get_type_hints(cls, include_extras=True)
    return [(name, extra) for name, hint in hints.items() for extra in getattr(hint, "__metadata__", ())]


def to_dict(config: Any) -> dict[str, Any]:
    """The inverse of ``from_dict``: only dictionaries, lists, strings, numbers and booleans (JSON-ready)."""
    return {
        f.name: _plain(getattr(config, f.name))
        for f in dataclasses.fields(config)
        if f.init and getattr(config, f.name) is not None
    }


def load_toml(
    cls: type[T], path: Path, overrides: Sequence[str] = (), options: Mapping[str, str | None] | None = None
) -> T:
    """Read a TOML file into ``cls``; ``overrides`` are ``section.key=value`` strings, values in TOML syntax.

    ``options`` are texts by ``section.key``, taken as they are: names of files, in which TOML would read backslashes
    and quotes; an empty one is none. ``extends = "other.toml"`` at the file's top takes whatever it does not say itself
    from the one beside it.
    """
    values = _read_toml(path, ())
    for assignment in overrides:
        _assign(values, assignment)
    for key, text in (options or {}).items():
        if text:
            _put(values, key, text, key)
    return from_dict(cls, values)


def override(config: T, assignments: list[str]) -> T:
    """A copy of a dataclass with ``section.key=value`` strings applied."""
    values = to_dict(config)
    for assignment in assignments:
        _assign(values, assignment)
    return from_dict(type(config), values)


def _read_toml(path: Path, extending: tuple[Path, ...]) -> dict[str, Any]:
    if path in extending:
        raise ConfigError(f"{path} extends itself")
    try:
        values = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    if "extends" not in values:
        return values
    base = path.parent / str(values.pop("extends"))
    return _merged(_read_toml(base, (*extending, path)), values)


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``over`` on top of ``base``, section by section."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _assign(values: dict[str, Any], assignment: str) -> None:
    key, equals, text = assignment.partition("=")
    if not equals:
        raise ConfigError(f"--set {brief(assignment)}: expected section.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word is a string, so that --set net.norm=none needs no quotes within quotes
    _put(values, key.strip(), value, f"--set {brief(assignment)}")


def _put(values: dict[str, Any], key: str, value: Any, where: str) -> None:
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{where}: '{section}' is not a section")
    values[last] = value


def _convert(hint: Any, value: Any, path: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (inner,) = [a for a in args if a is not type(None)]
        return None if value is None else _convert(inner, value, path)
    if origin is Literal:
        if value not in args:
            raise ConfigError(f"'{path}' must be one of {', '.join(map(repr, args))}; got {brief(value)}")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"'{path}' must be a list, got {brief(value)}")
        if args[-1] is not Ellipsis and len(value) != len(args):
            raise ConfigError(f"'{path}' must have {len(args)} entries, got {brief(value)}")
        return tuple(_convert(args[0], v, f"{path}[{i}]") for i, v in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"'{path}' must be a table, got {brief(value)}")
        return {key: _convert(args[1], entry, _join(path, str(key))) for key, entry in value.items()}
    if hint is Any:
        return value
    if hasattr(hint, "from_plain"):  # a class with a form of its own
        return hint.from_plain(value)
    if dataclasses.is_dataclass(hint):
        return from_dict(cast(type[Any], hint), value, path)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 10**300 else math.inf
    if type(value) is not hint:
        raise ConfigError(f"'{path}' must be {hint.__name__}, got {brief(value)}")
    if hint is float and not math.isfinite(value):
        raise ConfigError(f"'{path}' must be a finite number, got {brief(value)}")
    return value


def _plain(value: Any) -> Any:
    if hasattr(value, "to_plain"):
        return value.to_plain()
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
