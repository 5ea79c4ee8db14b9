"""Serving the page, by Gradio's own ``launch``: mounted into another server its frames come late."""

import socket
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from gradio import networking, state_holder
from gradio.blocks import Blocks
from gradio.state_holder import SessionState
from starlette.middleware import Middleware

from app.guard import Guard
from app.presence import Listening
from app.tools import serve_tools
from app.ui import Page


class TabState(SessionState):
    """Gradio's memory of a tab, without its copy of the whole page: only Gradio's own deep links are made of that, and
    each visitor costs 0.7 MiB and 40 ms, in which nobody else is heard."""

    def __init__(self, blocks: Blocks) -> None:
        super().__init__(SimpleNamespace(default_config=blocks.default_config, blocks={}))  # type: ignore[arg-type]

    def _update_config(self, key: int) -> None:
        pass

    def _update_value_in_config(self, key: int, value: Any) -> None:
        pass


def listen(host: str, port: int) -> socket.socket:
    """A socket that browsers can connect to; port 0 takes a free one. Raises ValueError when it cannot be had."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ValueError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}; choose another with --host and --port"
        ) from error


def serve(page: Page, host: str, port: int, *, names: Sequence[str] = (), framed: bool = False, **look: Any) -> None:
    """Serve the page until SIGINT or SIGTERM. ``names`` and ``framed`` are the guard's, ``look`` is Gradio's.

    Raises ValueError where it cannot listen.
    """
    with listen(host, port) as listener:
        port = listener.getsockname()[1]
    # Gradio asks its own server over HTTP whether it is there, with a patience of three seconds, and on a busy machine
    # ends a healthy one with the advice to share it with the world.
    networking.url_ok = lambda url: True
    state_holder.SessionState = TabState  # type: ignore[misc]
    print(f"EBM Studio is on http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
    page.presence.watch()
    page.launch(
        server_name=host,
        server_port=port,
        footer_links=[],
        ssr_mode=False,
        quiet=True,
        mcp_server=serve_tools(),
        app_kwargs={
            "middleware": [
                Middleware(Guard, hosts=(*names, host), framed=framed),
                Middleware(Listening, presence=page.presence),
            ]
        },
        **look,
    )
