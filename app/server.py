"""Serving the page.

Not by Gradio's ``launch``: that asks its own server over HTTP whether it is there, with a patience of three seconds,
and on a busy machine ends a healthy one with the advice to share it with the world.
"""

import socket
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI

GOODBYE_SECONDS = 2  # for open pages; their streams would otherwise keep a server that should end


def listen(host: str, port: int) -> socket.socket:
    """A socket that browsers can connect to; port 0 takes a free one. Raises ValueError when it cannot be had."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ValueError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}; choose another with --host and --port"
        ) from error


def serve(page: gr.Blocks, listener: socket.socket, **look: Any) -> None:
    """Serve the page until SIGINT or SIGTERM, which then do what they do without a server. ``look`` is Gradio's."""
    app = gr.mount_gradio_app(FastAPI(), page, "/", show_error=False, ssr_mode=False, footer_links=[], **look)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=GOODBYE_SECONDS))
    host, port = listener.getsockname()[:2]
    print(f"EBM Studio is on http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
    server.run(sockets=[listener])
