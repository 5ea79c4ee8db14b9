"""``python -m app``: start the page."""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from ebm_core.arguments import Parser, add_device, whole
from ebm_core.hub import WEIGHTS


def main(argv: list[str] | None = None) -> int:
    """Serve the page until interrupted; bad input ends with one sentence and exit code 2."""
    parser = Parser(prog="python -m app", description="EBM Studio in the browser.")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 serves other machines too")
    parser.add_argument("--port", type=whole(0, 65535), default=7860)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="folder with one folder per model")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a name that a proxy gives it"
    )
    parser.add_argument("--allow-frames", action="store_true", help="let other sites show the page in a frame")
    add_device(parser)
    try:
        a = parser.parse_args(argv)
        with own_temporary_folder():
            _run(a)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


def _run(a: argparse.Namespace) -> None:
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    from app import cards
    from app.catalog import Catalog
    from app.compute import give_cores_to_compute
    from app.limits import ZIP_MIB
    from app.server import serve
    from app.theme import LOOK
    from app.ui import build_ui

    give_cores_to_compute()
    catalog = Catalog(a.weights, a.device)
    page = build_ui(catalog)
    look = LOOK | {"css": LOOK["css"] + cards.style_sheet(catalog)}
    page.queue(max_size=32)
    # A service manager's SIGTERM leaves as Ctrl-C does, so that the temporary folder is removed.
    signal.signal(signal.SIGTERM, _leave)
    limit = ZIP_MIB * 2**20
    serve(page, a.host, a.port, names=a.allow_host, framed=a.allow_frames, max_file_size=limit, **look)


def _leave(*_: Any) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
    sys.exit(0)


@contextmanager
def own_temporary_folder() -> Iterator[Path]:
    """A folder for all that this process puts into a temporary one, Gradio's copies of what visitors drop included: it
    goes when the process leaves. Raises ValueError where there is no room for one."""
    before = tempfile.tempdir
    try:
        folder = tempfile.TemporaryDirectory(prefix="ebm-studio-", ignore_cleanup_errors=True)
    except OSError as error:
        raise ValueError(f"cannot make a temporary folder ({error}); free space or set TMPDIR to another") from error
    with folder as name:
        tempfile.tempdir = name
        try:
            yield Path(name)
        finally:
            tempfile.tempdir = before


def end() -> NoReturn:
    """``main`` as a whole process, which ends at once: threads that answer visitors may be inside of torch, and at the
    interpreter's own end each would abort the process there, or complain that there is no thread to compute with."""
    try:
        code = main()
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    end()
