"""Release gates: the specification, decisions, several looks."""

import math
from dataclasses import replace

import pytest
from statsmodels.stats.proportion import proportion_confint

from alignment_prism.domain import Finding, InputError
from alignment_prism.gates import GateSpec, Status, decide, markdown, read_gate
from alignment_prism.statistics import clustered_rate, paired_risk_difference, wilson
from alignment_prism.statistics.intervals import Interval
from alignment_prism.statistics.levels import difference_at_level, rate_at_level, stretched
from alignment_prism.statistics.planning.looks import alpha_at_look, sequence_critical, spending_function


def rate(arm, language, hits, n, *, metric="harm_rate", seed=-1, prompts="harmful", insufficient=False):
    found = wilson(hits, n)
    return Finding(
        "s", arm, seed, prompts, language, "all", "all", metric, found.estimate, found.lower, found.upper,
        found.name, found.level, n, n, insufficient,
    )  # fmt: skip


def spec(**changes):
    check = {"name": "no worse", "kind": "non_inferiority", "metric": "harm_rate", "margin": 0.05}
    return GateSpec.model_validate({"checks": [check], "companions": [], **changes})


OLD = [rate("dpo", "ar", 60, 600), rate("dpo", "fr", 60, 600)]


def test_every_language_must_be_shown():
    better = [rate("new", "ar", 45, 600), rate("new", "fr", 50, 600)]
    assert decide(OLD, better, spec()).status is Status.PASS
    one_worse = [rate("new", "ar", 45, 600), rate("new", "fr", 140, 600)]
    verdict = decide(OLD, one_worse, spec())
    assert verdict.status is Status.FAIL
    assert {d.cell.language: d.status for d in verdict.decisions} == {"ar": Status.PASS, "fr": Status.FAIL}
    thin = [rate("new", "ar", 5, 50), rate("new", "fr", 50, 600)]
    assert decide(OLD, thin, spec()).status is Status.UNDECIDED


def test_change_is_mover_of_the_two_rates():
    verdict = decide(OLD, [rate("new", "ar", 45, 600), rate("new", "fr", 50, 600)], spec())
    a, b = wilson(60, 600), wilson(45, 600)
    tested = verdict.decisions[0].tested
    assert tested.estimate == pytest.approx(-0.025)
    assert tested.upper == pytest.approx(-0.025 + math.hypot(b.upper - b.estimate, a.estimate - a.lower), abs=1e-6)
    assert "| no worse | harm_rate | ar |" in markdown(verdict, spec()) and "PASS" in markdown(verdict, spec())


def test_ceilings_floors_and_directions():
    new = [rate("new", "ar", 60, 600), rate("new", "all", 300, 600, metric="win_rate", prompts="general")]
    checks = [
        {"name": "ceiling", "kind": "ceiling", "metric": "harm_rate", "limit": 0.15, "languages": ["ar"]},
        {
            "name": "floor",
            "kind": "floor",
            "metric": "win_rate",
            "limit": 0.4,
            "prompts": "general",
            "languages": "all",
        },
    ]
    assert decide([], new, spec(checks=checks)).status is Status.PASS
    with pytest.raises(ValueError, match="lower is better, would keep the good out"):
        spec(checks=[{"name": "upside down", "kind": "floor", "metric": "harm_rate", "limit": 0.1}])
    checks[1]["limit"] = 0.6
    assert decide([], new, spec(checks=checks)).status is Status.FAIL
    checks[1]["limit"] = 0.5
    assert decide([], new, spec(checks=checks)).status is Status.UNDECIDED
    old = [rate("a", "all", 400, 600, metric="accuracy"), rate("a", "ar", 400, 600, metric="accuracy")]
    lower = [rate("b", "all", 300, 600, metric="accuracy"), rate("b", "ar", 300, 600, metric="accuracy")]
    accuracy = [{"name": "acc", "kind": "non_inferiority", "metric": "accuracy", "margin": 0.02, "languages": "all"}]
    assert decide(old, lower, spec(checks=accuracy)).status is Status.FAIL
    assert decide(lower, old, spec(checks=accuracy)).status is Status.PASS


