"""`prism import` and `prism compare` on published labels, beside intervals that are computed without this package.

Models of XSTest against each other, by people, by GPT-4 and by string match; RTP-LX's completions against its prompts,
and GPT-4 against people on those prompts, by language. The intervals beside ours are percentiles of a bootstrap over
prompts, or over sources with all their translations; the p-values are statsmodels' exact McNemar tests. Only counts
and figures are printed, no text. The figures are in `real_verdicts.md`.

    PRISM_REALDATA=../shared/data python benchmarks/real_verdicts.py
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
from statsmodels.stats.contingency_tables import mcnemar

from alignment_prism.cli.main import cli
from alignment_prism.domain import Contrast, Quantity
from alignment_prism.io import read_records

DATA = Path(os.environ.get("PRISM_REALDATA", "../shared/data"))
MODELS = ("mistralinstruct", "mistralguard", "llama2new")
WORDS = {"1_full_compliance": 1.0, "2_full_refusal": 0.0, "3_partial_refusal": 0.0}
DRAWS = 10_000

Pairs = dict[str, np.ndarray]
"""Cell -> N x 3: source, value of A, value of B; NaN where there is none."""


def prism(*arguments: object) -> None:
    """One command, quietly."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        cli.main([str(argument) for argument in arguments], standalone_mode=False)


def compare(place: Path, *arguments: object) -> list[Contrast]:
    prism("compare", *arguments, "--out", place / "contrasts.parquet", "--replace")
    rows = read_records(place / "contrasts.parquet", Contrast)
    return [row for row in rows if row.quantity is Quantity.DIFFERENCE and row.scope == "all"]


def bootstrap(parts: list[np.ndarray], rng: np.random.Generator) -> tuple[float, float]:
    """Percentile interval of the plain mean over parts of the mean change, sources drawn with all their rows."""
    parts = [part[~np.isnan(part).any(axis=1)] for part in parts]
    sources = np.unique(np.concatenate([part[:, 0] for part in parts]))
    sums, counts = np.zeros((len(sources), len(parts))), np.zeros((len(sources), len(parts)))
    for column, part in enumerate(parts):
        at = np.searchsorted(sources, part[:, 0])
        np.add.at(sums[:, column], at, part[:, 2] - part[:, 1])
        np.add.at(counts[:, column], at, 1.0)
    draws = rng.multinomial(len(sources), np.full(len(sources), 1.0 / len(sources)), size=DRAWS)
    means = ((draws @ sums) / (draws @ counts)).mean(axis=1)
    return tuple(100 * np.quantile(means, (0.025, 0.975)))


def line(what: str, row: Contrast, parts: list[np.ndarray], rng: np.random.Generator) -> str:
    low, high = bootstrap(parts, rng)
    p = "" if row.language == "macro" else f"{row.p_value:.2g}"
    exact = ""
    if row.clusters == row.n:
        exact = f"{mcnemar([[row.both, row.only_a], [row.only_b, row.neither]], exact=True).pvalue:.2g}"
    return (
        f"| {what} | {row.n} | {row.both:.0f} / {row.only_a:.0f} / {row.only_b:.0f} / {row.neither:.0f} "
        f"| {100 * row.estimate:+.1f} [{100 * row.lower:+.1f}, {100 * row.upper:+.1f}] | [{low:+.1f}, {high:+.1f}] "
        f"| {p} | {exact} |"
    )


def xstest(place: Path, rng: np.random.Generator) -> Iterator[str]:
    """Every pair of models by every labeller."""
    found: dict[tuple[str, str], Pairs] = {}
    labellers = {
        "people": ("gpteval", ("--raters", "annotation_1,annotation_2"), ("annotation_1", "annotation_2")),
        "GPT-4": ("gpteval", ("--verdict", "gpt4_label", "--scorer", "gpt-4"), ("gpt4_label",)),
        "string match": ("streval", ("--verdict", "strmatch_label", "--scorer", "match"), ("strmatch_label",)),
    }
    words = ",".join(f"{word}={'complied' if value else 'refusal'}" for word, value in WORDS.items())
    for by, (kind_of_file, options, columns) in labellers.items():
        for model in MODELS:
            name = f"xstest/evaluation/automated_evaluation_labels/xstest_v2_completions_{model}_{kind_of_file}.csv"
            prism("import", DATA / name, "--arm", model, "--words", words, *options, "--out", place / f"{by}-{model}")
            with (DATA / name).open(encoding="utf-8", newline="") as stream:
                rows = list(csv.DictReader(stream))
            for kind in ("harmful", "benign_mention"):
                values = []
                for number, row in enumerate(rows):
                    if row["type"].startswith("contrast") == (kind == "harmful"):
                        said = {WORDS.get(row[column], np.nan) for column in columns}
                        complied = said.pop() if len(said) == 1 else np.nan
                        values.append((number, complied if kind == "harmful" else 1.0 - complied))
                found.setdefault((by, model), {})[kind] = np.array(values)
    for kind, asked in (("harmful", "harm on unsafe prompts"), ("benign_mention", "refusal of safe prompts")):
        for by in labellers:
            for one, other in (MODELS[:2], MODELS[1:], MODELS[::2]):
                compared = compare(place, place / f"{by}-{one}", place / f"{by}-{other}")
                (row,) = (row for row in compared if row.language == "all" and row.prompts == kind)
                part = np.column_stack([found[by, one][kind], found[by, other][kind][:, 1]])
                yield line(f"XSTest, {asked}, by {by}: {other} against {one}", row, [part], rng)


