"""``python -m app``: start the page."""

import argparse
import os
import signal
import sys
from pathlib import Path

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
    # A service manager's SIGTERM leaves as Ctrl-C does, so that the sessions' temporary folders are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    limit = ZIP_MIB * 2**20
    serve(page, a.host, a.port, names=a.allow_host, framed=a.allow_frames, max_file_size=limit, **look)


if __name__ == "__main__":
    sys.exit(main())
