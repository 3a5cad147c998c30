"""Labels from Python: ratings, agreement, samples and corrections, with numbers worked out by hand."""

import dataclasses
import json

import numpy as np
import pytest
from click.testing import CliRunner

from alignment_prism.cli.agreement import command as agreement_command
from alignment_prism.domain import Generation, InputError, Label, Outcome, Prompt, PromptKind, Scope, Score, user
from alignment_prism.io import read_records, write_records
from alignment_prism.labels import (
    Design,
    Scale,
    correct,
    draw_next,
    draw_sample,
    measure_agreement,
    rate,
    read_labels,
    sheet_lines,
)
from alignment_prism.labels.ratings import labels_of_scores

KAPPA, RAW = "cohen-kappa", "raw"


def number(found, raters, metric=RAW, language="all", scope="all"):
    (row,) = [f for f in found.findings if (f.arm, f.metric, f.language, f.scope) == (raters, metric, language, scope)]
    return row


def test_labels_meet_by_the_digest_of_the_reply():
    scores = [
        Score("p1", "d1", "base", "gpt", "outcome", Outcome.HARMFUL, rubric="r@1"),
        Score("p1", "d2", "dpo", "gpt", "outcome", Outcome.REFUSAL, rubric="r@1"),
        Score("p2", "d3", "base", "gpt", "outcome", Outcome.UNJUDGED, rubric="r@1"),
        Score("p2", "d3", "base", "gpt", "correct", value=1.0),
    ]
    labels = [Label("d2", "anna", "no"), Label("d1", "anna", "yes"), Label("d3", "anna", "hm")]
    table = rate([*labels, *labels_of_scores(scores)])
    assert table.raters == ("anna", "gpt") and table.replies == ("d2", "d1", "d3")
    assert table.values == [["not harmful", "not harmful"], ["harmful", "harmful"], [None, None]]
    assert table.unusable == {"anna": 1, "gpt": 1}
    with pytest.raises(InputError, match="twice"):
        rate([Label("d1", "anna", "yes"), Label("d1", "anna", "no")])


def test_words_on_their_scales():
    harmful = [Scale().read(word) for word in ("1", "HARMFUL", "not harmful", "degenerate", "unjudged", "?")]
    assert harmful == ["harmful", "harmful", "not harmful", "not harmful", None, None]
    refusal = [Scale(Outcome.REFUSAL).read(word) for word in ("yes", "refused", "harmful", "safe")]
    assert refusal == ["refusal", "refusal", "not refusal", None]
    assert [Scale(threshold=3).read(word) for word in ("3", "2.9", "nan", "high")] == [
        "harmful", "not harmful", None, None,
    ]  # fmt: skip
    with pytest.raises(InputError, match="categories and a threshold"):
        Scale(categories=("a", "b"), threshold=1)


def test_a_tie_of_people_counts_half_for_each_side_as_it_does_in_a_correction():
    """Judge against people: agreed on d1 and d2, half of d3 and d4; (2 + 1/2 + 1/2) / 4, kappa (.75 - .5) / .5."""
    labels = [
        Label(reply, name, word)
        for reply, anna, omar, judge in (("d1", "y", "y", "y"), ("d2", "n", "n", "n"), ("d3", "y", "n", "y"),
                                         ("d4", "n", "y", "n"))
        for name, word in (("anna", anna), ("omar", omar), ("gpt", judge))
    ]  # fmt: skip
    found = measure_agreement(labels, judges=["gpt"], scale=Scale(categories=("n", "y")), replicates=200)
    assert number(found, "gpt / people").estimate == pytest.approx(0.75)
    assert number(found, "gpt / people", KAPPA).estimate == pytest.approx(0.5)
    assert (number(found, "gpt / people").n, number(found, "gpt / people").clusters) == (4, 4)
    assert number(found, "anna / omar").estimate == pytest.approx(0.5)


def test_two_people_who_tie_do_not_make_the_judge_look_better_than_one_does():
    """Three raters who are right in 85 % of cases: dropped ties would leave the easy replies, kappa .62 against .49."""
    rng = np.random.default_rng(0)
    truth = rng.random(4000) < 0.5
    said = {name: np.where(rng.random(4000) < 0.85, truth, ~truth) for name in ("anna", "omar", "gpt")}
    labels = [Label(f"d{i}", name, str(int(value))) for name, values in said.items() for i, value in enumerate(values)]
    both = measure_agreement(labels, judges=["gpt"], replicates=200)
    one = measure_agreement([label for label in labels if label.annotator != "omar"], judges=["gpt"], replicates=200)
    assert number(both, "gpt / people", KAPPA).estimate == pytest.approx(0.49, abs=0.03)
    assert number(one, "gpt / people", KAPPA).estimate == pytest.approx(0.49, abs=0.03)


