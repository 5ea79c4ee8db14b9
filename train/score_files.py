"""The picture files to score: below a folder, in a zip, or named by a list. Only their names are held in memory."""

import hashlib
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from ebm_core.pictures import Limits, PictureError

# Of the formats that ``read_picture`` reads. A list may name files with any other.
SUFFIXES = {
    ".png", ".jpg", ".jpeg", ".jpe", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm",
}  # fmt: skip


class Files(NamedTuple):
    """Names in a fixed order, and the bytes of one: ``read(name)`` raises PictureError when it cannot be read. Many
    threads may read at once."""

    names: list[str]
    read: Callable[[str], bytes]

    def digest(self) -> str:
        """Differs when any name or their order does."""
        digest = hashlib.sha256()
        for name in self.names:
            digest.update(os.fsencode(name) + b"\0")
        return digest.hexdigest()[:16]


@contextmanager
def open_files(path: Path, limits: Limits) -> Iterator[Files]:
    """The files of a folder, a zip, or a text file with a name in each line (relative to the working directory).

    Of folders and zips those with an image's suffix, hidden ones left out, in the order of their names. Raises
    ValueError when it is none of the three or there are no such files.
    """
    if path.is_dir():
        yield _found(path, Files(sorted(_walk(path)), lambda name: _read_file(path / name, limits)))
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = sorted({name for name in archive.namelist() if _is_picture(name)})
            lock = Lock()  # ZipFile counts its readers without one
            yield _found(path, Files(names, lambda name: _read_member(archive, lock, name, limits)))
    else:
        yield _found(path, Files(_read_list(path), lambda name: _read_file(Path(name), limits)))


def _found(path: Path, files: Files) -> Files:
    if not files.names:
        raise ValueError(f"{path}: there are no picture files there ({', '.join(sorted(SUFFIXES))})")
    return files


def _walk(folder: Path) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise ValueError(f"{error.filename} cannot be read: {error.strerror}; name the files in a list") from error

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = os.path.relpath(parent, folder).replace(os.sep, "/")
        for name in names:
            relative = name if inside == "." else f"{inside}/{name}"
            if _is_picture(relative):
                yield relative


def _is_picture(name: str) -> bool:
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
    return os.path.splitext(name)[1].lower() in SUFFIXES and not hidden


def _read_list(path: Path) -> list[str]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read ({error.strerror}); give a folder, a zip or a list of files"
        ) from error
    if b"\0" in data:
        raise ValueError(f"{path} is neither a folder nor a zip nor a list of files, one in each line")
    return [os.fsdecode(line) for line in data.splitlines() if line.strip()]


def _read_file(path: Path, limits: Limits) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe could be waited for without end
            raise PictureError("this is not a file")
        limits.check_bytes(status.st_size)
        return path.read_bytes()
    except OSError as error:
        raise PictureError(f"the file cannot be read: {error.strerror}") from error


def _read_member(archive: zipfile.ZipFile, lock: Lock, name: str, limits: Limits) -> bytes:
    try:
        with lock:
            limits.check_bytes(archive.getinfo(name).file_size)
            with archive.open(name) as member:
                return member.read(limits.max_bytes + 1)  # the size in the zip may be a lie
    # RuntimeError: an encrypted member; NotImplementedError, one of its children: an unknown compression.
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise PictureError(f"the file cannot be unpacked: {error}") from error
