"""The system's Chromium, headless, for tests of pages: what it asks of a network and what its console says is kept.

A test that needs it is skipped, with the reason, where no Chromium is installed.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = os.environ.get("PRISM_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
# Chromium's own background services would ask for Google's hosts at every start.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium: apt-get install chromium, or PRISM_CHROMIUM=PATH"
)


@dataclass
class Seen:
    """What a page did while it was open: requests beyond file: and data:, console errors, uncaught exceptions."""

    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


PATIENCE = 120_000
"""Milliseconds that a test waits for what must come: a busy machine may be ten times slower than a quiet one."""


@contextmanager
def chromium() -> Iterator[Any]:
    """A Playwright browser; one a module is enough, pages are cheap and share nothing."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=QUIET)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def page_at(browser: Any, url: str | Path, **context: Any) -> Iterator[tuple[Any, Seen]]:
    """A page of its own context (cookies, storage) at an address or file, with what it did.

    context: options of Playwright's `new_context`, such as viewport={"width": 390, "height": 844},
    color_scheme="dark", or locale="ar".
    """
    opened = browser.new_context(**context)
    seen = Seen()
    try:
        page = opened.new_page()
        page.set_default_timeout(PATIENCE)
        page.on(
            "request", lambda one: None if one.url.startswith(("file:", "data:")) else seen.requests.append(one.url)
        )
        page.on("console", lambda one: seen.errors.append(one.text) if one.type == "error" else None)
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.goto(url.absolute().as_uri() if isinstance(url, Path) else url)
        yield page, seen
    finally:
        opened.close()


def violations(page: Any) -> list[str]:
    """What axe-core objects to on the page as it stands: rule, impact and the elements."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{one['id']} ({one['impact']}): {[node['target'] for node in one['nodes']]}" for one in found]
