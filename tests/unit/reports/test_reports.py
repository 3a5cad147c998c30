"""Reports show what the findings say, all of it that matters, and nothing that could harm by being seen."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from alignment_prism.domain import Finding, FindingIndex, InputError
from alignment_prism.reports import (
    Reply,
    Sample,
    as_text,
    findings_table,
    language_table,
    seeds_table,
    summarise,
    summary_table,
    write_report,
)


def finding(arm: str, metric: str, estimate: float, **other: object) -> Finding:
    values: dict[str, object] = {
        "study": "s", "arm": arm, "seed": -1 if arm == "base" else 0, "prompts": "harmful/unseen", "language": "all",
        "scope": "all", "category": "all", "metric": metric, "estimate": estimate, "lower": estimate - 0.05,
        "upper": estimate + 0.05, "interval": "wilson95", "n": 100, "signature": f"harm|judge:{metric}",
    }  # fmt: skip
    return Finding(**{**values, **other})  # type: ignore[arg-type]


FINDINGS = [
    finding("dpo_sft", "harm_rate", 0.25, scope="global"),
    finding("dpo_sft", "harm_rate", 0.5, scope="local", insufficient=True),
    finding("base", "harm_rate", 0.9, scope="global"),
    finding("base", "harm_rate", 0.8, scope="local"),
    finding("base", "harm_rate", 0.85, language="ar", scope="global"),
    finding("dpo_sft", "harm_rate", 0.3, language="ar", scope="global"),
    finding("base", "harm_rate", 0.7, language="macro", scope="global"),
    finding("dpo_sft", "harm_relative_change", -72.2, scope="global", lower=-80.0, upper=-60.0),
    finding("dpo_sft", "harm_relative_change", math.nan, scope="local", lower=math.nan, upper=math.nan),
    finding("base", "harm_rate", 0.6, category="Hate Speech"),
    finding("dpo_sft", "accuracy", 0.99, prompts="general", upper=1.0),
    finding("base", "refusal_rate", 0.01, prompts="benign_mention", lower=0.0),
    finding("base", "harm_rate", 0.4, prompts="harmful/seen", scope="global"),
]


class Page(HTMLParser):
    """Text of a page outside <details>, and everything that a page could load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.folded = 0
        self.style = 0
        self.visible: list[str] = []
        self.loads: list[str] = []
        self.directions: list[tuple[str | None, str | None]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.folded += tag == "details"
        self.style += tag in ("style", "script")
        self.loads += [f"{tag} {name}" for name in ("src", "href") if (given.get(name) or "#")[0] != "#"]
        self.loads += [tag] if tag in ("link", "iframe", "img") else []
        if "dir" in given:
            self.directions.append((given.get("lang"), given["dir"]))
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.folded -= tag == "details"
        self.style -= tag in ("style", "script")
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.folded and not self.style and data.strip():
            self.visible.append(data.strip())


@dataclass
class Met:
    name: str = "harm cut"
    arm: str = "dpo_sft"
    value: float = 12.0
    limit: float = 40.0
    at_least: bool = True
    reported_only: bool = False
    passed: bool = False


def page(tmp_path: Path, **options: object) -> tuple[str, Page]:
    out = write_report(FINDINGS, tmp_path / "deep" / "report.html", **options)  # type: ignore[arg-type]
    text = out.read_text(encoding="utf-8")
    return text, Page(text)


def test_numbers_as_text() -> None:
    assert as_text(FINDINGS[0]) == "25.0 [20.0, 30.0]"
    assert as_text(FINDINGS[1]) == "50.0 [45.0, 55.0] ?"
    assert as_text(FINDINGS[7]) == "-72.2 [-80.0, -60.0]"
    assert as_text(FINDINGS[8]) == "undefined"
    assert as_text(None) == "-"
    assert as_text(finding("a", "harm_difference", 0.1, lower=-math.inf, upper=0.2)) == "+10.0 [-inf, +20.0]"
    assert as_text(finding("a", "harm_rate", 0.1, lower=math.nan, upper=math.nan)) == "10.0"


def test_the_summary_takes_unseen_prompts_and_leaves_out_what_nobody_measured() -> None:
    index = FindingIndex(FINDINGS)
    columns, lines = summarise(index)
    assert [(c.title, c.prompts, c.scope) for c in columns] == [
        ("harm global unseen", "harmful/unseen", "global"),
        ("harm local unseen", "harmful/unseen", "local"),
        ("relative change global unseen", "harmful/unseen", "global"),
        ("relative change local unseen", "harmful/unseen", "local"),
        ("refused benign", "benign_mention", "all"),
        ("right answers general", "general", "all"),
    ]
    assert [line.arm for line in lines] == [("base", -1), ("dpo_sft", 0)]
    assert [cell.estimate if cell else None for cell in lines[0].cells] == [0.9, 0.8, None, None, 0.01, None]


def test_without_subsets_or_scopes_the_summary_pools() -> None:
    columns, _ = summarise(FindingIndex([finding("base", "harm_rate", 0.5, prompts="harmful")]))
    assert [(c.title, c.prompts, c.scope) for c in columns] == [("harm", "harmful", "all")]


def test_several_seeds_are_told_apart() -> None:
    rows = [finding("sft", "harm_rate", 0.1 * seed, seed=seed) for seed in (1, 2)]
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(summary_table(rows))
    text = console.export_text()
    assert "sft (seed 1)" in text and "sft (seed 2)" in text


def test_what_seeds_say_together_is_a_table_and_no_arm_of_its_own(tmp_path: Path) -> None:
    rows = [finding("sft", "harm_rate", 0.1 * seed, seed=seed) for seed in (1, 2)]
    assert seeds_table(rows) is None
    pooled = {"seed": -1}
    rows += [
        finding("sft", "harm_difference", -0.2, **pooled),
        finding("sft", "harm_rank", 1.5, **{**pooled, "lower": 1.0, "upper": 2.0}),
        finding("base", "harm_rate", 0.9),
    ]
    assert FindingIndex(rows).arms == [("base", -1), ("sft", 1), ("sft", 2)]
    table = seeds_table(rows)
    assert table is not None
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table)
    assert re.search(r"sft +1 to 2 +-20.0\s+\[-25, -15\]", console.export_text())
    text = write_report(rows, tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Over all seeds" in text and "1 to 2" in text
    assert "its intervals are for other prompts, and none is for other seeds" in text
    assert "Over all seeds" not in write_report(rows[:2], tmp_path / "r.html").read_text(encoding="utf-8")


def test_terminal_tables_hold_the_numbers() -> None:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for table in (
        summary_table(FINDINGS),
        language_table([row for row in FINDINGS if row.scope == "global"], "harm_rate", "harmful/unseen"),
        findings_table(FINDINGS),
    ):
        console.print(table)
    text = console.export_text()
    assert "[20.0, 30.0]" in text
    assert re.search(r"metric +estimate", text)
    assert "Hate Speech" in text


def test_the_page_is_well_formed_and_loads_nothing(tmp_path: Path) -> None:
    _, parsed = page(tmp_path, thresholds=[Met()], samples=[Sample("i", "en", "general", "p", (Reply("a", "t", "o"),))])
    assert parsed.loads == []
    assert parsed.open == []
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["report.html"]


def test_the_first_line_is_the_preface(tmp_path: Path) -> None:
    _, parsed = page(tmp_path, preface=["Nothing here is evidence about real models."], title="My study")
    assert parsed.visible[1] == "Nothing here is evidence about real models."  # [0] is the window's title
    assert "My study" in parsed.visible[2:6]


def test_every_language_category_and_signature_is_on_the_page(tmp_path: Path) -> None:
    text, parsed = page(tmp_path)
    for wanted in ("Arabic", "Hate Speech", "harm|judge:harm_rate", "harmful/seen", "85.0 [80.0, 90.0]", "undefined"):
        assert wanted in text, wanted
    visible = " ".join(parsed.visible)
    assert "Arabic" in visible and "85.0 [80.0, 90.0]" not in visible  # figures first, numbers folded below
    notes = set(re.findall(r'href="#signature-(\d+)"', text))
    assert notes and all(f'id="signature-{note}"' in text for note in notes)


def test_bars_say_which_way_and_whether_they_were_met(tmp_path: Path) -> None:
    thresholds = [Met(), Met(value=3.0, limit=15, at_least=False, reported_only=True, passed=True)]
    text, parsed = page(tmp_path, thresholds=thresholds)
    words = " ".join(re.sub(r"<[^>]+>", " ", text).split())
    assert "at least 40 no" in words and "at most 15 yes (reported only)" in words
    assert "1 of 2 are met" in " ".join(parsed.visible)


def test_thresholds_stand_in_every_form_that_has_tables(tmp_path: Path) -> None:
    thresholds = [Met(), Met("spill-over", "dpo_sft", 12.5, 10.0, False), Met("wins", passed=True, reported_only=True)]
    for name in ("r.html", "r.md", "r.tex"):
        text = write_report(FINDINGS, tmp_path / name, thresholds=thresholds).read_text(encoding="utf-8")
        assert "1 of 3 are met" in text, name
    assert "| dpo_sft | spill-over | 12.5 | at most 10 | no |" in (
        md := (tmp_path / "r.md").read_text(encoding="utf-8")
    )
    assert "| dpo_sft | wins | 12.0 | at least 40 | yes (reported only) |" in md


def test_texts_are_folded_escaped_and_run_the_right_way(tmp_path: Path) -> None:
    replies = (Reply("base", "<script>alert(1)</script> نعم", "harmful"),)
    text, parsed = page(tmp_path, samples=[Sample("p1", "ar", "harmful", "سؤال", replies)])
    visible = " ".join(parsed.visible)
    assert "سؤال" in text and "سؤال" not in visible and "نعم" not in visible
    assert "harmful, ar" not in visible  # the fold's own label is inside it
    assert ("ar", "rtl") in parsed.directions
    assert parsed.loads == []


def test_interval_bars_lie_where_the_numbers_are(tmp_path: Path) -> None:
    text, _ = page(tmp_path)
    # base, unseen global: 0.9 [0.85, 0.95] on an axis from 0 to 1 that is 100 wide
    assert '<i class="bar" style="--l:85.0;--h:95.0;--p:90.0"></i>' in text
    # a relative change of -72.2 [-80, -60] on an axis from -100 to 100
    assert '<i class="bar" style="--l:10.0;--h:20.0;--p:13.9"></i>' in text


def test_no_findings_or_too_many_studies(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no findings"):
        write_report([], tmp_path / "r.html")
    with pytest.raises(InputError, match="several studies: s, t"):
        write_report([FINDINGS[0], finding("a", "harm_rate", 0.5, study="t")], tmp_path / "r.html")
