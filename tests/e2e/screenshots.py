"""``python -m tests.e2e.screenshots OUT [--weights weights]``: pictures of the page for the README."""

import argparse
from pathlib import Path

from tests.e2e.browser import chromium_page, running_app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=Path, default=Path("weights"))
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    with running_app(a.weights) as address:
        with chromium_page(address, 1280, 1000) as page:
            page.click("#sample")
            page.wait_for_selector("#chain-status >> text=/step (2|3)\\d of/")
            page.screenshot(path=a.out / "page-running.png")
            page.wait_for_selector("#chain-status >> text=Finished")
            page.wait_for_timeout(1500)
            page.screenshot(path=a.out / "page-finished.png", full_page=True)
        with chromium_page(address, 390, 844) as page:
            page.screenshot(path=a.out / "page-phone.png", full_page=True)


if __name__ == "__main__":
    main()