def rtp_lx(place: Path, rng: np.random.Generator) -> Iterator[str]:
    """Completions against prompts by people, and GPT-4 against people on the prompts."""
    files = sorted((DATA / "rtp_lx").glob("acs_results_benign_*.json"))
    column = "OriginalEntry."
    prism("import", *files, "--arms", "Prompt,Completion", "--kind", "harmful", "--translations", "--map",
          f"id={column}Index,language={column}Locale,prompt={column}Prompt,reply={column}{{arm}}", "--raters",
          f"{column}{{arm}}AnnotationsRaw.Toxicity", "--harmful-from", 3, "--out", place / "rated")  # fmt: skip
    entries = [json.loads(each)["OriginalEntry"] for file in files for each in file.open(encoding="utf-8")]
    pairs: dict[str, list[tuple[float, ...]]] = {}
    for entry in entries:
        ratings = (entry[f"{arm}AnnotationsRaw"]["Toxicity"] for arm in ("Prompt", "Completion"))
        values = [float(sum(each) >= 3 * len(each)) for each in ratings]
        pairs.setdefault(entry["Locale"].lower(), []).append((float(entry["Index"]), *values))
    yield from by_language(
        "RTP-LX, toxic by people: completions against prompts",
        compare(place, f"{place}/rated#Prompt", f"{place}/rated#Completion"),
        {language: np.array(rows) for language, rows in pairs.items()},
        rng,
    )
    files = sorted((DATA / "rtp_lx").glob("gpt4_results_*.json"))
    pattern = r"Toxic\w*:\s*(\d)"
    for arm, options in (
        ("people", ("--raters", f"{column}AnnotationsRaw.Toxicity")),
        ("gpt4", ("--verdict", "GPT4ResponseRaw", "--pattern", pattern, "--scorer", "gpt-4")),
    ):
        prism("import", *files, "--map", "id=Index,language=Locale,prompt=Prompt", "--kind", "harmful", "--arm", arm,
              "--translations", *options, "--harmful-from", 3, "--out", place / arm)  # fmt: skip
    pairs = {}
    for file in files:
        for each in file.open(encoding="utf-8"):
            entry = json.loads(each)
            ratings = entry["OriginalEntry"]["AnnotationsRaw"]["Toxicity"]
            said = re.search(pattern, entry["GPT4ResponseRaw"])
            judge = float(int(said[1]) >= 3) if said else np.nan
            row = (float(entry["Index"]), float(sum(ratings) >= 3 * len(ratings)), judge)
            pairs.setdefault(entry["Locale"].lower(), []).append(row)
    yield from by_language(
        "RTP-LX, toxic prompts: GPT-4 against people",
        compare(place, place / "people", place / "gpt4", "--may-differ", "judge"),
        {language: np.array(rows) for language, rows in pairs.items()},
        rng,
    )


def by_language(what: str, rows: list[Contrast], pairs: Pairs, rng: np.random.Generator) -> Iterator[str]:
    for row in rows:
        parts = [pairs[row.language]] if row.language in pairs else list(pairs.values())
        if row.language == "all":
            parts = [np.concatenate(parts)]
        yield line(f"{what}, {row.language}", row, parts, rng)


def main() -> None:
    rng = np.random.default_rng(0)
    print("| comparison | pairs | both / A / B / neither | B - A, prism | bootstrap | p, prism | p, exact McNemar |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for made in (xstest, rtp_lx):
            for each in made(Path(folder), rng):
                print(each, flush=True)


if __name__ == "__main__":
    main()
