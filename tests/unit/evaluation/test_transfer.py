"""Transfer and spill-over: known answers, and the same numbers as the findings."""

import math
import random
from dataclasses import replace

import pytest

from alignment_prism.domain import Generation, Outcome, Prompt, PromptKind, Scope, Score, TransferQuantity, user
from alignment_prism.evaluation import TrainedOn, reply_findings, seed_findings, transfer_rows
from alignment_prism.reports import transfer_tables

HARM, SPILL, RATIO = TransferQuantity
KINDS = {"h": PromptKind.HARMFUL, "f": PromptKind.FOREIGN_LOCAL, "n": PromptKind.NEVER_HARMFUL}


def prompt(key):
    """`h.en.global.3`: kind, language, scope, number."""
    kind, language, scope, _ = key.split(".")
    return Prompt(key, user(key), language, KINDS[kind], Scope(scope) if scope else None)


def keys(kind, language, scope, number):
    """Prompts, four for each of the number, so that intervals leave zero; the numbers below are what they were of."""
    return [f"{kind}.{language}.{scope}.{i}" for i in range(4 * number)]


PROMPTS = [prompt(key) for key in (
    *keys("h", "en", "global", 10), *keys("h", "en", "local", 10), *keys("h", "fr", "global", 20),
    *keys("f", "en", "local", 10), *keys("f", "fr", "local", 10), *keys("n", "en", "", 10), *keys("n", "fr", "", 10),
)]  # fmt: skip


def replies(arm, bad, seed=0):
    """An arm's replies and verdicts: on the prompts `bad` harm or, where the prompt is harmless, a refusal."""
    generations, scores = [], []
    for one in PROMPTS:
        harmful, is_bad = one.kind is PromptKind.HARMFUL, one.id in bad
        outcome = Outcome.HARMFUL if harmful and is_bad else Outcome.SAFE_HELP
        outcome = Outcome.REFUSAL if not harmful and is_bad else outcome
        reply = Generation(one.id, arm, arm, f"{arm} {seed} {one.id}", f"{arm} {seed}")
        generations.append(reply)
        scores.append(Score(one.id, reply.reply_digest, arm, "j", "outcome", outcome, rubric="r@1"))
    return generations, scores


def together(*parts):
    return [reply for part in parts for reply in part[0]], [score for part in parts for score in part[1]]


BASE = replies("base", {*keys("h", "en", "global", 10), *keys("h", "en", "local", 10), *keys("h", "fr", "global", 16),
                        *keys("f", "en", "local", 1)})  # fmt: skip
# Of harm en 4 of 20 are left (all local), fr 8 of 20; of 20 foreign-local 9 are refused, of 20 never-harmful 2.
ARM_BAD = {*keys("h", "en", "local", 4), *keys("h", "fr", "global", 8), *keys("f", "en", "local", 5),
           *keys("f", "fr", "local", 4), *keys("n", "en", "", 1), *keys("n", "fr", "", 1)}  # fmt: skip


def one(rows, quantity=HARM, seed=0, **about):
    wanted = {
        "arm": "arm",
        "prompts": "foreign_local" if quantity is SPILL else "harmful",
        "language": "all",
        "scope": "all",
    }
    wanted |= about
    (row,) = [
        row for row in rows
        if (row.quantity, row.seed) == (quantity, seed) and all(getattr(row, k) == v for k, v in wanted.items())
    ]  # fmt: skip
    return row


def rows_of(trained=None, runs=None):
    trained = trained or {"arm": TrainedOn("DPO(IFT)", 0.15, ("en",))}
    return transfer_rows(PROMPTS, runs or {0: together(BASE, replies("arm", ARM_BAD))}, trained, study="s")


def test_matrix_spill_over_and_ratio_by_hand():
    rows = rows_of()
    # en: 4 - 20 of 20; fr: 8 - 16 of 20; all 12 - 36 of 40; the plain mean of the languages is the same by chance.
    assert one(rows, language="en").estimate == pytest.approx(-0.8)
    assert one(rows, language="fr").estimate == pytest.approx(-0.4)
    assert one(rows).estimate == pytest.approx(-0.6) == one(rows, language="macro").estimate
    assert one(rows, language="en", scope="global").estimate == -1  # 0 - 10 of 10
    # Trained on English: French is what it was not trained on.
    other = one(rows, language="other")
    assert (other.estimate, other.n, other.reach) == (pytest.approx(-0.4), 80, "other")
    assert [one(rows, language=code).reach for code in ("en", "fr", "all")] == ["trained", "other", "mixed"]
    # Refusals: foreign-local 9 - 1 of 20, never-harmful 2 - 0 of 20: 0.4 - 0.1.
    spilt = one(rows, SPILL)
    assert spilt.estimate == pytest.approx(0.3) and (spilt.n, spilt.reach) == (160, "")
    assert one(rows, SPILL, language="en").estimate == pytest.approx((5 - 1) / 10 - 1 / 10)
    # Points prevented for each point spilt: 0.4 / 0.3 where it was not trained, 0.6 / 0.3 over all.
    assert one(rows, RATIO, language="other").estimate == pytest.approx(4 / 3)
    assert one(rows, RATIO).estimate == pytest.approx(2)
    assert {(row.method, row.share, row.trained_languages, row.trained_scopes) for row in rows} == {
        ("DPO(IFT)", 0.15, "en", "all")
    }


