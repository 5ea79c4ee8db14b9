"""Picture files below a folder, in a zip, or named by a list: which there are, and their bytes.

Whatever is found is either a picture to read or left out with its reason. Only names are held in memory.
"""

import hashlib
import os
import stat
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import IO, NamedTuple

from ebm_core.pictures import HEAD, OTHER_SUFFIXES, SUFFIXES, Limits, PictureError, is_picture

MAX_NAMED = 10  # of one reason
SYSTEM = {"__macosx", "thumbs.db", "desktop.ini"}  # what systems leave behind, beside names that begin with a dot
HIDDEN = "hidden, or left there by a system"
NO_PICTURE = "neither the name nor the first bytes are those of a picture"
SAME_NAME = "a later member of the zip has the same name, and the last one counts"
READ_ALREADY = "a link to a folder that is read already"

LeftOut = Mapping[str, list[str]]  # names by the reason


class Files(NamedTuple):
    """Names of pictures in a fixed order, and the bytes of one: ``read(name)`` raises PictureError when it cannot be
    read. Many threads may read at once. ``left_out`` is whatever else was found."""

    names: list[str]
    read: Callable[[str], bytes]
    left_out: LeftOut

    def digest(self) -> str:
        """Differs when any name or their order does."""
        digest = hashlib.sha256()
        for name in self.names:
            digest.update(os.fsencode(name) + b"\0")
        return digest.hexdigest()[:16]