def test_numbers_are_cut_each_and_together_by_their_mean():
    """4, 4, 1 is harmful by each majority but not at a mean of 3 = 3.0 from 3.5 on; 5, 5, 1 is at 3.67."""
    words = {"d1": (4, 4, 1, 1), "d2": (5, 5, 1, 5), "d3": (1, 1, 1, 1)}
    labels = [
        Label(reply, rater, str(value))
        for reply, values in words.items()
        for rater, value in zip(("a", "b", "c", "gpt"), values, strict=True)
    ]
    found = measure_agreement(labels, judges=["gpt"], scale=Scale(threshold=3.5), replicates=200)
    assert number(found, "gpt / people").estimate == 1.0
    # a and b agree on all three, c with neither on the first two: (1/3 + 1/3 + 1) / 3.
    assert number(found, "a / b / c").estimate == pytest.approx(5 / 9)


def records(n=400, seed=0, rates=(("base", 0.5), ("dpo", 0.2)), sensitivity=0.7):
    """Prompts in two languages, replies and a judge that sees 70 % of the harm; base harms in half, dpo in a fifth."""
    rng = np.random.default_rng(seed)
    prompts, generations, scores, truth = [], [], [], {}
    for i in range(n):
        scope = Scope.LOCAL if i % 3 else Scope.GLOBAL
        prompts.append(
            Prompt(f"p{i}", user(f"x{i}"), ("fr", "ar")[i % 2], PromptKind.HARMFUL, scope=scope, group=f"g{i // 2}")
        )
        for arm, harm in rates:
            reply = Generation(f"p{i}", arm, arm, f"{arm} {i}")
            harmful = bool(rng.random() < harm)
            said = rng.random() < (sensitivity if harmful else 0.02)
            outcome = Outcome.HARMFUL if said else Outcome.REFUSAL
            outcome = Outcome.UNJUDGED if rng.random() < 0.02 else outcome
            truth[reply.reply_digest] = harmful
            generations.append(reply)
            scores.append(Score(f"p{i}", reply.reply_digest, arm, "gpt", "outcome", outcome, rubric="r@1"))
    return prompts, generations, scores, truth


def labelled(lines, truth, name="anna"):
    return [Label(line["reply_digest"], name, str(int(truth[line["reply_digest"]])), design=line["design"])
            for line in lines]  # fmt: skip


def test_a_sample_goes_through_files_and_corrects(tmp_path):
    prompts, generations, scores, truth = records()
    sample = draw_sample(scores, prompts, arms=["dpo"], number=100, per_language=True, seed=1)
    assert sample.drawn == {"ar": (100, 200), "fr": (100, 200)}
    assert {row.stratum for row in sample.design.rows} >= {"ar/unjudged", "fr/neither"}
    lines = sheet_lines(sample.design, generations, prompts)
    assert len(lines) == 400 and {row.prompt_id for row in sample.design.chosen} == {
        sample.design.rows[i].prompt_id for i in sample.order
    }
    sample.design.write(tmp_path / "design.json")
    design = Design.read(tmp_path / "design.json")
    assert design == sample.design
    # Labels of prompts that were not drawn: somebody chose them, and they change nothing but a note.
    others = [Label(reply, "anna", str(int(harm))) for reply, harm in truth.items()]
    found = correct(design, labelled(lines, truth))
    more = correct(design, others)
    change = found.part("dpo").change
    assert change.interval == more.part("dpo").change.interval
    assert change.labels == 200 and change.interval.covers(-0.3)
    assert [part.language for part in found.parts if part.scope == "all"] == ["all", "ar", "fr", "macro"] * 2
    assert found.part("base").rate.interval.covers(0.5) and not found.part("base").rate.judged.covers(0.5)
    assert any("not drawn" in note for note in more.notes) and not any("not drawn" in note for note in found.notes)
    write_records(tmp_path / "labels.jsonl", labelled(lines, truth))
    assert correct(design, read_labels(tmp_path / "labels.jsonl")).parts == found.parts
    assert read_records(tmp_path / "labels.jsonl", Label) == labelled(lines, truth)


def test_what_is_left_undecided_is_labelled_to_the_last_prompt():
    """Harm of 30 % in both arms, a limit of 0: where 30 prompts of a language do not decide it, all are asked for."""
    prompts, generations, scores, truth = records(60, rates=(("base", 0.3), ("dpo", 0.3)))
    design = draw_sample(scores, prompts, arms=["dpo"], number=24).design
    for _ in range(6):
        lines = sheet_lines(design, generations, prompts)
        found = draw_next(design, labelled(lines, truth), limit=0.0, number=20)
        if not found.new:
            break
        design = found.design
    undecided = [state for state in found.states if state.verdict == "undecided"]
    assert undecided and all(state.labelled == 30 for state in undecided)


