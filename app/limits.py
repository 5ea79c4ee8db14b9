"""What a stranger may hand to the page, in one place: the page says it, and the server refuses what is above it."""

from pathlib import Path

from ebm_core.pictures import FORMATS, Limits, PictureError

PICTURES = Limits(max_bytes=20 * 2**20, max_pixels=50_000_000)  # of one file, anywhere on the page
MAX_PICTURES = 500  # on a Score page at once
MAX_CARDS = 24  # of them shown large; the table has all
ZIP_MIB = 2048  # of a zip of a visitor's own pictures; each picture in it has the limits above

SCORE_LIMITS = (
    f"{', '.join(FORMATS)}; up to {PICTURES.max_bytes / 2**20:g} MiB and {PICTURES.max_pixels / 1e6:g} million pixels "
    f"each, {MAX_PICTURES} pictures at once. The first {MAX_CARDS} are shown large, the table has all."
)


def read_upload(path: Path | str) -> bytes:
    """What is in a file that was dropped on the page, which forgets it after a while.

    Raises PictureError, in a sentence, when it is gone, empty or too large.
    """
    try:
        PICTURES.check_bytes(Path(path).stat().st_size)
        return Path(path).read_bytes()
    except OSError as error:
        raise PictureError("the file is no longer here; drop it again") from error
