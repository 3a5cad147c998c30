"""Figures show the findings' own numbers, in the theme's colours, whatever arms are called."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
import toy_study

from alignment_prism.domain import Finding, Outcome
from alignment_prism.labels import Passport
from alignment_prism.labels.passport import PassportCell, Share
from alignment_prism.reports import Curve, Results
from alignment_prism.reports.figures import FIGURES, draw_figures
from alignment_prism.reports.figures.dots import dot, reach_of
from alignment_prism.reports.figures.power import smallest_visible
from alignment_prism.reports.figures.theme import ROLES
from alignment_prism.reports.numbers import estimate_text
from alignment_prism.scoring.metrics import find_metric

ARMS = ("dpo_0", "dpo_15", "local_only")


@pytest.fixture(scope="module")
def results() -> Results:
    return toy_study.results(each=4, arms=ARMS)


@pytest.fixture(scope="module")
def over_seeds() -> Results:
    return toy_study.results(seeds=3, each=4, arms=("dpo_0", "dpo_15"))


def finding(metric: str, estimate: float, lower: float, upper: float, **other: object) -> Finding:
    values = {"study": "s", "arm": "m", "seed": -1, "prompts": "harmful", "language": "all", "scope": "all",
              "category": "all", "metric": metric, "estimate": estimate, "lower": lower, "upper": upper}  # fmt: skip
    return Finding(**{**values, **other})  # type: ignore[arg-type]


def test_a_study_fills_every_figure_that_it_has_findings_for(results: Results) -> None:
    assert set(draw_figures(results)) == set(FIGURES) - {
        "judge",
        "passport",
        "training",
    }  # nobody labelled replies, nothing was trained
    assert draw_figures(Results([])) == {}


def test_descriptions_and_marks_are_the_findings(results: Results) -> None:
    figure = draw_figures(results)["languages"]
    points = [value for data in _values(figure.spec()) for value in data if "low" in value]
    for arm in ("dpo_0", "dpo_15", "local_only"):
        row = results.find((arm, 0), "harm_rate", language="ar", scope="local")
        base = results.find(("base", -1), "harm_rate", language="ar", scope="local")
        assert row is not None and base is not None
        (mark,) = [p for p in points if (p["panel"], p["row"]) == (arm, "Arabic") and "local" in p["series"]]
        drawn = (mark["value"], mark["low"], mark["high"], mark["mark"], mark["weak"])
        assert drawn == pytest.approx(
            (100 * row.estimate, 100 * row.lower, 100 * row.upper, 100 * base.estimate, row.insufficient)
        )
        assert f"{estimate_text(row)} (" in figure.description
    frontier = draw_figures(results)["frontier"]
    change = results.find(("dpo_15", 0), "harm_difference")
    assert change is not None and f"dpo_15: harm {estimate_text(change)} (" in frontier.description


def test_outcomes_add_up_to_a_whole_bar(results: Results) -> None:
    (bars,) = [data for data in _values(draw_figures(results)["outcomes"].spec()) if data]
    assert {bar["row"] for bar in bars} == {"base", *ARMS}
    for row in ("base", *ARMS):
        ends = sorted((bar["from"], bar["to"]) for bar in bars if bar["row"] == row)
        assert (ends[0][0], ends[-1][1]) == pytest.approx((0, 100)) and len(ends) > 2
        assert all(one[1] == pytest.approx(two[0]) for one, two in itertools.pairwise(ends))


def test_colours_are_those_of_the_theme_and_follow_the_page(results: Results) -> None:
    assert len({colours[0] for colours in ROLES.values()}) == len(ROLES)
    figures = draw_figures(results)
    for figure in (figures[name] for name in ("frontier", "languages", "outcomes", "transfer")):  # one of each kind
        inline = figure.inline(340)
        assert not re.search("#[0-9a-f]{6}", re.sub("&#x?[0-9a-f]+;", "", inline)), figure.name
        assert (
            "var(--f-" in inline and "<script" not in inline and "http" not in inline.replace("http://www.w3.org", "")
        )
        assert re.search(r'role="img" aria-labelledby="\S+" aria-describedby', inline) and "<desc" in inline
        assert figure.svg.startswith("<svg") and "var(" not in figure.svg


def test_seeds_stand_one_by_one_and_together(over_seeds: Results) -> None:
    figures = draw_figures(over_seeds)
    (points,) = [data for data in _values(figures["change"].spec()) if len(data) > 1]
    counts = {(p["row"], p["series"]): 0 for p in points}
    for point in points:
        counts[point["row"], point["series"]] += 1
    assert counts == {(arm, series): number for arm in ("dpo_0", "dpo_15")
                      for series, number in (("one training (seed)", 3), ("over seeds and prompts", 1))}  # fmt: skip
    pooled = over_seeds.find(("dpo_15", -1), "harm_difference", language="hi", scope="global")
    assert pooled is not None and estimate_text(pooled) in figures["languages"].description


def test_an_arm_that_was_not_trained_stands_beside_those_of_several_seeds(over_seeds: Results) -> None:
    hub = [finding("harm_difference", 0.2, 0.1, 0.3, arm="hub", scope=scope) for scope in ("all", "global")]
    figures = draw_figures(Results([*over_seeds.findings, finding("harm_rate", 0.8, 0.7, 0.9, arm="hub"), *hub]))
    for name in ("change", "languages"):
        assert "hub" in figures[name].description and f"{estimate_text(hub[0])} (" in figures[name].description, name
    (points,) = [data for data in _values(figures["change"].spec()) if len(data) > 1]
    assert [p["series"] for p in points if p["row"] == "hub"] == ["one model (no seed)"]


def test_the_judges_errors_and_passport_are_drawn_where_people_labelled(results: Results) -> None:
    rates = [row for row in results.findings if row.metric == "harm_rate" and row.language in ("all", "hi")]
    corrected = [replace(row, metric="harm_rate_corrected", estimate=0.123, lower=0.1, upper=0.2) for row in rates]
    few, many = Share(0.5, 0.2, 0.8, 6), Share(0.9, 0.8, 0.95, 200)
    cells = (PassportCell("all", "all", "all", many, many), PassportCell("hi", "all", "native", few, many))
    passport = Passport("j/1", "r@1", Outcome.HARMFUL, ("mine",), 212, cells)
    figures = draw_figures(Results([*results.findings, *corrected], passport=passport))
    naive = results.find(("dpo_15", 0), "harm_rate", language="hi")
    assert naive is not None
    said = figures["judge"].description
    assert (
        f"Hindi, as judged: {estimate_text(naive)} (" in said
        and "without the judge's errors: 12.3 (10.0 to 20.0)" in said
    )
    assert "Arabic" not in said  # nobody labelled Arabic replies
    (points,) = [data for data in _values(figures["passport"].spec()) if data]
    weak = {(point["row"], point["weak"]) for point in points}
    assert weak == {("all languages", False), ("Hindi, native", True)}
    assert "50.0 (20.0 to 80.0) on 6 labels" in figures["passport"].description


def test_losses_are_drawn_for_all_pairs_the_highest_group_and_what_was_held_out(results: Results) -> None:
    points = ((10, 0.7), (20, 0.5))
    curves = [
        Curve("dpo", "dpo", "trained", "", points),
        Curve("dpo", "dpo", "trained", "Hindi, local", ((10, 0.7), (20, 0.69))),
        Curve("dpo", "dpo", "trained", "English", ((10, 0.6), (20, 0.3))),
        Curve("dpo", "dpo", "held out", "", ((20, 0.65),)),
    ]
    figure = draw_figures(replace(results, curves=curves))["training"]
    drawn = {
        (row["series"], row["step"], row["loss"]) for data in _values(figure.spec()) for row in data if "step" in row
    }
    assert drawn == {
        *(("all pairs", *point) for point in points), ("held out", 20, 0.65),
        ("group of the highest loss", 10, 0.7), ("group of the highest loss", 20, 0.69),
    }  # fmt: skip
    assert "Hindi, local 0.7 at step 10, 0.69 at step 20" in figure.description and "English" not in figure.description


def test_names_of_many_arms_stand_only_where_there_is_room(results: Results) -> None:
    wide = [replace(row, arm=f"{row.arm}{n}") for row in results.findings if row.arm != "base" for n in range(20)]
    base = [row for row in results.findings if row.arm == "base"]
    spec = draw_figures(Results([*base, *wide]))["frontier"].spec()
    drawn = [data for data in _values(spec) if data and "name" in data[0]]
    marks, names = max(map(len, drawn)), sum(len(data) == 1 for data in drawn)
    assert marks == 60 and 3 <= names <= 3 * 12  # a mark for each, and a name where it lies on no other


def test_hostile_and_foreign_names_are_text(results: Results) -> None:
    name = 'مصفّى <script>alert("x")</script> हिन्दी & co'
    rows = [replace(row, arm=name if row.arm == "dpo_15" else row.arm) for row in results.findings]
    svg = draw_figures(Results(rows))["change"].inline()
    assert "<script" not in svg and "&lt;script&gt;" in svg and "مصفّى" in svg and "हिन्दी" in svg


def test_the_smallest_visible_change_rests_on_the_width_alone() -> None:
    # Half a width of 0.1 is 1.96 standard errors; with 80 % power (1.95996 + 0.84162) of them: 0.1 * 2.80158 / 1.95996.
    for estimate in (-0.3, 0.0):
        row = finding("harm_difference", estimate, estimate - 0.1, estimate + 0.1)
        assert smallest_visible(row) == pytest.approx(0.142941, abs=1e-6)
    assert math.isnan(smallest_visible(finding("harm_difference", 0.0, -math.inf, 0.1)))


def test_ends_without_a_bound_are_drawn_at_the_end_of_the_axis() -> None:
    row = finding("harm_difference", -0.2, -math.inf, 0.13)
    low, high = reach_of([row], find_metric("harm_difference").unit)
    assert low <= -20 and high >= 13
    drawn = dot(row, "", "m", "x", reach=(low, high))
    assert (drawn.low, drawn.value, drawn.high) == (low, -20.0, 13.0) and "-inf" in drawn.said


def _values(spec: object) -> list[list[dict[str, object]]]:
    """The rows of all data of a specification."""
    found: list[list[dict[str, object]]] = []
    if isinstance(spec, dict):
        if "values" in spec and isinstance(spec["values"], list):
            found.append(spec["values"])
        for value in spec.values():
            found += _values(value)
    elif isinstance(spec, list):
        for value in spec:
            found += _values(value)
    return found


def test_names_that_no_drawing_can_hold_end_no_process() -> None:
    """The renderer's own answer to such a character is to abort."""
    odd = "m\x1b]0;owned\x07\uffff"
    rates = [
        finding("harm_rate", 0.4, 0.3, 0.5, arm=arm, language=code) for arm in ("base", odd) for code in ("en", "hi")
    ]
    figure = draw_figures(Results([*rates, finding("harm_difference", -0.1, -0.2, 0.0, arm=odd)]))["languages"]
    for drawn in (figure.svg, figure.inline()):
        assert "\ufffd]0;owned" in drawn and not set("\x1b\x07\uffff") & set(drawn)
    ElementTree.fromstring(figure.svg)
    assert figure.png().startswith(b"\x89PNG")
