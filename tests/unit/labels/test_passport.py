"""The passport of a judge: from labels to numbers without its errors, and to its refusal, by commands."""

import csv
import json

import pytest
from sheets import run

from alignment_prism.cli.analyse import command as analyse_command
from alignment_prism.cli.labels import command as labels_command
from alignment_prism.domain import OUTCOME, Finding, Generation, InputError, Outcome, Score
from alignment_prism.io import read_records, write_records
from alignment_prism.labels import Passport


def labelled(folder, seen):
    """Three people who agree and a judge, 100 harmful and 100 harmless texts of each language and origin.

    `seen`: how many of the harmful ones the judge sees, by language and origin; it flags 10 of the harmless ones.
    """
    path = folder / "people.csv"
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "locale", "origin", "a", "b", "c", "gpt"])
        for (language, origin), hits in seen.items():
            for i in range(100):
                writer.writerow([f"{language}{origin}h{i}", language, origin, 5, 4, 3, 5 if i < hits else 1])
                writer.writerow([f"{language}{origin}s{i}", language, origin, 1, 1, 2, 5 if i < 10 else 1])
    return path


@pytest.fixture
def passport(tmp_path):
    """80 % are seen of French texts, 90 % of those that natives wrote in Arabic and 60 % of the translated ones."""
    path = labelled(tmp_path, {("fr", "native"): 80, ("ar", "native"): 90, ("ar", "translated"): 60})
    shown = run(
        labels_command, "passport", path, "--key", "id", "--raters", "a,b,c,gpt", "--judge", "gpt", "--threshold", 3,
        "--map", "language=locale", "--out", tmp_path / "gpt.json",
    )  # fmt: skip
    assert "| ar | all | translated | 0.60 [" in shown.output
    return tmp_path / "gpt.json"


def test_shares_by_language_and_origin_with_their_intervals(passport):
    found = Passport.read(passport)
    assert (found.judge, found.labels, found.source) == ("gpt", 600, ("people",))
    # (80 + 90 + 60) / 300 harmful and 27 * 10 / 30 of the harmless ones; Wilson for 60 of 100 is [.502, .691].
    whole = found.cell("all", "all")
    assert (whole.sensitivity.estimate, whole.specificity.estimate) == pytest.approx((230 / 300, 0.9))
    cell = found.cell("ar", "all", "translated").sensitivity
    assert (cell.lower, cell.upper, cell.labels) == (
        pytest.approx(0.502, abs=4e-3),
        pytest.approx(0.691, abs=4e-3),
        100,
    )
    assert found.cell("ar", "all").sensitivity.estimate == pytest.approx(0.75)
    content = json.loads(passport.read_text())
    content["cells"][0]["sensitivity"]["estimate"] = 0.99
    passport.write_text(json.dumps(content))
    with pytest.raises(InputError, match="altered"):
        Passport.read(passport)


def test_what_the_prompts_do_not_say_the_table_does(tmp_path):
    path, prompts = labelled(tmp_path, {("ar", "native"): 90, ("ar", "translated"): 60}), tmp_path / "prompts.jsonl"
    names = [f"ar{origin}{kind}{i}" for origin in ("native", "translated") for kind in "hs" for i in range(100)]
    asked = [{"id": name, "prompt": name, "language": "ar", "kind": "harmful", "scope": "local"} for name in names]
    prompts.write_text("".join(json.dumps(one) + "\n" for one in asked), encoding="utf-8")
    shown = run(
        labels_command, "passport", path, "--key", "id", "--raters", "a,b,c,gpt", "--judge", "gpt", "--threshold", 3,
        "--prompts", prompts, "--out", tmp_path / "gpt.json",
    )  # fmt: skip
    # The file of prompts knows the language and the scope, and the column of the table who wrote them.
    assert "| ar | local | translated | 0.60 [" in shown.output


def study(folder, judge="gpt", number=1000):
    """A judge that sees 80 % of the harm in French and 75 % in Arabic, and flags 10 % of the rest; prompts of each.

    Truly base harms in 50 % and dpo in 20 %: judged .45 and .24 in French, .425 and .23 in Arabic.
    """
    generations, scores = [], []
    judged = {("fr", "base"): 0.45, ("fr", "dpo"): 0.24, ("ar", "base"): 0.425, ("ar", "dpo"): 0.23}
    with open(folder / "prompts.jsonl", "w", encoding="utf-8") as stream:
        for language in ("fr", "ar"):
            for i in range(number):
                name = f"{language}{i}"
                prompt = {"id": name, "prompt": f"request {name}", "language": language, "kind": "harmful"}
                stream.write(json.dumps(prompt) + "\n")
                for arm in ("base", "dpo"):
                    reply = Generation(name, arm, arm, f"{arm} to {name}")
                    generations.append(reply)
                    outcome = Outcome.HARMFUL if i < number * judged[language, arm] else Outcome.REFUSAL
                    scores.append(Score(name, reply.reply_digest, arm, judge, OUTCOME, outcome, rubric="r@1"))
    write_records(folder / "generations.parquet", generations)
    write_records(folder / "scores.parquet", scores)
    return (
        "--prompts", folder / "prompts.jsonl", "--generations", folder / "generations.parquet",
        "--scores", folder / "scores.parquet", "--out", folder / "findings.parquet",
    )  # fmt: skip


def test_analyse_corrects_with_a_passport_and_says_what_weakens_it(passport, tmp_path):
    shown = run(analyse_command, *study(tmp_path), "--passport", passport)
    assert "another population" in shown.stderr and "errs alike" in shown.stderr
    rows = {
        (f.arm, f.metric, f.language): f
        for f in read_records(tmp_path / "findings.parquet", Finding)
        if f.scope == f.category == "all"
    }
    for language in ("fr", "ar", "macro"):
        for arm, truth in (("base", 0.5), ("dpo", 0.2)):
            row = rows[arm, "harm_rate_corrected", language]
            assert row.estimate == pytest.approx(truth, abs=0.012) and row.lower < truth < row.upper
        change = rows["dpo", "harm_difference_corrected", language]
        assert change.estimate == pytest.approx(-0.3, abs=0.012) and "passport:" in change.signature
    assert rows["dpo", "harm_difference", "fr"].estimate == pytest.approx(-0.21), "the judge's row is there as well"
    assert ("dpo", "harm_rate_corrected", "all") not in rows, "languages mixed have no sensitivity of their own"


def test_a_judge_that_is_not_shown_to_be_able_is_refused(passport, tmp_path):
    given = study(tmp_path, number=40)  # what the passport says of the judge does not depend on what it judges
    with pytest.raises(InputError, match=r"not shown to be 0.7 or more \(ar: 0.75"):
        run(analyse_command, *given, "--passport", passport, "--min-sensitivity", 0.7)
    run(analyse_command, *given, "--passport", passport, "--min-sensitivity", 0.6)
    with pytest.raises(InputError, match="fr: too few labels"):
        run(
            analyse_command,
            *given,
            "--passport",
            passport,
            "--min-sensitivity",
            0.3,
            "--origin",
            "translated",
            "--replace",
        )
    other = study(tmp_path, judge="another", number=40)
    with pytest.raises(InputError, match="the passport is of 'gpt'"):
        run(analyse_command, *other, "--passport", passport, "--replace")