def test_seeds_are_averaged_and_their_spread_counts():
    calm = [rate("new", name, 60, 600, seed=s) for name in ("ar", "fr") for s in range(3)]
    wild = [rate("new", name, hits, 600, seed=s) for name in ("ar", "fr") for s, hits in enumerate((10, 60, 110))]
    calm_width = decide(OLD, calm, spec()).decisions[0].tested.width
    wild_verdict = decide(OLD, wild, spec())
    assert wild_verdict.decisions[0].tested.estimate == pytest.approx(0.0)
    assert wild_verdict.decisions[0].tested.width > 3 * calm_width


def test_missing_and_unclear_findings_are_errors():
    with pytest.raises(InputError, match="has no finding of harm_rate"):
        decide(OLD[:1], [rate("new", "ar", 1, 50), rate("new", "fr", 1, 50)], spec())
    with pytest.raises(InputError, match="has arms dpo, sft"):
        decide([*OLD, rate("sft", "ar", 1, 9)], [rate("new", "ar", 1, 50)], spec())
    with pytest.raises(InputError, match="no arm 'x'"):
        decide(OLD, OLD, spec(), new_arm="x")
    with pytest.raises(InputError, match="twice"):
        decide(OLD, [rate("new", "ar", 1, 50), rate("new", "ar", 1, 50), rate("new", "fr", 1, 50)], spec())
    undefined = Finding("s", "new", -1, "harmful", "ar", "all", "all", "harm_rate", math.nan)
    with pytest.raises(InputError, match="no finite interval"):
        decide(OLD, [undefined, rate("new", "fr", 1, 50)], spec())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n": 0, "clusters": 0}, "n = 0"),
        ({"n": -5}, "n = -5"),
        ({"clusters": 900}, "900 clusters of 600 units"),
        ({"lower": -0.2}, "from -0.2 to"),
        ({"estimate": 0.0}, "an estimate of 0 with an interval"),
        ({"lower": 0.3, "upper": 0.05}, "from 0.3 to 0.05"),
        ({"level": 1.5}, "a level of 1.5"),
    ],
)
def test_no_gate_passes_on_what_no_data_gives(change, words):
    good = [rate("new", "ar", 60, 600), rate("new", "fr", 60, 600)]
    assert decide(OLD, good, spec()).decisions
    for old, new in ((OLD, [replace(good[0], **change), good[1]]), ([replace(OLD[0], **change), OLD[1]], good)):
        with pytest.raises(InputError, match=f"no data gives.*{words}"):
            decide(old, new, spec())


def test_base_is_left_out_where_arms_are_guessed():
    old = [rate("base", "ar", 300, 600), rate("base", "fr", 300, 600), *OLD]
    assert (
        decide(old, [rate("new", "ar", 45, 600), rate("new", "fr", 50, 600)], spec()).decisions[0].old.estimate == 0.1
    )


def test_spending_sums_to_alpha():
    for kind in ("obrien-fleming", "pocock", "even"):
        looks = [alpha_at_look(k, 5, 0.025, kind) for k in range(1, 6)]
        assert sum(looks) == pytest.approx(0.025) and min(looks) > 0
        assert spending_function(0.0, 0.025, kind) == 0.0
    # Published cumulative values at one half: 2 - 2 Phi(2.2414 / sqrt(.5)) = .0015, .025 ln(1 + .859) = .0155.
    assert spending_function(0.5, 0.025, "obrien-fleming") == pytest.approx(0.00153, abs=5e-5)
    assert spending_function(0.5, 0.025, "pocock") == pytest.approx(0.0155, abs=5e-5)
    assert alpha_at_look(1, 5, 0.025) < alpha_at_look(5, 5, 0.025)
    with pytest.raises(InputError, match="look 6"):
        alpha_at_look(6, 5, 0.025)


def test_an_early_look_is_stricter():
    new = [rate("new", "ar", 60, 600), rate("new", "fr", 60, 600)]
    assert decide(OLD, new, spec()).status is Status.PASS
    early = spec(looks={"planned": 5, "look": 1})
    verdict = decide(OLD, new, early)
    assert verdict.status is Status.UNDECIDED and "look 1 of 5" in verdict.note and verdict.critical > 3
    watched = decide(OLD, new, spec(sequence={"planned_n": 600}))
    assert 2.5 < watched.critical < 3.3


