"""Files and folders: written in one piece, named safely, never overwritten unasked, and called what they are."""

import glob
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

LITTER_AGE = 3600.0  # seconds since its last change after which a temporary file is nobody's
MAX_NAME = 100  # characters; file systems stop at 255 bytes
NAME = re.compile(r"\w(?:[\w .+-]*[\w+-])?")
HEAD = 1024  # bytes that say what a file is
MAX_HEADER = 100_000_000  # bytes of a safetensors header; its reader refuses longer ones
PICKLE = (
    "a Python pickle such as PyTorch's .pt and .pth, and opening one may run any code; export the run that it is of "
    "(python -m train export RUN --name NAME)"
)
# What files begin with that are no safetensors, and what to do about each.
SIGNATURES = (
    (b"version https://git-lfs", "a Git LFS pointer in the place of the file; git lfs pull fetches the file itself"),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"\x89HDF", "an HDF5 file, such as Keras writes"),
    (b"GGUF", "a GGUF file of a language model"),
    (b"%PDF", "a PDF document"),
)
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class FileError(ValueError):
    """A file or folder that cannot be written or used under its name; the message says why and what to do."""


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` in one piece. Raises FileError as ``replacing`` does."""
    with replacing(path) as file:
        file.write(data)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to, a temporary neighbour of ``path`` that is flushed to disk and takes its name in the end.

    Raises FileError when the disk refuses. After any error the temporary file is gone and ``path`` untouched.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_litter(path)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise FileError(
            f"could not write {path}: {error.strerror or error}; free some space or choose another folder "
            "(what was there before is untouched)"
        ) from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def _remove_litter(path: Path) -> None:
    """Temporary neighbours that a process left when it was killed; one that still writes has touched its own lately."""
    for litter in path.parent.glob(f"{glob.escape(path.name)}*.tmp"):
        with suppress(OSError):
            if time.time() - litter.stat().st_mtime > LITTER_AGE:
                litter.unlink()


def safe_name(name: str) -> str:
    """The name itself, if it can be that of a folder beside others and never leads elsewhere; also an argparse type.

    Raises FileError otherwise.
    """
    if len(name) > MAX_NAME or not NAME.fullmatch(name):
        raise FileError(
            f"a name has 1 to {MAX_NAME} letters, digits and '-', '_', '.', '+' or spaces between them, and no "
            f"folders; got {name[:MAX_NAME]!r}"
        )
    return name


def check_new(path: Path, otherwise: str = "delete it or choose another name") -> None:
    """Raises FileError, which ends with ``otherwise``, when there is something under the name already."""
    if os.path.lexists(path):
        raise FileError(f"{path} exists already; {otherwise}")


def check_new_folder(path: Path, otherwise: str) -> None:
    """Raises FileError for a file, and for a folder with anything in it but hidden files, ending with ``otherwise``."""
    try:
        entries = sorted(entry.name for entry in path.iterdir() if not entry.name.startswith("."))
    except FileNotFoundError:
        return
    except OSError as error:
        raise FileError(f"{path} is no folder to write to: {error.strerror}; choose another") from error
    if entries:
        raise FileError(f"{path} is in use, it has {', '.join(entries[:3])}{', ...' * (len(entries) > 3)}; {otherwise}")


def describe(path: Path) -> str:
    """What a file that was meant to be safetensors is instead, from its first bytes, and what to do about it."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    size = path.stat().st_size
    length = int.from_bytes(head[:8], "little")
    if not head:
        return "an empty file; fetch or export it again"
    if size <= 8 and not _is_text(head):
        return f"cut off after {size} bytes; fetch or export it again"
    if head[8:9] == b"{" and length <= MAX_HEADER:
        if 8 + length > size:
            return f"cut off: its header alone has {length} bytes, the file {size}; fetch or export it again"
        return f"a damaged or cut off safetensors file of {size} bytes; fetch or export it again"
    return kind_of(head)


def kind_of(head: bytes) -> str:
    """What a file is that begins so, in words, and what to do with it where that helps."""
    for signature, words in SIGNATURES:
        if head.startswith(signature):
            return words
    if head.startswith(b"PK\x03\x04"):
        return PICKLE if b".pkl" in head[:HEAD] else "a zip archive; unpack it and give the file that is in it"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return PICKLE
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")):
        return "a web page, perhaps the answer of a server that wants a login; download the file itself"
    if text.startswith((b"{", b"[")) and b"\0" not in head:
        return "JSON, not the weights that it may be about"
    if _is_text(head):
        return "text"
    return "of no kind that is known here"


def _is_text(head: bytes) -> bool:
    if any(byte < 32 and byte not in b"\t\r\n" for byte in head):
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"  # the head ends within a letter
    return True


def one_line(error: BaseException) -> str:
    """What another library says, in one line and without addresses in memory."""
    return re.sub(r"<[^<>]* at 0x[0-9a-fA-F]+>", "the file", " ".join(str(error).split()))


def spreadsheet_text(text: str) -> str:
    """Text that no spreadsheet takes for a formula: behind an apostrophe where it begins like one."""
    return f"'{text}" if text.startswith(FORMULA) else text
