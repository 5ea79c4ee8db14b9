"""The real app in a process of its own, and a real Chromium to look at it with."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
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
    """Start ``python -m app`` on a free port and give its address; stopped on leaving, which must go well.

    ``temporary`` is where it puts its temporary files.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "app", "--port", str(port), "--weights", str(weights)]
    environment = os.environ | ({"TMPDIR": str(temporary)} if temporary else {})
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
        code = process.wait(20)
    assert code == 0, f"the app ended with exit code {code}"


@contextmanager
def chromium_page(address: str, width: int = 1280, height: int = 900, in_browser=None, ready: str = "#sample"):
    """A loaded page of a fresh headless Chromium, or a new person's tab in a given one; ``ready`` is shown on it.

    Whatever fails while it is open has a note: where a picture of the page and what its console said are kept, in the
    folder of the variable ``EBM_STUDIO_SHOTS`` or in one of its own.
    """
    from playwright.sync_api import sync_playwright

    with ExitStack() as stack:
        browser = in_browser
        if browser is None:
            playwright = stack.enter_context(sync_playwright())
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            stack.callback(browser.close)
        page = browser.new_context(viewport={"width": width, "height": height}).new_page()
        page.set_default_timeout(PATIENCE_MS)
        log = _log_of(page)
        try:
            page.goto(address)
            page.wait_for_selector(ready)
            yield page
        except Exception as error:
            error.add_note(_keep_what_was_seen(page, log))
            raise
        page.context.close()


def _log_of(page) -> list[str]:
    """What the page's console says, its errors and the requests that fail, growing as they come."""
    log: list[str] = []
    page.on("console", lambda message: log.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: log.append(f"page error: {error}"))
    page.on("requestfailed", lambda request: log.append(f"request failed: {request.url} {request.failure}"))
    return log


def _keep_what_was_seen(page, log: list[str]) -> str:
    """A picture and the log of a page on which something failed, as files; says where they are."""
    if shots := os.environ.get("EBM_STUDIO_SHOTS"):
        Path(shots).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="page-", dir=shots or None))
    (folder / "console.txt").write_text("\n".join(log))
    try:
        page.screenshot(path=folder / "page.png", full_page=True, timeout=10_000)
    except Exception as error:  # a page that has crashed has no picture, and what failed first is to be told
        return f"The page's console is in {folder}; it gave no picture ({error})."
    return f"The page as it was then, and its console: {folder}"


def press(page, selector):
    """Click as soon as the button is there to be clicked: frames that come meanwhile move the page under the mouse."""
    page.wait_for_selector(f"{selector}:not([disabled])")
    page.locator(selector).dispatch_event("click")
