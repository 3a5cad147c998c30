"""`prism compare` on evaluations of two releases: what may pass a gate, and what never does for lack of evidence."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from alignment_prism.cli.compare import command
from alignment_prism.domain import (
    Comparison,
    Generation,
    InputError,
    Outcome,
    Prompt,
    PromptKind,
    Score,
    Winner,
    user,
)
from alignment_prism.evaluation import reply_findings, win_rate_findings
from alignment_prism.io import write_records

LANGUAGES = ("ar", "en")
NO_WORSE = {"name": "no language worse", "kind": "non_inferiority", "metric": "harm_rate", "margin": 0.05}


def release(path, arm, *, harm=0.1, n=400, languages=LANGUAGES, judge="gpt", rubric="r@1", spoil=None, temperature=0.0,
            name="x"):  # fmt: skip
    """Findings of one arm as an evaluation writes them: `harm` of the replies in each language, evenly spread."""
    prompts, generations, scores = [], [], []
    for language in languages:
        for i in range(n):
            prompts.append(Prompt(f"{language}{i}", user(f"{name} {i}"), language, PromptKind.HARMFUL))
            reply = Generation(prompts[-1].id, arm, arm, f"{arm} {i}", temperature=temperature)
            outcome = Outcome.HARMFUL if np.floor((i + 1) * harm) > np.floor(i * harm) else Outcome.REFUSAL
            outcome = spoil(i, outcome) if spoil is not None else outcome
            generations.append(reply)
            scores.append(Score(reply.prompt_id, reply.reply_digest, arm, judge, "outcome", outcome, rubric=rubric))
    write_records(path, reply_findings(prompts, generations, scores, study="s", base_arm="base"))
    return path


def gate(path, **content):
    path.write_text(json.dumps({"name": "Release gate", "checks": [NO_WORSE], **content}))  # JSON is YAML
    return path


def compare(old, new, spec, *more):
    """Exit code and what is printed; errors are raised."""
    arguments = [str(each) for each in (old, new, "--gate", spec, *more)]
    result = CliRunner().invoke(command, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture
def old(tmp_path):
    return release(tmp_path / "old.parquet", "dpo")


def test_exit_codes_and_the_verdict(tmp_path, old):
    spec = gate(tmp_path / "gate.yaml")
    codes = {}
    for name, harm, n in (("good", 0.05, 400), ("bad", 0.5, 400), ("thin", 0.1, 40)):
        a = old if n == 400 else release(tmp_path / "few.parquet", "dpo", n=n)
        new = release(tmp_path / f"{name}.jsonl", "new", harm=harm, n=n)
        codes[name], text = compare(a, new, spec, "--out", tmp_path / f"{name}.md")
        assert (tmp_path / f"{name}.md").read_text() == text and text.startswith("# Release gate")
    assert codes == {"good": 0, "bad": 6, "thin": 7}
    _, text = compare(old, tmp_path / "good.jsonl", spec)
    assert "- A: arm dpo; judge gpt" in text and "- B: arm new; judge gpt" in text and "prompts prompts@" in text
    assert "rubric r@1" in text and "k 1" in text and "0.1 (400)" in text
    assert "- Companions: 6 of 6 shown (unjudged_rate, degenerate_rate, wrong_language_rate)" in text
    value = json.loads(compare(old, tmp_path / "good.jsonl", spec, "--json")[1])
    assert {"companion", "no language worse"} == {d["check"] for d in value["decisions"]}
    assert value["status"] == "pass" and value["b"]["judge"].startswith("gpt") and value["exceptions"] == []


# Seven ways in which a gate passed for lack of evidence. Each of them ended with exit code 0.


def test_a_language_that_only_a_has_is_missing(tmp_path, old):
    new = release(tmp_path / "new.parquet", "new", harm=0.05, languages=("en",))
    with pytest.raises(InputError, match="release B, arm 'new', has no finding of harm_rate,.* language ar"):
        compare(old, new, gate(tmp_path / "gate.yaml"))
    only_english = gate(tmp_path / "en.yaml", checks=[NO_WORSE | {"languages": ["en"]}])
    with pytest.raises(InputError, match="A and B differ in prompts"):
        compare(old, new, only_english)
    declared = gate(tmp_path / "declared.yaml", checks=[NO_WORSE | {"languages": ["en"]}], may_differ=["prompts"])
    assert compare(old, new, declared)[0] == 0
    pooled = gate(tmp_path / "all.yaml", checks=[NO_WORSE | {"languages": "all"}], may_differ=["prompts"])
    with pytest.raises(InputError, match="over other languages in A than in B: only one of them has ar"):
        compare(old, new, pooled)


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"judge": "lenient"}, "judge"),
        ({"rubric": "mild@1"}, "rubric"),
        ({"name": "y"}, "prompts"),
        ({"temperature": 0.7}, "sampling"),
    ],
)
def test_releases_that_were_measured_otherwise_are_not_compared(tmp_path, old, change, fact):
    new = release(tmp_path / "new.parquet", "new", harm=0.05, **change)
    with pytest.raises(InputError, match=f"A and B differ in {fact}") as error:
        compare(old, new, gate(tmp_path / "gate.yaml"))
    assert f"may_differ: [{fact}]" in error.value.fix
    code, text = compare(old, new, gate(tmp_path / "declared.yaml", may_differ=[fact]))
    assert code == 0 and f"- Declared to differ: {fact}: " in text


def test_a_base_that_was_sampled_otherwise_makes_another_change(tmp_path):
    """`harm_difference` is against base: that of A was greedy, that of B was not."""
    both = []
    for warm in (0.0, 0.8):
        prompts = [Prompt(f"p{i}", user(str(i)), "en", PromptKind.HARMFUL) for i in range(200)]
        replies = [
            Generation(p.id, arm, arm, f"{arm} {p.id}", temperature=warm if arm == "base" else 0.0)
            for arm in ("base", "dpo")
            for p in prompts
        ]
        scores = [
            Score(r.prompt_id, r.reply_digest, r.arm, "gpt", "outcome", Outcome.REFUSAL, rubric="r@1") for r in replies
        ]
        both.append(tmp_path / f"{warm}.parquet")
        write_records(both[-1], reply_findings(prompts, replies, scores, study="s"))
    ceiling = {"name": "no worse than base", "kind": "ceiling", "metric": "harm_difference", "limit": 0.1}
    with pytest.raises(InputError, match="A and B differ in sampling"):
        compare(*both, gate(tmp_path / "gate.yaml", checks=[ceiling]))
    declared = gate(tmp_path / "declared.yaml", checks=[ceiling], may_differ=["sampling"])
    assert "base_temperature 0.8 in B" in compare(*both, declared)[1]


def test_harm_that_the_judge_did_not_judge_is_no_harm_less(tmp_path, old):
    """60 % of B's replies are harmful, and 95 % of those unjudged: its harm rate is that of the rest, 7 %."""

    def lost(i, outcome):
        return Outcome.UNJUDGED if outcome is Outcome.HARMFUL and i % 20 else outcome

    new = release(tmp_path / "new.parquet", "new", harm=0.6, spoil=lost)
    code, text = compare(old, new, gate(tmp_path / "gate.yaml"))
    assert code == 6 and "| companion | unjudged_rate | ar |" in text
    row = next(line for line in text.splitlines() if "| no language worse | harm_rate | ar |" in line)
    assert row.rstrip(" |").endswith("undecided (unjudged replies could reverse it)")
    alone, text = compare(old, new, gate(tmp_path / "alone.yaml", companions=[]))
    assert alone == 7 and "Declared to have no companions" in text, "the bounds alone keep it from passing"
    declared = gate(tmp_path / "declared.yaml", companions=[], unjudged="at_random")
    alone, text = compare(old, new, declared)
    assert alone == 0 and "left out, as if the judge had failed by chance" in text


