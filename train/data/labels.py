"""Labels of a zip or folder of pictures, from the file that stands beside them."""

import csv
import json
import re
from collections.abc import Collection
from pathlib import PurePosixPath
from typing import Any

from ebm_core.picture_files import Files
from ebm_core.pictures import PictureError

LABEL_FILE = "dataset.json"  # the convention of StyleGAN and EDM
TABLE_FILE = "labels.csv"
LEADING_ZERO = re.compile(r"\s*0\d+\s*")
FORM = (
    f'labels are looked for in {LABEL_FILE} ({{"labels": [["cat.png", 0], ...]}}) or in {TABLE_FILE} (a first line '
    "file,label, then a line for each picture), in the outermost folder that has one, with names as seen from there"
)


def read_labels(files: Files, where: str) -> dict[str, Any]:
    """Labels by the names of pictures; no more than those that have one. Label files are taken out of what is left out.

    Read are the label files of the least depth, so that a folder around everything does no harm. Raises ValueError,
    which begins with ``where``, for a file of another form, names of pictures that are not there, and two labels.
    """
    there = {_plain(name): name for name in files.names}
    unread = {_plain(name) for names in files.left_out.values() for name in names}
    labels: dict[str, Any] = {}
    for file in _label_files(files):
        parse = _parse_json if PurePosixPath(file).name == LABEL_FILE else _parse_csv
        try:
            text = files.read(file)
        except PictureError as error:
            raise ValueError(f"{where}: {file}: {error}") from error
        content = parse(text, f"{where}: {file}")
        folder = PurePosixPath(_plain(file)).parent
        named = {_located(_plain(name), folder, there): label for name, label in content.items()}
        absent = sorted(named.keys() - there.keys() - unread)
        if absent:
            raise ValueError(
                f"{where}: {file} names {len(absent)} images that are not there, such as {absent[0]}; "
                "add them or remove their labels"
            )
        twice = named.keys() & labels.keys()
        if twice:
            raise ValueError(f"{where}: {min(twice)} has labels in two files; keep one of them")
        labels |= named
        for names in files.left_out.values():
            names[:] = [name for name in names if name != file]
    return {there[name]: label for name, label in labels.items() if name in there}


def _label_files(files: Files) -> list[str]:
    others = (name for names in files.left_out.values() for name in names)
    label_files = sorted({name for name in others if PurePosixPath(_plain(name)).name in (LABEL_FILE, TABLE_FILE)})
    depths = {name: len(PurePosixPath(_plain(name)).parts) for name in label_files}
    return [name for name in label_files if depths[name] == min(depths.values())]


def _plain(name: str) -> str:
    """A name as zips and label files of any system may have it, the same way for all."""
    return str(PurePosixPath(name.replace("\\", "/")))


def _located(name: str, folder: PurePosixPath, there: Collection[str]) -> str:
    """A picture's name as seen from the top, of one as seen from the label file's folder, or from the top."""
    inside = str(folder / name)
    return name if name in there and inside not in there else inside


def _parse_json(text: bytes, where: str) -> dict[str, Any]:
    """Labels by file name; ``"labels": null`` and no such key both mean that there are none.

    Where ``"attributes"`` has a name for each entry of the labels, they become dictionaries.
    """
    try:
        content = json.loads(text)
        labels, attributes = dict(content.get("labels") or {}), content.get("attributes")
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{where} is not of the form {{'labels': [[name, label], ...]}}") from error
    if not all(isinstance(name, str) for name in labels):
        raise ValueError(f"{where} is not of the form {{'labels': [[name, label], ...]}}")
    if attributes is None:
        return labels
    try:
        return {name: dict(zip(attributes, label, strict=True)) for name, label in labels.items()}
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where} does not have a number for each of its 'attributes'") from error


def _parse_csv(text: bytes, where: str) -> dict[str, Any]:
    """A dictionary for each file: the first column names it, the others are named by the first line."""
    encoding = "utf-16" if text.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        lines = text.decode(encoding).splitlines()
        separator = max(",;\t", key=(lines or [""])[0].count)  # spreadsheets of some countries write semicolons
        header, *rows = [row for row in csv.reader(lines, delimiter=separator, strict=True) if any(row)]
        if len(header) < 2 or header[0].strip().lower() not in ("file", "filename"):
            raise ValueError(f"its first line is {separator.join(header)!r}")
        return {row[0]: dict(zip(header[1:], map(_value, row[1:]), strict=True)) for row in rows}
    except (ValueError, csv.Error) as error:
        raise ValueError(
            f"{where} is not of the form file,label and then a line with as many entries for each picture, in UTF-8 "
            f"({error})"
        ) from error


def _value(text: str) -> Any:
    """A number, or else the text: also where it begins with a zero that a number would lose, as a name may ("01")."""
    if LEADING_ZERO.fullmatch(text):
        return text.strip()
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            pass
    return text.strip()