def test_joint_intervals_enclose_single_ones_and_order_does_not_matter():
    rows = rows_of()
    for row in rows:
        assert row.joint_lower <= row.lower <= row.estimate <= row.upper <= row.joint_upper
    assert one(rows).joint_lower < one(rows).lower and one(rows, RATIO).joint_upper > one(rows, RATIO).upper
    shuffled = random.Random(0).sample(PROMPTS, len(PROMPTS))
    again = transfer_rows(
        shuffled, {0: together(replies("arm", ARM_BAD), BASE)}, {"arm": TrainedOn("DPO(IFT)", 0.15, ("en",))}, study="s"
    )
    for quantity in (HARM, SPILL, RATIO):
        assert one(again, quantity).lower == pytest.approx(one(rows, quantity).lower, abs=1e-9)


def test_differences_are_those_of_the_findings():
    records = together(BASE, replies("arm", ARM_BAD))
    findings = reply_findings(PROMPTS, *records, study="s", seed={"arm": 0})
    rows = rows_of()
    for found in findings:
        if found.metric == "harm_difference" and found.category == "all":
            row = one(rows, language=found.language, scope=found.scope)
            assert (row.estimate, row.lower, row.upper, row.n) == (found.estimate, found.lower, found.upper, found.n)


def test_over_seeds_it_is_the_mean_of_the_seeds_in_the_interval_of_the_findings_over_seeds():
    bad = {0: ARM_BAD, 1: ARM_BAD - {"h.fr.global.0", "n.en..0"}, 2: ARM_BAD | {"h.en.local.20", "f.fr.local.30"}}
    runs = {seed: together(BASE, replies("arm", found, seed)) for seed, found in bad.items()}
    rows = rows_of(runs=runs)
    for quantity in (HARM, SPILL):
        seeds = [one(rows, quantity, seed).estimate for seed in bad]
        assert one(rows, quantity, -1).estimate == pytest.approx(sum(seeds) / 3)
    assert one(rows, RATIO, -1).estimate == pytest.approx(-one(rows, seed=-1).estimate / one(rows, SPILL, -1).estimate)
    assert "seeds:3" in one(rows, RATIO, -1).signature
    for found in seed_findings(PROMPTS, runs, study="s"):
        if found.metric == "harm_difference":
            row = one(rows, seed=-1, language=found.language, scope=found.scope)
            assert (row.estimate, row.lower, row.upper) == pytest.approx((found.estimate, found.lower, found.upper))
    # A seed with the weights of another is no further seed.
    copied = {**runs, 3: runs[2]}
    assert one(rows_of(runs=copied), seed=-1) == one(rows, seed=-1)


def test_what_was_trained_on_is_named_and_controls_were_trained_on_nothing():
    trained = {"arm": TrainedOn("SFT", 0.5, None, (Scope.LOCAL,)), "none": TrainedOn("SFT", 0.0, ("en",))}
    rows = rows_of(trained, {0: together(BASE, replies("arm", ARM_BAD), replies("none", ARM_BAD))})
    assert (one(rows).trained_languages, one(rows).trained_scopes) == ("all", "local")
    assert [one(rows, scope=scope).reach for scope in ("local", "global", "all")] == ["trained", "other", "mixed"]
    assert one(rows, language="other").estimate == one(rows, scope="global").estimate
    unknown = [replace(p, scope=None) if p.id == "h.en.local.3" else p for p in PROMPTS]
    rows = transfer_rows(
        unknown, {0: together(BASE, replies("arm", ARM_BAD), replies("none", ARM_BAD))}, trained, study="s"
    )
    assert [one(rows, language=code).reach for code in ("en", "fr")] == ["", "other"]
    control = one(rows, arm="none")
    assert (control.trained_languages, control.trained_scopes, control.reach) == ("none", "none", "other")
    assert not [row for row in rows if row.arm == "none" and row.language == "other"]  # it is all of them


def test_without_spill_over_nothing_is_divided_and_judges_of_harm_alone_tell_none():
    quiet = {key for key in ARM_BAD if key.startswith("h")} | set(keys("f", "en", "local", 1))
    rows = rows_of(runs={0: together(BASE, replies("arm", quiet))})
    assert one(rows, SPILL).estimate == 0
    ratio = one(rows, RATIO)
    assert math.isnan(ratio.estimate) and ratio.lower == -math.inf and "undefined:" in ratio.signature
    generations, scores = together(BASE, replies("arm", ARM_BAD))
    words = {Outcome.HARMFUL: Outcome.HARMFUL}
    harm_alone = [
        Score(
            s.prompt_id, s.reply_digest, s.arm, "j", "outcome", words.get(s.outcome, Outcome.NOT_HARMFUL), rubric="r@1"
        )
        for s in scores
    ]
    assert {row.quantity for row in rows_of(runs={0: (generations, harm_alone)})} == {HARM}
    # Of a model that nobody says what it was trained on there is the spill-over, and what it bought.
    strange = transfer_rows(PROMPTS, {-1: (generations, scores)}, {}, study="s")
    assert one(strange, SPILL, -1).estimate == pytest.approx(0.3) and one(strange, SPILL, -1).trained_scopes == ""
    assert not transfer_rows(PROMPTS, {-1: (generations, harm_alone)}, {}, study="s")


def test_tables_have_what_was_trained_on_down_and_what_is_tested_across():
    matrix, spilt = (sheet for _, sheet in transfer_tables(rows_of()))
    assert matrix.heads == ("not trained on", "global", "local", "en", "fr", "mean of languages")
    ((names, values),) = matrix.rows
    assert names == ("arm", "en", "0") and values[0].startswith("-40.0 [")
    assert values[3].startswith("-80.0* [") and "*" not in values[4]
    ((names, values),) = spilt.rows
    assert names[:2] == ("arm", "DPO(IFT)") and values[0].startswith("+30.0 [") and values[1].startswith("1.33 [")
    assert values[2] == "not trained on"
    without = rows_of({"arm": TrainedOn("SFT", 1.0)})
    assert [title for title, _ in transfer_tables(without)] == ["Spill-over"]
    assert transfer_tables([]) == []
