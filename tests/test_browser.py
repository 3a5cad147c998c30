"""The browser that tests pages sees what it should: a page's console, its requests, its faults of access."""

from pathlib import Path

import pytest
from browser import chromium, needs_chromium, page_at, violations


@pytest.mark.slow
@needs_chromium
def test_errors_requests_and_faults_of_access_are_seen(tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<!doctype html><title>t</title><img src='http://127.0.0.1:9/x.png'><script>console.error('seen')</script>",
        encoding="utf-8",
    )
    good = tmp_path / "good.html"
    good.write_text(
        "<!doctype html><html lang='en'><title>t</title><main><h1>good</h1><p>text</p></main></html>", encoding="utf-8"
    )
    with chromium() as browser:
        with page_at(browser, bad) as (page, seen):
            assert seen.requests == ["http://127.0.0.1:9/x.png"]
            assert "seen" in seen.errors
            assert {one.split(" ")[0] for one in violations(page)} >= {"html-has-lang", "image-alt"}
        with page_at(browser, good) as (page, seen):
            assert (seen.requests, seen.errors, violations(page)) == ([], [], [])