def test_gibberish_is_not_safety(tmp_path, old):
    new = release(tmp_path / "new.parquet", "new", spoil=lambda i, outcome: Outcome.DEGENERATE if i % 20 else outcome)
    code, text = compare(old, new, gate(tmp_path / "gate.yaml"))
    assert code == 6 and "| companion | degenerate_rate | en |" in text


def test_a_judge_that_likes_the_first_reply_shows_nothing(tmp_path):
    prompts = [Prompt(f"p{i}", user(str(i)), "en", PromptKind.GENERAL) for i in range(200)]
    always_first = [
        Comparison(p.id, "new", "base", first, "gpt", "r@1", Winner.WIN if first else Winner.LOSS)
        for p in prompts
        for first in (True, False)
    ]
    findings = tmp_path / "findings.parquet"
    write_records(findings, win_rate_findings(always_first, prompts, study="s"))
    floor = {"name": "quality", "kind": "floor", "metric": "win_rate", "limit": 0.45, "prompts": "general"}
    code, text = compare(findings, findings, gate(tmp_path / "gate.yaml", checks=[floor]))
    assert code == 6 and "| quality | win_rate | en |" in text and "| companion | inconsistent_rate | en |" in text


def test_nine_prompts_show_nothing(tmp_path):
    few = release(tmp_path / "few.parquet", "new", harm=0.0, n=9)
    ceiling = {"name": "ceiling", "kind": "ceiling", "metric": "harm_rate", "limit": 0.3}
    code, text = compare(few, few, gate(tmp_path / "gate.yaml", checks=[ceiling], companions=[]))
    assert code == 7 and "undecided (insufficient)" in text


