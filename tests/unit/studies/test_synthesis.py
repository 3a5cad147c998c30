"""Pairs from seeds, offline in the lab: what is built, planned, refused, and taken up by a study."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from prism_command import prism

from alignment_prism.domain import InputError, Pair, PairKind, Prompt, PromptKind, user
from alignment_prism.io import read_records, write_records
from alignment_prism.nano import world
from alignment_prism.preferences.ranking import PAIR
from alignment_prism.preferences.xray import xray
from alignment_prism.prompts.overlap import PromptIndex
from alignment_prism.store.names import PAIRS
from alignment_prism.studies import StudySpec, build_plan, load_sources, run_study
from alignment_prism.studies.checks import check_study
from alignment_prism.studies.synthesis.loading import load_build
from alignment_prism.studies.synthesis.run import Build, run_build

SMALL = """
name: small
seeds: {prompts: nano, evaluation: nano, per_language: 2, threshold: 1}
rephrase: {model: nano/teacher, per_seed: 2}
complete:
  - {name: teacher, model: nano/teacher, temperature: 0}
  - {name: own, model: nano, temperature: 0.7, max_tokens: 40, seed: 1}
rank: {judges: [{model: nano/oracle}], outcomes: {model: nano/oracle}, refusal_cap: 1}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A small build of the lab."""
    folder = tmp_path_factory.mktemp("build")
    (folder / "small.yaml").write_text(SMALL)
    return run_build(folder / "small.yaml", folder / "out")


def test_the_lab_builds_pairs_that_say_where_they_came_from(built: Build) -> None:
    pairs, summary = built.pairs(), built.summary
    rephrased = pq.read_table(built.out / "rephrasings.parquet").to_pylist()
    decisions = pq.read_table(built.out / "decisions.parquet").to_pylist()
    assert summary["seeds"]["seeds"] == dict.fromkeys(("ar", "en", "es", "fil", "fr", "hi", "ru", "sr"), 2)
    assert len(rephrased) == 32 and sum(row["status"] == "kept" for row in rephrased) >= 30
    assert {row["status"] for row in rephrased} <= {"kept", "the words of its seed"}  # the lab has few wordings
    assert {row["template"].split("#")[0] for row in rephrased} == {"rephrase@1"}
    assert len(decisions) == sum(summary["status"].values()) and summary["status"][PAIR] == len(pairs) > 20
    assert {row["by"] for row in decisions} == {"judge"}
    seeds = {row["seed_id"] for row in rephrased}
    for pair in pairs:
        about = pair.metadata
        assert about["seed_id"] in seeds and about["judges"] in (["nano/oracle: a"], ["nano/oracle: b"])
        assert {about["chosen_model"], about["rejected_model"]} == {"nano/teacher", "nano"}
    assert {pair.kind for pair in pairs} == {PairKind.SAFETY}
    assert {pair.chosen_harmful for pair in pairs} == {False} and {pair.rejected_harmful for pair in pairs} == {
        True,
        False,
    }
    assert sum(pair.metadata["chosen_model"] == "nano/teacher" for pair in pairs) > 0.8 * len(pairs)


def test_nothing_built_is_near_what_is_evaluated(built: Build) -> None:
    asked = [Prompt(pair.id, pair.messages, pair.language, PromptKind.HARMFUL) for pair in built.pairs()]
    assert not list(PromptIndex(world().evaluation_prompts(), threshold=1.0).matches(asked))
    seeds = {row["seed_id"] for row in pq.read_table(built.out / "rephrasings.parquet").to_pylist()}
    assert built.evaluation() and not seeds & {prompt.id for prompt in built.evaluation()}


def test_what_is_built_is_exported_with_the_licences_that_its_spec_says(tmp_path: Path) -> None:
    spec = SMALL.replace("per_language: 2", "per_language: 1") + "licences: {nano/teacher: teachers-own}\n"
    (tmp_path / "small.yaml").write_text(spec)
    run_build(tmp_path / "small.yaml", tmp_path / "out")
    said = prism("preferences", "export", "out/pairs.parquet", "--name", "Mine", "--out", "mine", folder=tmp_path)
    assert said.returncode == 0, said.stderr
    card = (tmp_path / "mine" / "README.md").read_text()
    assert "| nano/teacher | rephrases, writes | teachers-own |" in card and "| nano | writes | apache-2.0 |" in card
    assert "not known: what tells the sides in" in card  # one seed a language


def test_a_build_that_is_done_does_nothing_and_another_does_not_replace_it(built: Build) -> None:
    times = {path: path.stat().st_mtime_ns for path in built.out.rglob("manifest.json")}
    run_build(built.out.parent / "small.yaml", built.out)
    assert times == {path: path.stat().st_mtime_ns for path in built.out.rglob("manifest.json")}
    other = built.out.parent / "other.yaml"
    other.write_text(SMALL.replace("refusal_cap: 1", "refusal_cap: 0.5"))
    shown = prism("preferences", "build", other, "--out", built.out)
    assert shown.returncode == 5 and "--replace" in shown.stderr
    planned = prism("preferences", "build", other, "--out", built.out, "--plan")
    assert planned.returncode == 0 and "1 of 8 steps to do" in planned.stdout  # the rules alone have changed


def test_a_plan_says_what_will_be_asked_and_costs(tmp_path: Path) -> None:
    text = SMALL.replace("nano/oracle}]", "openai/gpt-4o}]")
    (tmp_path / "priced.yaml").write_text(text)
    shown = prism("preferences", "build", "priced.yaml", "--plan", folder=tmp_path)
    # 16 seeds, 48 prompts with two rephrasings each, 96 comparisons in both orders.
    assert "rephrase by nano/teacher: 1 step, at most 16 calls" in shown.stdout
    assert "rank by openai/gpt-4o: 1 step, at most 96 calls" in shown.stdout and "$0.00 of" not in shown.stdout
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (("temperature: 0}", "temperature: 0, samples: 2}"), "several samples without a temperature"),
        (("name: own", "name: teacher"), "two sides are called 'teacher'"),
        (("name: own,", "name: own, way: revise,"), "of which side"),
        (("per_seed: 2", "per_seed: 2, template: none@1"), "unknown template 'none@1'"),
        (("nano/oracle}]", "nano/oracle, rubric: standalone@2}]"), "standalone"),
        (("per_language: 2", "per_language: 2, prompts: [{file: absent.jsonl}]"), "names a key twice|twice"),
    ],
)
def test_a_spec_that_cannot_work_is_refused_with_its_line(tmp_path: Path, change: tuple[str, str], what: str) -> None:
    (tmp_path / "bad.yaml").write_text(SMALL.replace(*change))
    with pytest.raises(InputError, match=what) as caught:
        load_build(tmp_path / "bad.yaml")
    assert "bad.yaml" in str(caught.value.where)


def test_seeds_in_another_language_than_they_say_are_refused_before_any_call(tmp_path: Path) -> None:
    seeds = [Prompt(f"p{n}", user(f"Could you tell me about number {n}?"), "ru", PromptKind.HARMFUL) for n in range(24)]
    write_records(tmp_path / "seeds.jsonl", seeds, Prompt)
    given = "prompts: [{file: seeds.jsonl}], evaluation: []"
    (tmp_path / "wrong.yaml").write_text(SMALL.replace("prompts: nano, evaluation: nano", given))
    done = prism("preferences", "build", "wrong.yaml", "--out", "out", folder=tmp_path)
    assert done.returncode == 2 and "24 of 24 prompts are called Russian (ru)" in done.stderr
    assert not list(tmp_path.glob("out/*/*"))
    some = [replace(one, messages=user(f"Расскажи мне, пожалуйста, о числе {one.id}")) for one in seeds[:18]]
    write_records(tmp_path / "seeds.jsonl", [*some, *seeds[18:]], Prompt)
    said = "6 of 24 prompts are called Russian (ru)"
    assert said in prism("preferences", "build", "wrong.yaml", "--plan", folder=tmp_path).stderr
    (tmp_path / "study.yaml").write_text(
        "{name: s, training: micro, pairs: {build: wrong.yaml}, arms: [{name: sft, method: sft, share: 0.5}],\n"
        "mixture: {total: 4}, judge: {model: nano/oracle}, generation: {max_tokens: 8}}\n"
    )
    planned = prism("study", "plan", "study.yaml", folder=tmp_path)
    assert planned.returncode == 0 and said in planned.stdout + planned.stderr, planned.stderr


@pytest.mark.usefixtures("no_report")
def test_a_study_starts_from_a_build_and_keeps_it_away_from_its_prompts(built: Build, tmp_path: Path) -> None:
    spec = StudySpec.model_validate(
        {
            "name": "from-build",
            "training": "micro",
            "pairs": {"build": str(built.out.parent / "small.yaml")},
            "mixture": {"total": 12},
            "arms": [{"name": "sft", "method": "sft", "share": 0.5}],
            "prompt_limit": 1,
            "kinds": ["harmful"],
            "generation": {"max_tokens": 8},
            "judge": {"model": "nano/oracle"},
        }
    )
    sources = load_sources(spec)
    assert not sources.safety and sources.build is not None
    assert {prompt.id for prompt in sources.prompts} <= {prompt.id for prompt in sources.build[1].evaluation}
    kinds = [step.kind for step in build_plan(spec, sources).steps]
    assert kinds[:8] == ["seeds", "rephrase", "complete", "complete", "rank", "score", "score", "pairs"]
    assert kinds[8:11] == ["pools", "mix", "train"]
    study = run_study(spec, tmp_path / "study", sources=sources)
    (mixture,) = (study.out / "mix").glob(f"*/{PAIRS}")
    assert Counter(pair.kind for pair in read_records(mixture, Pair)) == {"safety": 6, "general": 6}
    assert study.findings()


def test_a_method_by_harm_flags_wants_a_build_whose_replies_are_judged_alone(tmp_path: Path) -> None:
    for name, outcomes in (("alone", ", outcomes: {model: nano/oracle}"), ("silent", "")):
        (tmp_path / f"{name}.yaml").write_text(SMALL.replace(", outcomes: {model: nano/oracle}", outcomes))
    for name in ("alone", "silent"):
        arms = [{"name": "safe", "method": "safe_dpo", "share": 0.5}]
        content = {"name": "x", "training": "micro", "pairs": {"build": str(tmp_path / f"{name}.yaml")}, "arms": arms}
        spec = StudySpec.model_validate({**content, "judge": {"model": "nano/oracle"}})
        if name == "alone":
            check_study(spec, load_sources(spec))
            continue
        with pytest.raises(InputError, match="safe_dpo on replies that nobody judges alone") as refused:
            check_study(spec, load_sources(spec))
        assert "rank.outcomes" in str(refused.value) and "arm 'safe'" in str(refused.value)


def test_pairs_that_cannot_be_matched_are_written_anew_by_the_model_itself(tmp_path: Path) -> None:
    """Rejected replies said three times over: length tells every pair, the repair by matching has nothing to keep."""
    some = world().pairs()[0][:200]
    flawed = [replace(pair, rejected=" ".join([pair.rejected] * 3)) for pair in some]
    write_records(tmp_path / "pairs.jsonl", flawed, Pair)
    assert xray(flawed, cues=["length"]).separations[-1].flagged
    told = prism("preferences", "repair", "pairs.jsonl", "--by", "length", "--out", "matched.jsonl", folder=tmp_path)
    assert told.returncode == 2 and "on-policy" in told.stderr
    flawed = flawed[:72]  # each is drawn six replies
    write_records(tmp_path / "pairs.jsonl", flawed, Pair)
    shown = prism("preferences", "show", "on-policy", folder=tmp_path)
    (tmp_path / "repair.yaml").write_text(shown.stdout)
    done = prism("preferences", "build", "repair.yaml", "--out", "out", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    pairs, of = Build(tmp_path / "out").pairs(), {(pair.language, pair.messages): pair for pair in flawed}
    assert len(pairs) > len(flawed) / 3  # where six draws are not all of one kind
    for pair in pairs:
        before = of[pair.language, pair.messages]
        assert (pair.kind, pair.scope, pair.categories) == (before.kind, before.scope, before.categories)
        assert pair.metadata["chosen_model"] == pair.metadata["rejected_model"] == "nano"
    ratios = [xray(some, cues=["length"]).languages[-1].length_ratio for some in (flawed, pairs)]
    assert ratios[0] > 5 and ratios[1] < ratios[0] / 2


def test_labels_of_people_are_read_from_a_file(built: Build, tmp_path: Path) -> None:
    from alignment_prism.domain import Comparison, Winner

    row = next(r for r in pq.read_table(built.out / "decisions.parquet").to_pylist() if r["status"] == PAIR)
    loser = Winner.LOSS if row["verdict"] == "a" else Winner.WIN
    label = Comparison(row["prompt_id"], row["a"], row["b"], True, "human:ana", "pairwise@2", loser)
    write_records(tmp_path / "people.jsonl", [label], Comparison)
    spec = SMALL.replace("outcomes: {model: nano/oracle}", "labels: [people.jsonl]")
    (tmp_path / "small.yaml").write_text(spec)
    for kind in ("source", "seeds", "rephrase", "complete", "rank"):  # what does not depend on labels is there already
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out" / kind).symlink_to(built.out / kind)
    (tmp_path / "out" / "plan.json").write_bytes((built.out / "plan.json").read_bytes())
    again = run_build(tmp_path / "small.yaml", tmp_path / "out")
    turned = {r["prompt_id"]: r for r in pq.read_table(again.out / "decisions.parquet").to_pylist()}[row["prompt_id"]]
    assert turned["by"] == "human" and turned["verdict"] != row["verdict"]
