"""A page in Chromium that remembers its faults; tests of pages skip where there is none."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_PATIENCE_MS = 120_000  # on a machine that is busy with other tests


@contextmanager
def opened(address: str) -> Iterator[Any]:
    """The page at an address, 1280 x 800, its errors and dialogs listed as `faults`."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: install Debian's package `chromium`")
    with playwright.sync_playwright() as driver:
        try:
            browser = driver.chromium.launch(
                executable_path=CHROMIUM,
                timeout=_PATIENCE_MS,
                args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
            )
        except playwright.Error as error:
            pytest.skip(f"{CHROMIUM} does not start here: {error}")
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(_PATIENCE_MS)
        page.faults = []
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("console", lambda line: line.type == "error" and page.faults.append(line.text))
        page.on("dialog", lambda dialog: page.faults.append(dialog.message))
        page.goto(address)
        yield page
        browser.close()
