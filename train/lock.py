"""One run at a time in a folder: two that write to one would each spoil what the other is made of."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

LOCK = ".lock"


class RunError(ValueError):
    """A run folder that cannot be used; the message says what to do."""


@contextmanager
def held(folder: Path, wanted: bool = True) -> Iterator[None]:
    """Keeps a folder, made if need be, to this process, and leaves no trace of it; nothing where it is not ``wanted``.

    The lock is the system's and ends with its process, however that ends. Raises RunError while another has it.
    """
    if not wanted:
        yield
        return
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunError(f"another run is at work in {folder}; wait for it, stop it, or choose another folder") from error
    try:
        yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)
        lock.release()
        with suppress(OSError):  # the run left something in them
            for path in new:
                path.rmdir()