def test_agreement_on_a_drawn_sheet_is_that_of_all_replies():
    """The sheet has the arms' disagreements more often; weighted back, the judge's agreement is what it is on all."""
    prompts, generations, scores, truth = records(800, rates=(("base", 0.1), ("dpo", 0.05)))
    everyone = [Label(reply, "anna", str(int(harm))) for reply, harm in truth.items()]
    expected = number(measure_agreement(everyone, scores, replicates=200), "gpt / people").estimate
    weighted, as_drawn = [], []
    for seed in range(8):
        sample = draw_sample(scores, prompts, arms=["dpo"], number=80, seed=seed)
        labels = labelled(sheet_lines(sample.design, generations, prompts), truth)
        found = measure_agreement(labels, scores, design=sample.design, replicates=200)
        assert number(found, "gpt / people").n <= 160
        weighted.append(number(found, "gpt / people").estimate)
        anonymous = [dataclasses.replace(label, design="") for label in labels]
        as_drawn.append(number(measure_agreement(anonymous, scores, replicates=200), "gpt / people").estimate)
    error = np.std(weighted) / np.sqrt(8)
    assert np.mean(weighted) == pytest.approx(expected, abs=3 * error)
    assert np.mean(as_drawn) < expected - 4 * error
    rows = number(found, "gpt / people", language="ar", scope="local"), number(found, "gpt / people", language="ar")
    assert rows[0].n < rows[1].n, "language and scope come from the design"


def test_a_drawn_sheet_without_its_design_is_refused():
    prompts, generations, scores, truth = records()
    samples = [draw_sample(scores, prompts, arms=["dpo"], number=50, seed=seed) for seed in (1, 2)]
    labels = labelled(sheet_lines(samples[0].design, generations, prompts), truth)
    with pytest.raises(InputError, match="on a drawn sheet"):
        measure_agreement(labels, scores)
    for function in (lambda d: measure_agreement(labels, scores, design=d), lambda d: correct(d, labels)):
        with pytest.raises(InputError, match="drawn by another design"):
            function(samples[1].design)


def test_what_cannot_be_drawn_from(tmp_path):
    prompts, _, scores, _ = records(40)
    with pytest.raises(InputError, match="no outcomes of arm"):
        draw_sample(scores, prompts, arms=["nobody"], number=10)
    with pytest.raises(InputError, match="outcomes of several judges"):
        draw_sample([*scores, dataclasses.replace(scores[0], scorer="other")], prompts, arms=["dpo"], number=10)
    (tmp_path / "x.json").write_text('{"x": 1}')
    with pytest.raises(InputError, match="not a design"):
        Design.read(tmp_path / "x.json")


def run(*arguments):
    result = CliRunner().invoke(agreement_command, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return json.loads(result.output)["agreement"]


def test_a_table_with_a_column_a_rater_needs_no_key(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text("text,a,b,gpt\n" + "".join(f"t{i},{i % 2},{i % 2},{int(i % 4 > 1)}\n" for i in range(40)))
    rows = run(path, "--raters", "a,b,gpt", "--judge", "gpt", "--replicates", 200, "--json")
    found = {(row["raters"], row["coefficient"]): row["estimate"] for row in rows}
    assert found["a / b", "raw"] == 1.0 and found["gpt / people", "raw"] == 0.5


def test_kappas_of_xstest_by_one_command(realdata):
    """The two people of XSTest, and GPT-4 with what they say together; `benchmarks/statistics_agreement.md`."""
    path = realdata / "xstest" / "evaluation" / "automated_evaluation_labels"
    path = path / "xstest_v2_completions_llama2new_gpteval.csv"
    if not path.is_file():
        pytest.skip(f"no real data: {path.name} of XSTest is absent")
    rows = run(
        path, "--key", "id", "--raters", "annotation_1,annotation_2,gpt4_label", "--judge", "gpt4_label",
        "--categories", "1_full_compliance,2_full_refusal,3_partial_refusal", "--replicates", 200, "--json",
    )  # fmt: skip
    found = {(row["raters"], row["coefficient"]): row["estimate"] for row in rows}
    assert found["annotation_1 / annotation_2", KAPPA] == pytest.approx(0.926, abs=5e-4)
    assert 0.605 < found["gpt4_label / people", KAPPA] < 0.63, "between those with either person, .622 and .611"
