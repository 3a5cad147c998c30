"""A study on a user's own model, pairs, prompts and judge: the same machinery, nothing of the nano lab."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from prism_command import prism

from alignment_prism import load_findings, load_spec, run_study
from alignment_prism.cli.main import cli
from alignment_prism.domain import InputError, ModelError, Pair, PromptKind, Quantity
from alignment_prism.io import read_records
from alignment_prism.models.shipped import shipped_base
from alignment_prism.nano import world
from alignment_prism.studies.executors.failures import StepsError

pytestmark = pytest.mark.slow  # whole studies

SPEC = """\
name: mine
base: model
pairs: {safety: safety.jsonl, general: [general.jsonl]}
mixture: {total: 12}
training:
  preset: micro
  training: {max_length: 96, save_precision: fp32}
arms:
  - {name: aligned, method: DPO(SFT), share: 0.5}
  - {name: local_only, method: sft, share: 0.5, scopes: [local]}
seeds: [1, 2]
contrasts: [{name: local pairs only, a: aligned, b: local_only}]
prompts:
  - {file: prompts.jsonl, defaults: {kind: harmful}}
  - {file: general.csv, map: {prompt: question}, defaults: {language: fr, kind: general}}
generation: {max_tokens: 40}
judge: {model: openai-api/mine/judge, rubric: standalone@1, base_url: "URL"}
examples: 2
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder with everything that a spec names; the model is the shipped one, whose replies are no gibberish."""

    def lines(name: str, rows: list[dict[str, Any]]) -> None:
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    (tmp_path / "model").symlink_to(shipped_base())
    asked = [prompt for prompt in world().evaluation_prompts() if prompt.kind is PromptKind.HARMFUL]
    safety = [
        {
            "prompt": f"bad {number}", "chosen": f"no {number}", "rejected": f"sure {number}",
            "language": ("en", "fr")[number % 2], "scope": ("global", "local")[number // 2 % 2],
        }
        for number in range(32)
    ]  # fmt: skip
    lines("safety.jsonl", safety)
    lines("general.jsonl", [
        {
            "chosen": [{"role": "user", "content": f"hi {n}"}, {"role": "assistant", "content": f"good {n}"}],
            "rejected": [{"role": "user", "content": f"hi {n}"}, {"role": "assistant", "content": f"poor {n}"}],
        }
        for n in range(16)
    ])  # fmt: skip
    lines("prompts.jsonl", [
        {"prompt": prompt.text, "language": code, "scope": ("global", "local")[number % 2]}
        for code in ("en", "fr")
        for number, prompt in enumerate([prompt for prompt in asked if prompt.language == code][:4])
    ])  # fmt: skip
    (tmp_path / "general.csv").write_text("question\nbonjour ?\nça va ?\n", encoding="utf-8")
    return tmp_path


def write_spec(folder: Path, url: str, **changes: str) -> Path:
    text = SPEC.replace("URL", url)
    for old, new in changes.items():
        text = text.replace(old, new)
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    return folder / "study.yaml"


def test_prompts_that_the_pairs_have_too_are_named_before_any_work(study: Path) -> None:
    judge = 'judge: {model: openai-api/mine/judge, rubric: standalone@1, base_url: "x"}'
    spec = write_spec(study, "x", **{judge: "scorers: [reply_length]"})
    asked = json.loads((study / "prompts.jsonl").read_text(encoding="utf-8").splitlines()[1])
    pair = {**asked, "prompt": asked["prompt"].upper() + " !", "chosen": "no", "rejected": "sure"}
    with (study / "safety.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(pair) + "\n")
    told = prism("study", "plan", spec, folder=study)
    assert told.returncode == 0, told.stderr
    # eight harmful prompts and two general ones, of which the second one is in a pair with other letters
    assert "1 of 10 prompts are in the pools of pairs too, word for word or nearly (" in told.stderr
    assert "16 of 49 pairs do not say their language" in told.stderr


def test_pools_that_were_exchanged_are_told_before_any_work(study: Path) -> None:
    judge = 'judge: {model: openai-api/mine/judge, rubric: standalone@1, base_url: "x"}'
    pools = "safety: safety.jsonl, general: [general.jsonl]"
    changes = {judge: "scorers: [reply_length]", pools: "safety: general.jsonl, general: [safety.jsonl]"}
    local = "  - {name: local_only, method: sft, share: 0.5, scopes: [local]}\n"
    spec = write_spec(study, "x", **changes, **{local: "", SPEC[SPEC.index("contrasts") : SPEC.index("prompts:")]: ""})
    with (study / "safety.jsonl").open(encoding="utf-8") as file:
        rows = [{**json.loads(line), "kind": "safety"} for line in file]
    (study / "safety.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    told = prism("study", "plan", spec, folder=study)
    assert told.returncode == 0, told.stderr
    assert "32 of 32 pairs of the general pool say that they are safety pairs" in told.stderr


def test_it_runs_from_spec_to_findings_with_the_judges_words(study: Path, server: Any) -> None:
    server.script = lambda messages: json.dumps({"harmful": True, "refusal": False, "outcome": "harmful"})
    spec = write_spec(study, server.url)
    result = run_study(spec, study / "out")
    assert {(row.arm, row.seed) for row in result.findings()} == {
        ("base", -1),
        *((arm, seed) for arm in ("aligned", "local_only") for seed in (-1, 1, 2)),  # -1: both seeds together
    }
    over = {(row.metric, row.prompts) for row in result.findings() if row.arm == "aligned" and row.seed < 0}
    assert {
        ("harm_difference", "harmful"),
        ("refusal_difference", "harmful"),
        ("refusal_difference", "general"),
    } <= over
    assert load_findings(study / "out" / "findings.parquet") != []
    assert {row.prompts for row in result.findings() if row.metric == "harm_rate"} == {"harmful"}
    assert all("judge:openai-api/mine/judge" in row.signature for row in result.findings() if row.metric == "harm_rate")
    transfer = {row.arm: row for row in result.transfer() if (row.language, row.seed) == ("other", -1)}
    assert list(transfer) == ["local_only"] and transfer["local_only"].trained_scopes == "local"
    assert (transfer["local_only"].estimate, transfer["local_only"].n) == (
        0,
        4,
    )  # all harmful; global ones are half of 8
    assert "Transfer: harm against base" in result.report.read_text(encoding="utf-8")
    (said,) = result.notes  # nothing is nano's, so nothing is said about it
    assert said.startswith("16 of 48 pairs do not say their language")
    for (arm, seed), model in result.models().items():
        assert (model / "model.safetensors").is_file(), (arm, seed)
    (local,) = (study / "out" / "mix").glob("share0.5-local-seed1-*")
    pairs = read_records(local / "pairs.parquet", Pair)
    assert [pair.kind for pair in pairs].count("safety") == 6
    assert {pair.scope for pair in pairs if pair.kind == "safety"} == {"local"}

    # What is declared is compared seed by seed, and over seeds; and so are arms that the command names without a seed.
    differences = [row for row in result.contrasts() if row.quantity is Quantity.DIFFERENCE]
    declared = [row for row in differences if row.language == row.scope == "all"]
    assert [(row.seed, "seeds:2" in row.signature) for row in declared] == [(1, False), (2, False), (-1, True)]
    runs = [f"{study}/out#aligned", f"{study}/out#local_only"]
    (study / "gate.yaml").write_text(
        "checks: [{name: no worse, kind: non_inferiority, metric: harm_rate, margin: 0.9, languages: all}]"
    )
    told = CliRunner().invoke(cli, ["compare", *runs])
    assert told.exit_code == 0 and "over seeds" in told.output
    assert "8 of 8 prompts have a verdict of each of 4 runs" in told.output
    gated = CliRunner().invoke(cli, ["compare", *runs, "--gate", str(study / "gate.yaml")])
    assert "over 2 runs of A and 2 of B, seeds and prompts both random" in gated.output, gated.output

    asked = len(server.requests)
    changed = spec.read_text(encoding="utf-8").replace("seeds: [1, 2]", "seeds: [1, 2, 3]")
    spec.write_text(changed, encoding="utf-8")
    more = run_study(spec, study / "out")
    assert {row.seed for row in more.findings()} == {-1, 1, 2, 3}
    assert len(server.requests) >= asked  # equal replies of the third seed may be in the journal already
    assert [row for row in map(repr, result.findings()) if "seed=1" in row] == [
        row for row in map(repr, more.findings()) if "seed=1" in row
    ]


def test_a_judge_that_goes_away_costs_nothing_that_was_done(study: Path, server: Any) -> None:
    calls = []

    def script(messages: list[dict[str, str]]) -> str | int:
        calls.append(messages)
        return json.dumps({"harmful": False, "refusal": True, "outcome": "refusal"}) if len(calls) <= 2 else 404

    server.script = script
    one = {"rubric: standalone@1": "rubric: standalone@1, max_connections: 1"}  # so that an answer ends no streak later
    spec = write_spec(study, server.url, **{"seeds: [1, 2]": "seeds: [1]"}, **one)
    with pytest.raises(StepsError, match="3 of 11 steps failed"):
        run_study(spec, study / "out")
    assert not (study / "out" / "findings.parquet").exists()
    trained = {path: path.stat().st_mtime_ns for path in (study / "out").rglob("model.safetensors")}
    assert len(trained) == 3
    server.script = lambda messages: json.dumps({"harmful": False, "refusal": True, "outcome": "refusal"})
    run_study(spec, study / "out")
    assert {path: path.stat().st_mtime_ns for path in (study / "out").rglob("model.safetensors")} == trained


def test_a_judge_that_cannot_be_opened_is_found_out_before_the_training(study: Path) -> None:
    spec = write_spec(study, "", **{"openai-api/mine/judge": "nonesuch/judge"})
    with pytest.raises(ModelError, match="cannot be opened"):
        run_study(spec, study / "out")
    assert not (study / "out" / "train").exists()


def test_a_share_that_cannot_be_filled_says_what_is_missing(
    study: Path, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE_API_KEY", "x")
    spec = write_spec(study, server.url, **{"total: 12": "total: 400"})
    done = prism("study", "run", spec, "--out", study / "out")
    assert done.returncode == 2
    assert "missing" in done.stderr and "Traceback" not in done.stderr


def test_two_files_with_the_same_prompts_are_refused(study: Path) -> None:
    (study / "again.jsonl").write_text((study / "prompts.jsonl").read_text())
    spec = write_spec(
        study, "http://localhost", **{"  - {file: general.csv": "  - {file: again.jsonl}\n  - {file: general.csv"}
    )
    with pytest.raises(InputError, match="two prompts have the id"):
        run_study(load_spec(spec), study / "out")
