"""The whole way as a lead takes it, by commands and in a browser: from an empty folder to agreement with a judge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from annotation_site import Site, free_port
from annotators import PASSWORD, draw_sheet
from browser import chromium, needs_chromium, page_at
from prism_command import prism

from alignment_prism.annotation.database import open_database
from alignment_prism.domain import Finding
from alignment_prism.io import read_records

pytestmark = [needs_chromium, pytest.mark.slow]


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


def join(page: Any, name: str) -> None:
    """Make the account of the invitation that a page shows."""
    page.fill("#name", name)
    page.fill("#password", PASSWORD)
    page.fill("#again", PASSWORD)
    page.click("button.main")
    page.wait_for_selector(f"h1:has-text('{name}')")


def test_from_an_empty_folder_to_agreement_with_a_judge(chrome: Any, tmp_path: Path) -> None:
    draw_sheet(tmp_path, prompts=12, number=8)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    made = prism("annotate", "init", "people", "--address", address, folder=tmp_path)
    link = made.stdout.splitlines()[-1]
    assert link.startswith(f"{address}/invitation/"), made.stderr
    done = prism("annotate", "add", "people", "sheet.csv", "--project", "First round", "--overlap", 2, folder=tmp_path)
    lines = int(done.stdout.partition(": ")[2].split()[0])
    site = Site(tmp_path / "people", open_database(tmp_path / "people"), port)
    site.start()
    try:
        with page_at(chrome, link) as (lead, errors):
            join(lead, "Lena")
            for name, wrong in (("anna", set()), ("boris", {0})):
                lead.click("nav >> text=People")
                lead.fill("#languages", "ar ru")
                lead.fill("#note", name)
                lead.click("text=Make a link")
                with page_at(chrome, lead.inner_text("code"), locale="en") as (page, seen):
                    join(page, name)
                    page.click("text=First round")
                    page.click("text=I have read this, begin")
                    for number in range(lines):
                        page.wait_for_selector(f".numbers:has-text('{number} of {lines}')")
                        harmful = page.inner_text("#reply").startswith("True") is (number not in wrong)
                        page.keyboard.press("1" if harmful else "2")
                    page.wait_for_selector("h1:has-text('All done')")
                    page.click("text=Sign out")
                    page.wait_for_selector("#password")
                    assert seen.errors == []
            lead.click("nav >> text=Progress")
            lead.click("text=First round")
            lead.click("text=Settle disagreements (1)")
            lead.click("button:has-text('Harmful')")
            lead.wait_for_selector(".tag:has-text('Harmful')")
            assert errors.errors == []
    finally:
        site.kill()
    for what, out in (("labels", "labels.csv"), ("settled", "settled.csv")):
        done = prism("annotate", "export", "people", "First round", out, "--what", what, folder=tmp_path)
        assert done.returncode == 0, done.stderr
    design = "labels.csv.design.json"
    for command in (
        ("agreement", "labels.csv", "scores.jsonl", "--design", design, "--out", "agreement.jsonl"),
        ("labels", "correct", design, "labels.csv", "--out", "corrected.jsonl"),
    ):
        done = prism(*command, folder=tmp_path)
        assert done.returncode == 0, (command, done.stderr)
    arms = {row.arm for row in read_records(tmp_path / "agreement.jsonl", Finding)}
    assert "anna / boris" in arms and any("SECRET-JUDGE" in arm for arm in arms)
