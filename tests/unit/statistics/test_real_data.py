"""Agreement on public data: figures that anybody can reproduce. Skipped, saying so, where the data are absent."""

import csv
import json
import re

import numpy as np
import pytest

from alignment_prism.domain import Label
from alignment_prism.labels import Scale, measure_agreement
from alignment_prism.statistics.raters.agreement import COHEN, KRIPPENDORFF, RAW, agreement
from alignment_prism.statistics.raters.rating_table import rating_table

KAPPA = {"AR": 0.47, "ES": 0.51, "HI": 0.58, "FR": 0.68}
"""Cohen's kappa of GPT-4 against the mean of three humans, both cut at a toxicity of 3."""

XSTEST_MODELS = {"llama2new": 0, "mistralguard": 0, "mistralinstruct": 11}
"""Models, and how many of GPT-4's answers on their replies are no label."""

LABELS = ("1_full_compliance", "2_full_refusal", "3_partial_refusal")


def rtp_lx_rows(realdata, locale):
    """Scores of three people, GPT-4's or None, and whether the prompt was written natively.

    Some answers score a text twice, before and after translating it; the last score is the answer.
    """
    path = realdata / "rtp_lx" / f"gpt4_results_{locale}.json"
    if not path.is_file():
        pytest.skip(f"no real data: {path.name} of RTP-LX is absent")
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        entry = row["OriginalEntry"]
        scores = re.findall(r"Tox\w*\"?\s*:\s*(\d)", row["GPT4ResponseRaw"])
        native = entry["OriginalMetadata"].get("Filename") == "manual"
        yield entry["AnnotationsRaw"]["Toxicity"], int(scores[-1]) if scores else None, native


def rtp_lx(realdata, locale):
    """(human, GPT-4) verdicts, both cut at 3, people by their mean; and whether the prompt was written natively."""
    pairs, native = [], []
    for people, judge, by_native in rtp_lx_rows(realdata, locale):
        pairs.append((int(sum(people) / 3 >= 3), None if judge is None else int(judge >= 3)))
        native.append("native" if by_native else "transcreated")
    return pairs, native


def rtp_lx_ratings(realdata, locale):
    """The same as labels of three people and a judge."""
    for number, (people, judge, _) in enumerate(rtp_lx_rows(realdata, locale)):
        for rater, score in (*((f"person {i}", each) for i, each in enumerate(people)), ("gpt4", judge)):
            yield Label(f"text {number}", rater, "" if score is None else str(score))


@pytest.mark.parametrize("locale", sorted(KAPPA))
def test_kappa_of_gpt4_by_language(realdata, locale):
    pairs, _ = rtp_lx(realdata, locale)
    table = rating_table(pairs, [0, 1])
    assert COHEN.of(table) == pytest.approx(KAPPA[locale], abs=0.01)
    found = agreement(table, COHEN, replicates=2000)
    assert found.lower < KAPPA[locale] < found.upper and 0.05 < found.width < 0.15


@pytest.mark.parametrize("locale", sorted(KAPPA))
def test_kappa_by_the_threshold_of_labels(realdata, locale):
    """As `prism agreement --threshold 3` reads three people and a judge: the mean decides, not the majority."""
    labels = list(rtp_lx_ratings(realdata, locale))
    found = measure_agreement(labels, judges=["gpt4"], scale=Scale(threshold=3), replicates=200)
    (kappa,) = [f for f in found.findings if (f.arm, f.metric) == ("gpt4 / people", COHEN.name)]
    assert kappa.estimate == pytest.approx(KAPPA[locale], abs=0.01)


@pytest.mark.parametrize("locale", sorted(KAPPA))
def test_kappa_by_scope_with_intervals(realdata, locale):
    pairs, native = rtp_lx(realdata, locale)
    table, scope = rating_table(pairs, [0, 1]), np.array(native)
    own, transcreated = (
        agreement(table.rows(scope == name), COHEN, replicates=2000) for name in ("native", "transcreated")
    )
    assert own.n + transcreated.n in (len(pairs), len(pairs) - 1)
    # Prompts that natives wrote are few, and the judge agrees less on them in all four languages.
    assert own.estimate < transcreated.estimate and own.width > 2 * transcreated.width
    assert own.lower <= own.estimate <= own.upper


def xstest(realdata, model, judge):
    path = realdata / "xstest" / "evaluation" / "automated_evaluation_labels"
    path = path / f"xstest_v2_completions_{model}_{judge}eval.csv"
    if not path.is_file():
        pytest.skip(f"no real data: {path.name} of XSTest is absent")
    with open(path, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    column = {"gpt": "gpt4_label", "str": "strmatch_label"}[judge]
    known = {name: name for name in LABELS}
    table = [[known.get(row[name].strip()) for name in ("annotation_1", "annotation_2", column)] for row in rows]
    return rating_table(table, LABELS), sum(row[2] is None for row in table)


def pair_of(table, *columns):
    """The table of two of its raters."""
    return type(table)(table.codes[:, columns], table.categories)


@pytest.mark.parametrize(("model", "unparseable"), sorted(XSTEST_MODELS.items()))
def test_xstest_judges_against_two_humans(realdata, model, unparseable):
    for judge, not_labels in (("gpt", unparseable), ("str", 0)):
        table, missing = xstest(realdata, model, judge)
        assert missing == not_labels, "answers that are no label stay unparseable"
        humans = COHEN.of(pair_of(table, 0, 1))
        assert humans > 0.85
        for column in (0, 1):
            found = agreement(pair_of(table, column, 2), COHEN, replicates=1000)
            assert found.n == 450 - not_labels and found.upper < humans
        assert KRIPPENDORFF.of(table) < humans and RAW.of(table) > 0.6


XSTEST = {
    ("llama2new", "gpt"): (0.622, 0.611),
    ("llama2new", "str"): (0.750, 0.722),
    ("mistralguard", "gpt"): (0.584, 0.552),
    ("mistralguard", "str"): (0.570, 0.526),
    ("mistralinstruct", "gpt"): (0.083, 0.068),
    ("mistralinstruct", "str"): (0.256, 0.222),
}
"""Cohen's kappa of GPT-4 and of string matching with either person; `benchmarks/statistics_agreement.md`."""


@pytest.mark.parametrize(("model", "judge"), sorted(XSTEST))
def test_xstest_kappas_equal_scikit_learn(realdata, model, judge):
    from sklearn.metrics import cohen_kappa_score

    table, _ = xstest(realdata, model, judge)
    for person, expected in enumerate(XSTEST[model, judge]):
        codes = table.codes[:, [person, 2]]
        codes = codes[(codes >= 0).all(axis=1)]
        kappa = COHEN.of(pair_of(table, person, 2))
        assert kappa == pytest.approx(expected, abs=5e-4)
        assert kappa == pytest.approx(cohen_kappa_score(codes[:, 0], codes[:, 1]), abs=1e-9)
