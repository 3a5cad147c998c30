"""Release gates: the specification, decisions, several looks, the command's exit codes."""

import json
import math

import pytest
from click.testing import CliRunner
from statsmodels.stats.proportion import proportion_confint

from alignment_prism.cli.compare import command
from alignment_prism.domain import Finding, InputError
from alignment_prism.gates.decide import Status, decide, markdown
from alignment_prism.gates.spec import GateSpec, read_gate
from alignment_prism.io import write_records
from alignment_prism.statistics import Interval, wilson
from alignment_prism.statistics.planning.looks import alpha_at_look, at_critical, sequence_critical, spending_function


def rate(arm, language, hits, n, *, metric="harm_rate", seed=-1, prompts="harmful", insufficient=False):
    found = wilson(hits, n)
    return Finding(
        "s", arm, seed, prompts, language, "all", "all", metric, found.estimate, found.lower, found.upper,
        found.name, found.level, n, n, insufficient,
    )  # fmt: skip


def spec(**changes):
    check = {"name": "no worse", "kind": "non_inferiority", "metric": "harm_rate", "margin": 0.05}
    return GateSpec.model_validate({"checks": [check], **changes})


OLD = [rate("dpo", "ar", 60, 600), rate("dpo", "fr", 60, 600)]


def test_every_language_must_be_shown():
    better = [rate("new", "ar", 45, 600), rate("new", "fr", 50, 600)]
    assert decide(OLD, better, spec()).status is Status.PASS
    one_worse = [rate("new", "ar", 45, 600), rate("new", "fr", 140, 600)]
    verdict = decide(OLD, one_worse, spec())
    assert verdict.status is Status.FAIL
    assert {d.language: d.status for d in verdict.decisions} == {"ar": Status.PASS, "fr": Status.FAIL}
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
    with pytest.raises(InputError, match="no finding"):
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


def test_an_interval_is_made_anew_at_another_level():
    for hits in (0, 3, 40, 100):
        before = wilson(hits, 100)
        after = at_critical(before, 0.95, 2.5758293035489, "gate")
        expected = proportion_confint(hits, 100, alpha=0.01, method="wilson")
        assert (after.lower, after.upper) == pytest.approx(expected, abs=1e-6)
    stretched = at_critical(Interval(0.0, -0.1, 0.2, "tango", 9, 9), 0.95, 2 * 1.959963984540054, "gate")
    assert (stretched.lower, stretched.upper) == pytest.approx((-0.2, 0.4))


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
        ("margin: 0.05", "margin: -1", "checks[0].margin", 8),
        ("    margin: 0.05\n", "", "takes a margin", 5),
        ("kind: non_inferiority", "kind: inferiority", "checks[0].kind", 6),
        ("metric: harm_rate", "metric: refusal_rate", "lower or higher", 5),
        ("metric: harm_rate", "metric: my_own", "lower or higher", 5),
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


def test_command_exit_codes_and_verdict(tmp_path):
    gate = tmp_path / "gate.yaml"
    gate.write_text(GATE)
    good = [rate("new", "ar", 30, 600), rate("new", "fr", 30, 600)]
    bad = [rate("new", "ar", 300, 600), rate("new", "fr", 30, 600)]
    thin = [rate("new", "ar", 4, 40), rate("new", "fr", 4, 40)]
    write_records(tmp_path / "old.jsonl", OLD)
    codes = {}
    for name, findings in (("good", good), ("bad", bad), ("thin", thin)):
        write_records(tmp_path / f"{name}.parquet", findings)
        arguments = [str(tmp_path / "old.jsonl"), str(tmp_path / f"{name}.parquet"), "--gate", str(gate)]
        result = CliRunner().invoke(command, [*arguments, "--out", str(tmp_path / f"{name}.md")])
        codes[name] = result.exit_code
        assert (tmp_path / f"{name}.md").read_text() == result.output and "# Arabic first" in result.output
    assert codes == {"good": 0, "bad": 6, "thin": 7}
    result = CliRunner().invoke(command, [*arguments, "--json", "--look", "2"])
    assert json.loads(result.output)["status"] == "undecided" and "look 2 of 2" in json.loads(result.output)["error"]
    assert isinstance(CliRunner().invoke(command, [*arguments, "--look", "9"]).exception, InputError)


def test_the_gate_of_the_guide_is_valid(repository, tmp_path):
    text = (repository / "docs" / "statistics.md").read_text(encoding="utf-8")
    gate = text.split("name: Release gate", 1)[1].split("```", 1)[0]
    (tmp_path / "gate.yaml").write_text(f"name: Release gate{gate}")
    assert len(read_gate(tmp_path / "gate.yaml").checks) == 4