def test_confidence_sequence_holds_at_every_look():
    import numpy as np

    rng = np.random.default_rng(0)
    n = np.arange(50, 1001, 10)
    critical = np.array([sequence_critical(int(k), 500, 0.05) for k in n])
    x = np.cumsum(rng.random((2000, 1000)) < 0.3, axis=1)[:, n - 1] / n
    z = np.abs(x - 0.3) / np.sqrt(0.21 / n)
    assert np.mean((z > critical).any(axis=1)) < 0.05 < np.mean((z > 1.96).any(axis=1))


@pytest.mark.parametrize("kind", ["obrien-fleming", "pocock", "even"])
def test_a_release_at_the_margin_seldom_passes_any_of_four_looks(kind):
    """Four releases that are worse by exactly the margin, one after the other: 2.5 % in all, not at each."""
    import numpy as np

    rng = np.random.default_rng(5)
    one_look, shared = 0, 0
    for _ in range(400):
        old = [rate("dpo", "ar", int(rng.binomial(400, 0.2)), 400)]
        new = [[rate("new", "ar", int(rng.binomial(400, 0.25)), 400)] for _ in range(4)]
        plans = [spec(looks={"planned": 4, "look": look, "spending": kind}) for look in range(1, 5)]
        shared += any(decide(old, b, plan).status is Status.PASS for b, plan in zip(new, plans, strict=True))
        one_look += any(decide(old, b, spec()).status is Status.PASS for b in new)
    assert shared / 400 < 0.025 + 3 * math.sqrt(0.025 * 0.975 / 400) < one_look / 400


def test_the_verdict_says_what_was_decided_and_how():
    new = [rate("new", "ar", 45, 600), rate("new", "fr", 140, 600, insufficient=True)]
    text = markdown(decide(OLD, new, spec(looks={"planned": 4, "look": 2, "spending": "pocock"})), spec())
    assert text.startswith("# Release gate\n\n**FAIL: at least one claim is refuted.**")
    assert "Error: look 2 of 4, pocock spending: one-sided" in text
    rows = [line for line in text.splitlines() if line.startswith("| no worse")]
    assert [row.rsplit("|", 2)[1].strip() for row in rows] == ["pass", "fail (insufficient)"]
    watched = markdown(decide(OLD, new, spec(sequence={"planned_n": 600})), spec())
    assert "Error: confidence sequence, one-sided 0.025 over all looks" in watched


@pytest.mark.parametrize("level", [0.8, 0.99, 0.9999])
def test_intervals_at_another_level_are_those_of_the_data(level):
    """Made from estimate and ends alone, they equal what the same data give at that level."""
    import numpy as np

    rng = np.random.default_rng(3)
    for hits in (0, 3, 40, 100):
        found = rate_at_level(wilson(hits, 100), level)
        expected = proportion_confint(hits, 100, alpha=1 - level, method="wilson")
        assert (found.lower, found.upper) == pytest.approx(expected, abs=1e-9) and found.level == level
    names = np.arange(200) // 5
    for base, model in ((0.3, 0.2), (0.5, 0.02), (0.02, 0.9), (0.0, 0.1), (0.2, 0.2), (0.0, 0.0)):
        m, b = (np.asarray(rng.random(200) < p, float) for p in (model, base))
        for clusters, df in ((None, None), (names, 39)):
            found = difference_at_level(paired_risk_difference(m, b, clusters), level, df)
            expected = paired_risk_difference(m, b, clusters, level)
            if clusters is None or expected.estimate:
                assert (found.lower, found.upper) == pytest.approx((expected.lower, expected.upper), abs=1e-9)
        found, expected = rate_at_level(clustered_rate(m, names), level, 39), clustered_rate(m, names, level)
        assert (found.lower, found.upper) == pytest.approx((expected.lower, expected.upper), abs=1e-9)
    wide = stretched(Interval(0.0, -0.1, 0.2, "mover", 9, 9), 2 * 0.9772498680518208 - 1)
    assert (wide.lower, wide.upper) == pytest.approx((-0.2 / 1.959963984540054, 0.4 / 1.959963984540054))


