"""The page in a real browser: what it shows, folds, finds, leaves out and does not do."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import toy_study
from browser import chromium, needs_chromium, page_at, violations

from alignment_prism.reports import Reply, Report, Sample, export, redacted
from alignment_prism.reports.numbers import as_text

pytestmark = [needs_chromium, pytest.mark.slow]

ARMS = ("dpo_0", "dpo_15")
SIZES = {"phone": (390, 844), "tablet": (820, 1180), "desk": (1280, 900), "wide": (1920, 1080)}
HOSTILE = {
    "en": '<script>window.owned = 1</script><img src="http://127.0.0.1:9/x" onerror="window.owned = 2">',
    "ar": "قبل \u202eabc\u202c بعد \u2066x\u2069 \x1b[31m</p></main></body>",
    "hi": "पंक्ति " + "क" * 100_000,
    "ru": "Ответ\nв две строки & ещё <b>одна</b> {{ 7 * 7 }}",
}
TITLES = "[...document.querySelectorAll('figure')].map(one => one.querySelector('svg title').textContent)"
OUTCOMES = ("harmful", "refusal", "safe_help")


def samples() -> list[Sample]:
    """Two a language, with hostile texts; in the first of each language base and the arms differ."""
    made = []
    for number, code in enumerate((*HOSTILE, *HOSTILE)):
        replies = tuple(
            Reply(arm, f"{HOSTILE[code]} {arm} zebra{number}", OUTCOMES[place if number < 4 else 1], number == 2, 99)
            for place, arm in enumerate(("base", *ARMS))
        )
        scope = "local" if number % 2 else "global"
        made.append(
            Sample(f"id{number}", code, "harmful", f"{HOSTILE[code]} ask{number}", replies, scope, "", ("Hate",))
        )
    return made


@pytest.fixture(scope="module")
def report() -> Report:
    return Report(toy_study.results(each=4, arms=ARMS), 'Toy <i>"study"</i>', ["Toy numbers."], samples=samples())


@pytest.fixture(scope="module")
def path(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(report, tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


def test_it_asks_nobody_fails_nowhere_and_fits_at_every_size_in_both_themes(browser: Any, path: Path) -> None:
    inks = set()
    for width, height in SIZES.values():
        for scheme in ("light", "dark"):
            with page_at(
                browser, path, viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
            ) as (page, seen):
                assert (seen.requests, seen.errors) == ([], [])
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                narrow = page.locator("figure svg:visible").first.get_attribute("aria-labelledby")
                assert narrow.endswith("340-title" if width < 752 else "720-title")
                inks.add((scheme, page.evaluate("getComputedStyle(document.querySelector('figure svg text')).fill")))
    assert len(inks) == len(dict(inks)) == len({ink for _, ink in inks}) == 2  # figures follow the theme


def test_everything_can_be_reached_by_everyone(browser: Any, path: Path) -> None:
    for scheme, width in (("light", 1280), ("dark", 390)):
        with page_at(browser, path, viewport={"width": width, "height": 900}, color_scheme=scheme) as (page, _):
            page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
            assert violations(page) == []
            order = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map(one => Number(one.tagName[1]))")
            assert order[0] == 1 and max(order) <= 4


def test_every_part_has_the_findings_own_values(browser: Any, path: Path, report: Report) -> None:
    with page_at(browser, path) as (page, _):
        assert page.locator("h1").inner_text() == 'Toy <i>"study"</i>'
        assert page.locator("#verdict .say").inner_text() == " ".join(report.verdict.lead)
        assert page.evaluate(TITLES) == [
            figure.title for figure in report.figures.values()
        ]  # fmt: skip
        parts = page.evaluate("[...document.querySelectorAll('main > section')].map(one => one.id)")
        assert parts == [
            "verdict", "frontier", "change", "languages", "outcomes", "transfer", "over_refusal", "general",
            "categories", "power", "more", "published", "samples", "signatures",
        ]  # fmt: skip
        assert page.evaluate("[...document.querySelectorAll('nav a')].every(a => document.querySelector(a.hash))")
        row = report.results.find(("dpo_15", 0), "harm_rate", language="hi", scope="local")
        assert row is not None
        table = page.locator("table[aria-label='Harm by language: harmful, local']")
        cell = table.locator("tr", has=page.locator("th", has_text="dpo_15")).locator("td").nth(3)
        assert as_text(row).removesuffix(" ?") in (cell.text_content() or "")
        assert f"n {row.n}" in (cell.text_content() or "")
        assert not table.is_visible()
        change = report.results.find(("dpo_15", 0), "harm_relative_change")
        beside = page.locator("#published tr", has_text="dpo_15").text_content()
        assert change is not None and as_text(change) in beside and "-54.7" in beside and "71.0" in beside


def test_tables_sort_and_filter_by_keyboard(browser: Any, path: Path, report: Report) -> None:
    with page_at(browser, path) as (page, _):
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        name = "What the replies are: harmful"
        table = page.locator(f"table[aria-label='{name}']")
        rates = {arm[0]: report.results.find(arm, "harm_rate") for arm in report.results.index.arms}
        order = sorted(rates, key=lambda arm: rates[arm].estimate)  # type: ignore[union-attr]
        head = table.locator("thead button", has_text="harm").first
        head.focus()
        for wanted, way in ((order, "ascending"), (order[::-1], "descending")):
            page.keyboard.press("Enter")
            assert table.locator("tbody th").all_inner_texts() == wanted
            assert table.locator("thead th[aria-sort]").get_attribute("aria-sort") == way
        contrasts = page.locator("table[aria-label='Contrasts']")
        whole = contrasts.locator("tbody tr:visible").count()
        page.get_by_label("Filter the rows of Contrasts").fill("hi local")
        assert 0 < contrasts.locator("tbody tr:visible").count() < whole
        assert all("hi" in text for text in contrasts.locator("tbody tr:visible").all_inner_texts())


def test_texts_are_folded_found_and_shown_as_text(browser: Any, path: Path) -> None:
    with page_at(browser, path) as (page, seen):
        asked = page.locator(".asked")
        assert asked.count() == 8 and not asked.first.is_visible()
        assert (
            page.evaluate("window.owned") is None
            and page.locator("#samples img, #samples script, #samples b").count() == 0
        )
        first = page.locator(".samples > details").first
        first.locator("summary").focus()
        page.keyboard.press("Enter")
        assert asked.first.inner_text() == f"{HOSTILE['en']} ask0"
        arabic = page.locator(".samples > details[data-language=ar]").first
        arabic.locator("summary").click()
        text = arabic.locator(".asked .text")
        assert text.inner_text() == "قبل ⟨U+202E⟩abc⟨U+202C⟩ بعد ⟨U+2066⟩x⟨U+2069⟩ ⟨U+001B⟩[31m</p></main></body> ask1"
        assert text.evaluate("one => getComputedStyle(one).direction") == "rtl"
        assert page.evaluate("getComputedStyle(document.body).direction") == "ltr"
        hindi = page.locator(".samples > details[data-language=hi]").first
        hindi.locator("summary").click()
        assert "characters more in the file of replies" in hindi.locator(".asked .text").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert (seen.requests, seen.errors) == ([], [])


def test_samples_are_chosen_by_words_and_by_what_they_are(browser: Any, path: Path) -> None:
    every = {f"id{number}" for number in range(8)}
    with page_at(browser, path) as (page, _):
        for wanted, fields in (
            (every, {}),
            ({"id3"}, {"words": "ZEBRA3"}),
            ({"id3", "id7"}, {"language": "ru"}),
            ({"id3"}, {"language": "ru", "differ": "differs"}),
            ({"id1", "id3"}, {"scope": "local", "outcome": "harmful"}),
            ({"id2"}, {"differ": "disputed"}),
            (set(), {"outcome": "harmful", "arm": "dpo_0"}),
            (set(), {"words": "no such word"}),
        ):
            page.reload()
            for name, value in fields.items():
                field = page.locator(f"#choose [name={name}]")
                field.fill(value) if name == "words" else field.select_option(value)
            page.wait_for_function(
                "text => document.getElementById('count').textContent === text", arg=f"{len(wanted)} of 8 prompts"
            )
            left = page.locator(".samples > details:not([hidden]) .pid").all_text_contents()
            assert set(left) == wanted, fields


def test_a_redacted_page_has_no_word_of_any_prompt_or_reply(browser: Any, report: Report, tmp_path: Path) -> None:
    odd = replace(
        report.samples[0], id="first take a zebra\nand", subset="zebra " * 20, categories=("zebra " * 20, "Hate")
    )
    out = export(replace(report, samples=redacted([odd, *report.samples[1:]])), tmp_path / "redacted.html")
    text = out.read_text(encoding="utf-8")
    for marker in ("zebra", "ask0", "owned", "пример", "строки", "क" * 5, "قبل"):
        assert marker not in text and html.escape(marker) not in text, marker
    assert "id3" in text and "99 characters" in text
    with page_at(browser, out) as (page, seen):
        assert page.locator(".samples > details").count() == 8 and page.locator(".asked").count() == 0
        assert (seen.requests, seen.errors) == ([], [])


def test_on_paper_it_is_verdict_and_figures(browser: Any, path: Path) -> None:
    with page_at(browser, path, color_scheme="dark", viewport={"width": 390, "height": 844}) as (page, _):
        page.emulate_media(media="print")
        assert page.locator("#verdict .say").is_visible() and page.locator("#frontier .fig-wide").is_visible()
        for part in ("#samples", "nav", "#theme", "#frontier .fig-narrow"):
            assert not page.locator(part).first.is_visible(), part
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_three_hundred_samples_of_thirty_arms_fit_and_are_laid_out_only_where_one_looks(
    browser: Any, report: Report, tmp_path: Path
) -> None:
    long = "слово " * 400

    def replies(n: int) -> tuple[Reply, ...]:
        return tuple(Reply(f"arm{arm}", f"{arm}.{n}. {long}", OUTCOMES[(arm + n) % 3]) for arm in range(30))

    many = [Sample(f"p{n}", "ru", "harmful", long, replies(n)) for n in range(300)]
    out = export(replace(report, samples=many), tmp_path / "many.html")
    assert out.stat().st_size < 6_000_000
    assert len(re.findall('class="reply ', out.read_text(encoding="utf-8"))) == 9_000
    with page_at(browser, out) as (page, _):
        first = page.locator(".samples > details").first
        first.locator("summary").click()
        assert first.evaluate("one => getComputedStyle(one).contentVisibility") == "auto"
        page.locator("#choose [name=words]").fill("29.299.")
        page.wait_for_function("() => document.getElementById('count').textContent.startsWith('1 of 300')")


def test_the_theme_is_changed_by_hand_and_links_unfold_what_they_lead_to(browser: Any, path: Path) -> None:
    with page_at(browser, path, color_scheme="light") as (page, _):
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.locator("#theme").click()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
        assert page.locator("#theme").inner_text() == "Light"
        page.evaluate("location.hash = 'signature-1'")
        page.wait_for_function("() => document.getElementById('signature-1').closest('details').open")
        assert page.locator("#signature-1").is_visible()