def printable(name: str) -> str:
    """A file's name as text: bytes that are not UTF-8 become escapes such as ``\\xff``."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def left_out_notes(left_out: LeftOut) -> list[str]:
    """What was left out, in a line for each reason: all names, or the first of many."""
    notes = []
    for reason, names in left_out.items():
        first = ", ".join(map(printable, sorted(names)[:MAX_NAMED]))
        more = f" and {len(names) - MAX_NAMED:,} more" if len(names) > MAX_NAMED else ""
        notes += [f"left out: {first}{more}: {reason}"] if names else []
    return notes


@contextmanager
def open_files(path: Path, limits: Limits) -> Iterator[Files]:
    """The files of a folder, a zip, or a text file with a name in each line (relative to the working directory).

    Of folders and zips those that are pictures by their suffix or their first bytes, in the order of their names.
    Raises ValueError when it is none of the three or there are no such files.
    """
    if path.is_dir():
        yield open_folder(path, limits)
    elif zipfile.is_zipfile(path):
        with open_zip(path, limits) as files:
            yield files
    else:
        names = _read_list(path)
        yield _any(path, Files(names, lambda name: _read_file(_listed(name), limits), {}))


def open_folder(path: Path, limits: Limits) -> Files:
    """The files below a folder, those of linked folders too. Raises ValueError when there are no pictures."""
    names, left_out = walk(path)
    pictures = _pictures(names, lambda name: _head(path / name), left_out)
    return _any(path, Files(pictures, lambda name: _read_file(path / name, limits), left_out))


@contextmanager
def open_zip(path: Path | IO[bytes], limits: Limits) -> Iterator[Files]:
    """The members of a zip, of those of one name the last, as when it is unpacked. Raises ValueError when it is no zip
    or has no pictures."""
    left_out: dict[str, list[str]] = defaultdict(list)
    lock = Lock()  # ZipFile counts its readers without one
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a zip file that can be read: {error}") from error
    with archive:
        names: set[str] = set()
        for member in archive.infolist():
            if member.filename in names:
                left_out[SAME_NAME].append(member.filename)
            elif not member.is_dir():
                names.add(member.filename)
        pictures = _pictures(sorted(names), lambda name: _member_head(archive, name), left_out)
        yield _any(path, Files(pictures, lambda name: _read_member(archive, lock, name, limits), left_out))


def walk(folder: Path) -> tuple[list[str], dict[str, list[str]]]:
    """Names of all files below a folder, sorted, and what was not entered. Raises ValueError for a folder that cannot
    be read.

    Linked folders are entered last, and none twice, so that a folder has its own name and no circle is endless.
    """

    def refuse(error: OSError) -> None:
        raise ValueError(f"{error.filename} cannot be read: {error.strerror}; name the files in a list") from error

    names: list[str] = []
    left_out: dict[str, list[str]] = defaultdict(list)
    roots, entered = [str(folder)], set()
    for root in roots:
        for parent, folders, files in os.walk(root, onerror=refuse):
            inside = os.path.relpath(parent, folder).replace(os.sep, "/") + "/"
            real = os.path.realpath(parent)
            if real in entered:
                left_out[READ_ALREADY].append(inside)
                folders.clear()
                continue
            entered.add(real)
            inside = inside.removeprefix("./")
            names += [inside + name for name in files]
            left_out[HIDDEN] += [f"{inside}{name}/" for name in folders if _is_hidden(name)]
            folders[:] = sorted(name for name in folders if not _is_hidden(name))
            roots += [link for name in folders if os.path.islink(link := os.path.join(parent, name))]
    return sorted(names), left_out


def _any(path: Path | IO[bytes], files: Files) -> Files:
    if not files.names:
        said = "".join(f"; {note}" for note in left_out_notes(files.left_out))
        raise ValueError(f"{path}: there are no picture files there ({', '.join(sorted(SUFFIXES))}){said}")
    return files


def _pictures(names: Iterable[str], head: Callable[[str], bytes], left_out: dict[str, list[str]]) -> list[str]:
    """Those to read; the others are added to ``left_out``. Files of usual names are not opened for it."""
    pictures = []
    for name in names:
        suffix = os.path.splitext(name)[1].lower()
        if _is_hidden(name):
            left_out[HIDDEN].append(name)
        elif suffix in SUFFIXES or suffix in OTHER_SUFFIXES or is_picture(head(name)):
            pictures.append(name)
        else:
            left_out[NO_PICTURE].append(name)
    return pictures


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part.lower() in SYSTEM for part in name.replace("\\", "/").split("/"))


def _head(path: Path) -> bytes:
    try:
        if not path.is_file():  # a pipe could be waited for without end
            return b""
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""


def _member_head(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        with archive.open(name) as member:
            return member.read(HEAD)
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError):
        return b""


def _read_list(path: Path) -> list[str]:
    """The lines that are not empty, in UTF-8 or, with a byte order mark, in UTF-16; other bytes stay as they are."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read ({error.strerror}); give a folder, a zip or a list of files"
        ) from error
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data.decode("utf-16", "replace").encode("utf-8", "replace")
    if b"\0" in data:
        raise ValueError(
            f"{path} is neither a folder nor a zip nor a list of files, one in each line; a list is in UTF-8, or in "
            "UTF-16 with a byte order mark"
        )
    lines = data.removeprefix(b"\xef\xbb\xbf").splitlines()
    return [os.fsdecode(line) for line in lines if line.strip()]


def _listed(name: str) -> Path:
    """The file that a line names: as it stands there, or else without quotes and with slashes the other way round."""
    path = Path(name)
    return path if os.path.lexists(path) else Path(name.strip().strip('"').replace("\\", "/"))


def _read_file(path: Path, limits: Limits) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise PictureError("this is not a file")
        limits.check_bytes(status.st_size)
        return path.read_bytes()
    except OSError as error:
        is_foreign = any("\udc80" <= character <= "\udcff" for character in str(path))
        hint = "; its name in the list is not in UTF-8: save the list as UTF-8" if is_foreign else ""
        raise PictureError(f"the file cannot be read: {error.strerror}{hint}") from error


def _read_member(archive: zipfile.ZipFile, lock: Lock, name: str, limits: Limits) -> bytes:
    try:
        with lock:
            limits.check_bytes(archive.getinfo(name).file_size)
            with archive.open(name) as member:
                return member.read(limits.max_bytes + 1)  # the size in the zip may be a lie
    # RuntimeError: an encrypted member; NotImplementedError, one of its children: an unknown compression.
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise PictureError(f"the file cannot be unpacked: {error}") from error