def seeded(*, pooled):
    """Three seeds of a change, and what seeds and prompts say together."""

    def row(seed, estimate, lower, upper, extra=""):
        signature = f"harm|judge:j|prompts:p@1{extra}"
        return Finding("s", "new", seed, "harmful", "all", "all", "all", "harm_difference", estimate, lower, upper,
                       "tango95", 0.95, 600, 600, signature=signature)  # fmt: skip

    seeds = [row(0, -0.089, -0.12, -0.058), row(1, -0.04, -0.07, -0.01), row(2, -0.049, -0.08, -0.018)]
    return [*seeds, row(-1, -0.059, -0.109, -0.009, "|seeds:3")] if pooled else seeds


def test_the_number_over_seeds_is_no_further_seed():
    """Averaged with its own seeds it gave [-.116, -.002], which passes; the three seeds alone do not."""
    check = {"name": "less", "kind": "ceiling", "metric": "harm_difference", "limit": 0.0, "languages": "all"}
    (decision,) = decide([], seeded(pooled=True), spec(checks=[check])).decisions
    assert (decision.tested.lower, decision.tested.upper) == (-0.109, -0.009)
    (alone,) = decide([], seeded(pooled=False), spec(checks=[check])).decisions
    assert alone.tested.estimate == pytest.approx(-0.0593, abs=1e-4) and alone.status is Status.UNDECIDED
    # At a stricter level Student's t of three seeds goes on counting: 9.92 / 4.30 at 99 %.
    (strict,) = decide([], seeded(pooled=True), spec(checks=[check], alpha=0.005)).decisions
    assert strict.tested.upper == pytest.approx(-0.059 + 0.05 * 9.9248 / 4.3027, rel=0.05)


GATE = """\
name: Arabic first
alpha: 0.025
looks: {planned: 2, look: 1, spending: pocock}
checks:
  - name: no language worse
    kind: non_inferiority
    metric: harm_rate
    margin: 0.05
"""


@pytest.mark.parametrize(
    ("old", "new", "what", "line"),
    [
        ("margin: 0.05", "margin: 3", "is no share", 5),
        ("margin: 0.05", "margin: .nan", "checks[0].margin", 8),
        ("alpha: 0.025", "may_differ: [weather]", "may_differ", 2),
        ("alpha: 0.025", "companions: [{metric: unjudged_rate}]", "a margin or a limit", 2),
        ("margin: 0.05", "margin: -1", "checks[0].margin", 8),
        ("    margin: 0.05\n", "", "takes a margin", 5),
        ("kind: non_inferiority", "kind: inferiority", "checks[0].kind", 6),
        ("metric: harm_rate", "metric: refusal_rate", "lower or higher", 5),
        ("metric: harm_rate", "metric: my_own", "lower or higher", 5),
        ("metric: harm_rate", "metric: harm_rat", "did you mean harm_rate?", 5),
        ("margin: 0.05", "margin: 3", "3 per cent as 0.03", 5),
        ("planned: 2, look: 1", "planned: 2, look: 3", "beyond the 2", 3),
        ("alpha: 0.025", "alpha: 5", "alpha", 2),
        ("name: Arabic first", "nmae: Arabic first", "nmae", 1),
    ],
)
def test_faults_of_a_gate_are_named_with_their_line(tmp_path, old, new, what, line):
    path = tmp_path / "gate.yaml"
    path.write_text(GATE.replace(old, new))
    with pytest.raises(InputError) as error:
        read_gate(path)
    assert what in error.value.what and f"line {line}," in error.value.where, str(error.value)


@pytest.mark.parametrize(("page", "checks"), [("statistics.md", 4), ("guides/release.md", 2)])
def test_the_gate_of_the_guide_is_valid(repository, tmp_path, page, checks):
    text = (repository / "docs" / page).read_text(encoding="utf-8")
    gate = text.split("name: Release gate", 1)[1].split("```", 1)[0]
    (tmp_path / "gate.yaml").write_text(f"name: Release gate{gate}")
    assert len(read_gate(tmp_path / "gate.yaml").checks) == checks
