"""Verdicts on real data through the front door, each against a computation that shares nothing with ours.

Two models of XSTest by people's and by GPT-4's labels, prompts of RTP-LX against their completions by language, and the
chosen against the rejected replies of hh-rlhf. Skipped, saying so, where the data are absent.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import ttest_rel
from statsmodels.stats.contingency_tables import mcnemar

from alignment_prism.cli.main import cli
from alignment_prism.domain import Contrast, Quantity
from alignment_prism.io import read_records

WORDS = "1_full_compliance=complied,2_full_refusal=refusal,3_partial_refusal=refusal"


def prism(*arguments: object) -> None:
    cli.main([str(argument) for argument in arguments], standalone_mode=False)


def compared(place: Path, *arguments: object) -> dict[tuple[str, str, str], Contrast]:
    """Quantity, prompts and language -> row, of all scopes."""
    prism("compare", *arguments, "--out", place / "contrasts.parquet", "--replace")
    rows = read_records(place / "contrasts.parquet", Contrast)
    return {(row.quantity.value, row.prompts, row.language): row for row in rows if row.scope == "all"}


def tango(b: int, c: int, n: int) -> tuple[float, float]:
    """Tango's interval by maximising the multinomial likelihood numerically, without the closed form.

    b pairs where only the second is 1, c where only the first. Under a difference d these have q + d and q.
    """

    def score(d: float) -> float:
        def loss(q: float) -> float:
            return -(b * np.log(q + d) + c * np.log(q) + (n - b - c) * np.log1p(-2 * q - d))

        low, high = max(0.0, -d), (1 - d) / 2
        q = minimize_scalar(loss, bounds=(low + 1e-13, high - 1e-13), method="bounded", options={"xatol": 1e-13}).x
        return float((b - c - n * d) / np.sqrt(n * (2 * q + d * (1 - d))))

    estimate = (b - c) / n
    z = 1.959963984540054
    return (
        brentq(lambda d: score(d) - z, -1 + 1e-6, estimate - 1e-9),
        brentq(lambda d: score(d) + z, estimate + 1e-9, 1 - 1e-6),
    )


def against_references(row: Contrast, a: np.ndarray, b: np.ndarray) -> None:
    """One row against counts, statsmodels' asymptotic McNemar test and the numerical Tango interval.

    Args:
        row: the difference, over prompts that stand alone.
        a: verdicts of A in 0, 1 and NaN.
        b: of B on the same prompts.
    """
    known = ~(np.isnan(a) | np.isnan(b))
    a, b = a[known], b[known]
    table = [[int(((a == x) & (b == y)).sum()) for y in (1, 0)] for x in (1, 0)]
    assert [[row.both, row.only_a], [row.only_b, row.neither]] == table
    assert row.n == len(a) and row.estimate == pytest.approx(b.mean() - a.mean(), abs=1e-12)
    assert row.p_value == pytest.approx(mcnemar(table, exact=False, correction=False).pvalue, rel=1e-9)
    assert (row.lower, row.upper) == pytest.approx(tango(table[1][0], table[0][1], len(a)), abs=1e-5)


def of_xstest(row: dict[str, str], words: list[str]) -> float:
    """1 where a reply is harmful (to a contrast) or a refusal (to a safe prompt), by all of `words`; NaN if unclear."""
    said = {{"1": 1.0, "2": 0.0, "3": 0.0}[word[0]] for word in words if re.match("[123]_", word)}
    if len(said) != 1 or not all(re.match("[123]_", word) for word in words):
        return np.nan
    complied = said.pop()
    return complied if row["type"].startswith("contrast") else 1.0 - complied


@pytest.mark.parametrize("by", ["people", "gpt-4"])
def test_two_models_of_xstest_compare_as_a_hand_computation_says(realdata: Path, tmp_path: Path, by: str) -> None:
    models, found = ("mistralinstruct", "llama2new"), {}
    people = ("--raters", "annotation_1,annotation_2")
    judge = ("--verdict", "gpt4_label", "--scorer", "gpt-4")
    for model in models:
        file = realdata / f"xstest/evaluation/automated_evaluation_labels/xstest_v2_completions_{model}_gpteval.csv"
        prism("import", file, "--arm", model, "--words", WORDS, *(people if by == "people" else judge),
              "--out", tmp_path / model)  # fmt: skip
        with file.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                words = [row["gpt4_label"]] if by == "gpt-4" else [row["annotation_1"], row["annotation_2"]]
                kind = "harmful" if row["type"].startswith("contrast") else "benign_mention"
                found.setdefault((model, kind), []).append(of_xstest(row, words))
    rows = compared(tmp_path, *(tmp_path / model for model in models))
    for kind in ("harmful", "benign_mention"):
        a, b = (np.array(found[model, kind]) for model in models)
        against_references(rows["difference", kind, "all"], a, b)
        against_references(rows["difference", kind, "en"], a, b)


@pytest.fixture(scope="module")
def rtp_lx(realdata: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    """The folder of an import, and language -> N x 3: source, verdict on the prompt, verdict on its completion."""
    place = tmp_path_factory.mktemp("rtp")
    files = sorted((realdata / "rtp_lx").glob("acs_results_benign_[AH]*.json"))
    prism("import", *files, "--arms", "Prompt,Completion", "--kind", "harmful", "--translations", "--map",
          "id=OriginalEntry.Index,language=OriginalEntry.Locale,prompt=OriginalEntry.Prompt,reply=OriginalEntry.{arm}",
          "--raters", "OriginalEntry.{arm}AnnotationsRaw.Toxicity", "--harmful-from", 3, "--out", place)  # fmt: skip
    found: dict[str, list[list[float]]] = {}
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)["OriginalEntry"]
            means = [np.mean(row[f"{arm}AnnotationsRaw"]["Toxicity"]) for arm in ("Prompt", "Completion")]
            values = [float(mean >= 3 - 1e-9) for mean in means]
            found.setdefault(row["Locale"].lower(), []).append([float(row["Index"]), *values])
    return place, {language: np.array(rows) for language, rows in found.items()}


def test_rtp_lx_compares_by_language_and_over_translations_as_computed_apart(rtp_lx) -> None:
    """By language McNemar and Tango; pooled and as mean over languages a bootstrap of sources with all translations."""
    place, found = rtp_lx
    rows = compared(place, f"{place}#Prompt", f"{place}#Completion")
    assert len(found) > 1 and sum(map(len, found.values())) == rows["difference", "harmful", "all"].n
    for language, values in found.items():
        against_references(rows["difference", "harmful", language], values[:, 1], values[:, 2])

    sources = np.unique(np.concatenate([values[:, 0] for values in found.values()]))
    change = np.zeros((len(sources), len(found)))
    there = np.zeros_like(change)
    for column, values in enumerate(found.values()):
        at = np.searchsorted(sources, values[:, 0])
        change[at, column], there[at, column] = values[:, 2] - values[:, 1], 1.0
    rng = np.random.default_rng(0)
    draws = rng.multinomial(len(sources), np.full(len(sources), 1 / len(sources)), size=4000)
    sums, counts = draws @ change, draws @ there
    for language, values in (("all", sums.sum(1) / counts.sum(1)), ("macro", (sums / counts).mean(1))):
        row = rows["difference", "harmful", language]
        # Of 4,000 draws the standard deviation is known to 1.1 %; 5 % are four of that.
        assert row.clusters == len(sources)
        assert (row.upper - row.lower) / 2 == pytest.approx(1.96 * values.std(), rel=0.05)
        assert (row.upper + row.lower) / 2 == pytest.approx(values.mean(), abs=0.002)

    rates = {language: values[:, 2].mean() - values[:, 1].mean() for language, values in found.items()}
    worst = next(row for (quantity, *_), row in rows.items() if quantity == Quantity.WORST_LANGUAGE)
    assert worst.language == max(rates, key=rates.__getitem__)


def test_numbers_of_hh_rlhf_compare_as_a_paired_t_test(realdata: Path, tmp_path: Path) -> None:
    """How many words the chosen reply has and how many the rejected one."""
    rows = []
    with gzip.open(realdata / "hh_rlhf/harmless-base.test.jsonl.gz", "rt", encoding="utf-8") as stream:
        for number, line in enumerate(stream):
            pair = json.loads(line)
            begun, (chosen, rejected) = "", (pair["chosen"], pair["rejected"])
            start = next((i for i, (x, y) in enumerate(zip(chosen, rejected, strict=False)) if x != y), None)
            if start is not None:
                turn = chosen.rindex("\n\nAssistant:", 0, start) + len("\n\nAssistant:")
                begun, chosen, rejected = chosen[:turn], chosen[turn:], rejected[turn:]
                rows.append((number, begun, chosen, rejected, len(chosen.split()), len(rejected.split())))
            if len(rows) == 600:
                break
    names = ("id", "prompt", "chosen", "rejected", "chosen_words", "rejected_words")
    lines = [json.dumps(dict(zip(names, row, strict=True))) for row in rows]
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines), encoding="utf-8")
    prism("import", tmp_path / "pairs.jsonl", "--arms", "chosen,rejected", "--map", "reply={arm}", "--verdict",
          "{arm}_words", "--kind", "general", "--language", "en", "--out", tmp_path / "hh")  # fmt: skip
    (row,) = (
        row
        for (quantity, _, language), row in compared(
            tmp_path, f"{tmp_path}/hh#rejected", f"{tmp_path}/hh#chosen"
        ).items()
        if quantity == Quantity.DIFFERENCE and language == "all"
    )
    counts = np.array([row[4:] for row in rows], float)
    test = ttest_rel(counts[:, 0], counts[:, 1])
    interval = test.confidence_interval()
    assert row.n == len(rows)
    assert row.estimate == pytest.approx(counts[:, 0].mean() - counts[:, 1].mean(), abs=1e-9)
    assert (row.lower, row.upper) == pytest.approx((interval.low, interval.high), rel=1e-6)
    assert row.p_value == pytest.approx(test.pvalue, rel=1e-6)
