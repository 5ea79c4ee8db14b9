"""Pictures at an address of any file system that fsspec knows, in units that one worker scores at once.

A unit is so many loose files or members of a zip, a shard of WebDataset (a tar), or a row group of a Parquet file.
"""

import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePosixPath
from threading import Lock
from typing import Any, NamedTuple
from uuid import uuid4

import fsspec
import pyarrow as pa
import pyarrow.parquet

from ebm_core.picture_files import Files, open_zip
from ebm_core.pictures import SUFFIXES, Limits, PictureError

SHARDS = (".tar", ".parquet", ".zip")


class Unit(NamedTuple):
    """``names`` of the file ``path`` of the address, a zip; of loose files ``path`` is ""; a tar has all its names, a
    Parquet file those of the row group ``group``."""

    path: str
    names: tuple[str, ...] = ()
    group: int = 0


class Address(NamedTuple):
    """A folder or a file: its file system, the folder's path in it, and names below."""

    fs: fsspec.AbstractFileSystem
    root: str
    names: list[str]

    def open(self, name: str) -> Any:
        """The file, to be read at any place. Raises OSError."""
        return self.fs.open(f"{self.root}/{name}", "rb")


def open_address(address: str, listed: bool = True) -> Address:
    """Raises ValueError, in a sentence, for an address that no file system knows or where nothing is.

    A folder that is not ``listed`` has no names: of a million files that takes a while, and a worker knows its own.
    """
    try:
        fs, path = fsspec.core.url_to_fs(address)
        path = path.rstrip("/")
        if fs.isfile(path):
            root, _, name = path.rpartition("/")
            return Address(fs, root, [name])
        names = sorted(str(name)[len(path) + 1 :] for name in fs.find(path)) if listed else []
    except (ValueError, ImportError, OSError) as error:
        raise ValueError(
            f"{address} cannot be read ({error}); give a folder, a zip, a tar or a Parquet file"
        ) from error
    return Address(fs, path, [name for name in names if not any(part.startswith(".") for part in name.split("/"))])


def units_of(address: str, size: int, limits: Limits) -> list[Unit]:
    """All pictures there, in an order that depends on their names alone, in units of ``size`` where files are loose.

    Raises ValueError when there are none or a shard is damaged.
    """
    place = open_address(address)
    loose = [name for name in place.names if PurePosixPath(name).suffix.lower() in SUFFIXES]
    units = [Unit("", tuple(loose[start : start + size])) for start in range(0, len(loose), size)]
    for name in place.names:
        suffix = PurePosixPath(name).suffix.lower()
        if suffix == ".tar":
            units.append(Unit(name))
        elif suffix == ".parquet":
            with _sentence(name), place.open(name) as file:
                units += [Unit(name, (), group) for group in range(pa.parquet.ParquetFile(file).num_row_groups)]
        elif suffix == ".zip":
            with _sentence(name), place.open(name) as file, open_zip(file, limits) as files:
                members = files.names
            units += [Unit(name, tuple(members[start : start + size])) for start in range(0, len(members), size)]
    if not units:
        raise ValueError(f"there are no pictures at {address}: neither files by their suffix nor {', '.join(SHARDS)}")
    return units


@contextmanager
def open_unit(address: str, unit: Unit, limits: Limits) -> Iterator[Files]:
    """The pictures of a unit, by names that no other of the address has. Raises ValueError for a damaged shard."""
    place = open_address(address, listed=False)
    if not unit.path:
        yield Files([*unit.names], lambda name: _read_loose(place, name, limits), {})
        return
    with _sentence(unit.path), place.open(unit.path) as file:
        if unit.names:
            with open_zip(file, limits) as files:
                yield _below(unit.path, {name: name for name in unit.names}, files.read)
        elif unit.path.lower().endswith(".tar"):
            with tarfile.open(fileobj=file) as archive:
                members = {member.name: member for member in archive.getmembers() if _is_picture(member)}
                lock = Lock()
                yield _below(unit.path, members, lambda member: _read_member(archive, lock, member, limits))
        else:
            parquet = pa.parquet.ParquetFile(file)
            first = sum(parquet.metadata.row_group(group).num_rows for group in range(unit.group))
            rows = _pictures_of(parquet, unit)
            yield _below(
                unit.path, {str(first + i): row for i, row in enumerate(rows)}, lambda row: _checked(row, limits)
            )


def _below(path: str, contents: Mapping[str, Any], read: Callable[[Any], bytes]) -> Files:
    named = {f"{path}/{name}": content for name, content in contents.items()}
    return Files([*named], lambda name: read(named[name]), {})


def _is_picture(member: tarfile.TarInfo) -> bool:
    return member.isfile() and PurePosixPath(member.name).suffix.lower() in SUFFIXES


def _read_loose(place: Address, name: str, limits: Limits) -> bytes:
    try:
        with place.open(name) as file:
            return _checked(file.read(limits.max_bytes + 1), limits)
    except OSError as error:
        raise PictureError(f"the file cannot be read: {error.strerror or error}") from error


def _read_member(archive: tarfile.TarFile, lock: Lock, member: tarfile.TarInfo, limits: Limits) -> bytes:
    limits.check_bytes(member.size)
    try:
        with lock:
            file = archive.extractfile(member)
            return file.read() if file else b""
    except (OSError, tarfile.TarError) as error:
        raise PictureError(f"the file cannot be unpacked: {error}") from error


def _pictures_of(parquet: pa.parquet.ParquetFile, unit: Unit) -> list[bytes | None]:
    """Those of the first column of bytes, or of structures that have ``bytes``, as Hugging Face's data sets do."""
    for column in parquet.schema_arrow:
        is_struct = pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0
        if is_struct or pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
            values = parquet.read_row_group(unit.group, columns=[column.name])[column.name].to_pylist()
            return [value["bytes"] if is_struct and value is not None else value for value in values]
    raise ValueError(f"{unit.path} has no column of pictures: bytes, or structures with 'bytes'")


def _checked(data: bytes | None, limits: Limits) -> bytes:
    if data is None:
        raise PictureError("there is no picture in this row")
    limits.check_bytes(len(data))
    return data


@contextmanager
def _sentence(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, tarfile.TarError, zipfile.BadZipFile, pa.ArrowException) as error:
        raise ValueError(f"{name} cannot be read ({error}); mend it, or take it away") from error


def write(fs: fsspec.AbstractFileSystem, path: str, data: bytes) -> None:
    """Write a file that appears under its name only when it is whole, whoever else writes it too."""
    part = f"{path}.{uuid4().hex}.part"
    fs.pipe_file(part, data)
    fs.mv(part, path)


def read_table(fs: fsspec.AbstractFileSystem, path: str, columns: list[str]) -> pa.Table:
    """Some columns of a Parquet file."""
    return pa.parquet.read_table(io.BytesIO(fs.cat_file(path)), columns=columns)
