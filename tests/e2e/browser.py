"""The real app in a process of its own, and a real Chromium to look at it with."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 300_000  # the machine may be busy with other things


@contextmanager
def running_app(weights: Path, temporary: Path | None = None) -> Iterator[str]:
    """Start ``python -m app`` on a free port and give its address; stopped on leaving.

    ``temporary`` is where it puts its temporary files.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "app", "--port", str(port), "--weights", str(weights)]
    # Threads that wait must not spin: the browser has the same cores.
    environment = os.environ | {"OMP_WAIT_POLICY": "passive"} | ({"TMPDIR": str(temporary)} if temporary else {})
    process = subprocess.Popen(command, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while True:
            try:
                urllib.request.urlopen(address, timeout=5).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the app did not start (exit code {process.poll()})") from None
                time.sleep(0.3)
        yield address
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def chromium_page(address: str, width: int = 1280, height: int = 900, in_browser=None, ready: str = "#sample"):
    """A loaded page of a fresh headless Chromium, or a new person's tab in a given one; ``ready`` is shown on it."""
    from playwright.sync_api import sync_playwright

    with ExitStack() as stack:
        browser = in_browser
        if browser is None:
            playwright = stack.enter_context(sync_playwright())
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            stack.callback(browser.close)
        page = browser.new_context(viewport={"width": width, "height": height}).new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        page.wait_for_selector(ready)
        yield page
        page.context.close()


def press(page, selector):
    """Click as soon as the button is there to be clicked: frames that come meanwhile move the page under the mouse."""
    page.wait_for_selector(f"{selector}:not([disabled])")
    page.locator(selector).dispatch_event("click")
