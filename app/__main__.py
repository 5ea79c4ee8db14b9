"""``python -m app``: start the page."""

import argparse
import os
import signal
import sys
from pathlib import Path

from ebm_core.device import default_device
from ebm_core.hub import WEIGHTS


def main(argv: list[str] | None = None) -> int:
    """Serve the page until interrupted; bad input ends with one sentence and exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m app", description="EBM Studio in the browser.")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 serves other machines too")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="folder with one folder per model")
    parser.add_argument("--device", default=default_device())
    a = parser.parse_args(argv)

    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    from app.catalog import Catalog
    from app.compute import give_cores_to_compute
    from app.limits import PICTURES
    from app.ui import PAGE_CSS, THEME, build_ui

    give_cores_to_compute()
    try:
        page = build_ui(Catalog(a.weights, a.device))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    # A service manager's SIGTERM leaves as Ctrl-C does, so that the sessions' temporary folders are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    page.queue(max_size=32)
    page.launch(
        server_name=a.host, server_port=a.port, theme=THEME, css=PAGE_CSS, max_file_size=PICTURES.max_bytes,
        footer_links=[], ssr_mode=False,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