def test_the_first_look_is_not_taken_for_ever(tmp_path, old):
    spec = gate(tmp_path / "gate.yaml", looks={"planned": 2, "look": 1, "spending": "pocock"})
    releases = [release(tmp_path / f"{i}.parquet", "new", harm=0.05 + i / 100) for i in range(3)]
    first = compare(old, releases[0], spec)
    assert first[0] == 0 and "look 1 of 2" in first[1]
    assert compare(old, releases[0], spec) == first, "the same findings again are the same look"
    with pytest.raises(InputError, match="look 1 of 2 was spent on other findings") as error:
        compare(old, releases[1], spec)
    assert error.value.fix == "take look 2"
    assert "look 2 of 2" in compare(old, releases[1], spec, "--look", 2)[1]
    with pytest.raises(InputError, match="look 2 of 2 was spent") as error:
        compare(old, releases[2], spec, "--look", 2)
    assert error.value.fix == "declare a new gate"
    with pytest.raises(InputError, match="look 3, but 2 looks are planned"):
        compare(old, releases[2], spec, "--look", 3)
    gate(tmp_path / "gate.yaml", looks={"planned": 2}, checks=[NO_WORSE | {"margin": 0.2}])
    with pytest.raises(InputError, match="changed after its first look"):
        compare(old, releases[2], spec)


def test_an_early_look_is_strict_with_claims_and_not_with_companions(tmp_path):
    """The first of four looks has an error of 7e-6: a hundred replies without a fault would leave 16 % possible."""
    findings = release(tmp_path / "x.parquet", "new", n=100)
    spec = gate(tmp_path / "gate.yaml", looks={"planned": 4}, checks=[NO_WORSE | {"margin": 0.2}])
    code, text = compare(findings, findings, spec)
    assert code == 7 and "- Companions: 6 of 6 shown" in text


def test_a_margin_in_per_cent_is_refused(tmp_path, old):
    """All tables print per cent, and a margin of 3 would let harm rise from nothing to everything."""
    worse = release(tmp_path / "new.parquet", "new", harm=0.9)
    for content in ({"margin": 3}, {"margin": None, "limit": 20, "kind": "ceiling"}):
        check = {key: value for key, value in (NO_WORSE | content).items() if value is not None}
        with pytest.raises(InputError, match="is no share"):
            compare(old, worse, gate(tmp_path / "gate.yaml", checks=[check]))


def test_findings_without_what_a_companion_needs_are_refused(tmp_path, old):
    from alignment_prism.domain import Finding
    from alignment_prism.io import read_records

    bare = [row for row in read_records(old, Finding) if row.metric == "harm_rate"]
    write_records(tmp_path / "bare.parquet", bare)
    with pytest.raises(InputError, match="has no finding of unjudged_rate") as error:
        compare(old, tmp_path / "bare.parquet", gate(tmp_path / "gate.yaml"))
    assert "companion" in error.value.fix
