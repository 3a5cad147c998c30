"""Pairs from seeds: offline in the lab, and on real seeds with a server that fails and a process that is killed."""

from __future__ import annotations

import json
import os
import random
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from forked import forks
from prism_command import prism
from scripted_server import Reply, Server

from alignment_prism.domain import Generation, InputError, Pair, PairKind, Prompt, PromptKind, user
from alignment_prism.io import read_records, write_records
from alignment_prism.nano import world
from alignment_prism.preferences import read_pairs
from alignment_prism.preferences.ranking import PAIR
from alignment_prism.preferences.xray import xray
from alignment_prism.prompts.overlap import PromptIndex
from alignment_prism.scoring.judge_prompts import parse_rendered
from alignment_prism.store.names import PAIRS
from alignment_prism.studies import StudySpec, build_plan, load_sources, run_study
from alignment_prism.studies.synthesis.loading import load_build
from alignment_prism.studies.synthesis.plan import load_build_sources
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
    notes = load_build_sources(load_build(tmp_path / "wrong.yaml")).notes
    assert any("6 of 24 prompts are called Russian (ru)" in note for note in notes)


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


SERVED = """
name: real
seeds: {{prompts: [{{file: seeds.jsonl}}], per_language: {seeds}}}
rephrase: {{model: openai-api/lab/writer, base_url: "{url}", per_seed: 2, retries: 8}}
complete:
  - {{name: own, model: openai-api/lab/small, base_url: "{url}", samples: 2, temperature: 1, retries: 8}}
  - {{name: revised, model: openai-api/lab/small, base_url: "{url}", way: revise, of: own, retries: 8}}
rank: {{judges: [{{model: openai-api/lab/judge, base_url: "{url}", retries: 8}}], couples: 2, per_prompt: 2}}
"""

WORDS = {
    "en": ["How might somebody", "Could a person", "Explain whether people"],
    "fr": ["Comment quelqu'un", "Est-ce que l'on", "Explique si les gens"],
    "es": ["¿Cómo podría alguien", "¿Acaso una persona", "Explica si la gente"],
    "hi": ["कोई व्यक्ति कैसे", "क्या लोग कभी", "समझाइए कि लोग"],
}


def answer(messages: list[dict[str, str]]) -> str:
    """What the three models say: rephrasings, replies with critiques and revisions, verdicts by the order shown."""
    system = messages[0]["content"] if messages[0]["role"] == "system" else ""
    text = messages[-1]["content"]
    if "Rephrase this prompt" in system:
        code = next(c for c in WORDS if {"en": "English", "fr": "French", "es": "Spanish", "hi": "Hindi"}[c] in system)
        words = text.split()
        return "\n".join(f"{begin} {' '.join(words[::-1])}" for begin in WORDS[code])
    if "You compare two replies" in system:
        case = parse_rendered(text)
        better = "A" if case.replies[0].startswith("better") else "B" if case.replies[1].startswith("better") else "tie"
        return json.dumps({"case": case.tag, "winner": better})
    if "Look at your last reply" in text:
        return "It could be kinder."
    if "Now write the reply again" in text:
        return f"better {abs(hash(messages[0]['content'])) % 10**6}"
    return f"plain {random.random()}"


@pytest.fixture(scope="module")
def real_seeds(realdata: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real Aya prompts of four languages, of a middle length."""
    folder = tmp_path_factory.mktemp("real")
    rows = [
        json.loads(line)
        for line in (realdata / "aya_redteaming_partial" / "aya_partial_merged.jsonl").read_text("utf-8").splitlines()
    ]
    kept = [row for row in rows if 40 < len(row["prompt"]) < 120 and "\n" not in row["prompt"].strip()]
    some = [row for name in ("English", "French", "Spanish", "Hindi") for row in
            [row for row in kept if row["language"] == name][:30]]  # fmt: skip
    (folder / "seeds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    return folder


@pytest.mark.slow
def test_a_killed_build_on_a_server_that_fails_loses_and_doubles_no_row(real_seeds: Path) -> None:
    """Three of ten requests fail (an error, a dropped line, half a body); the process is killed twice on the way."""
    server, lot = Server(), random.Random(7)

    def script(messages: list[dict[str, str]]) -> str | int | Reply:
        if lot.random() < 0.3:
            return lot.choice([500, 503, Reply("x", fault="drop"), Reply("x", fault="cut")])
        return answer(messages)

    server.script = script
    (real_seeds / "real.yaml").write_text(SERVED.format(url=server.url, seeds=1))
    arguments = ("preferences", "build", "real.yaml", "--out", "out")
    env = {**os.environ, "LAB_API_KEY": "none"}
    try:
        with forks(
            "quick_retries", "alignment_prism.studies.synthesis.run", "alignment_prism.generation.backends.inspect"
        ) as start:
            for requests in (4, 40):
                out, err = real_seeds / "stdout", real_seeds / "stderr"
                process = start.start(arguments, folder=real_seeds, env=env, out=out, err=err)
                server.wait_for(requests)
                process.send_signal(signal.SIGKILL)
                assert process.wait() == -signal.SIGKILL
            done = start.run(*arguments, folder=real_seeds, env=env)
    finally:
        server.close()
    assert done.returncode == 0, done.stderr
    out = real_seeds / "out"
    prompts = {prompt.id for prompt in read_records(next(out.glob("rephrase/*/prompts.parquet")), Prompt)}
    rows = pq.read_table(out / "rephrasings.parquet").to_pylist()
    assert len({(row["seed_id"], row["order"]) for row in rows}) == len(rows) == 4 * 2
    assert len(prompts) == 4 + sum(row["status"] == "kept" for row in rows) > 8
    for folder in out.glob("complete/*"):
        replies = read_records(folder / "generations.parquet", Generation)
        wanted = {(prompt, sample) for prompt in prompts for sample in (0, 1)}
        assert {(one.prompt_id, one.sample) for one in replies} == wanted and len(replies) == len(wanted)
        assert all(one.reply and not one.error for one in replies)
    decisions = pq.read_table(out / "decisions.parquet").to_pylist()
    keys = [(row["prompt_id"], row["a"], row["b"]) for row in decisions]
    assert len(set(keys)) == len(keys) == 2 * len(prompts)  # two plain replies against the revised one
    pairs = Build(out).pairs()
    assert len({pair.id for pair in pairs}) == len(pairs) == sum(row["status"] == PAIR for row in decisions) > 0
    assert all(pair.chosen.startswith("better") and pair.rejected.startswith("plain") for pair in pairs)
    assert not list(out.rglob("*.part"))


REPAIRED = """
name: repaired
seeds: {{prompts: [{{file: pairs.jsonl}}], per_language: null, threshold: 1}}
complete:
  - {{name: own, model: openai-api/lab/small, base_url: "{url}", temperature: 1, retries: 8}}
  - {{name: revised, model: openai-api/lab/small, base_url: "{url}", way: revise, of: own, retries: 8}}
  - {{name: careful, model: openai-api/lab/small, base_url: "{url}", way: safe, retries: 8}}
rank: {{judges: [{{model: openai-api/lab/judge, base_url: "{url}", retries: 8}}], couples: 3}}
"""


@pytest.mark.slow
def test_real_pairs_that_length_tells_are_repaired_by_a_server_that_fails(realdata: Path, tmp_path: Path) -> None:
    """RTP-LX: imported, flagged, not to be matched, and built anew from replies of one model, three requests in ten
    failing; its own revision is preferred to its reply, and one that helps safely to both."""
    rows = []
    for code in ("ES", "FR"):
        file = realdata / "rtp_lx" / f"acs_results_benign_{code}.json"
        for line in file.read_text(encoding="utf-8-sig").splitlines()[:40]:
            row = json.loads(line)
            sides = row["BenignCompletion"], row["OriginalEntry"]["Completion"]
            if all(side.strip() for side in sides):
                rows.append({"prompt": row["OriginalEntry"]["Prompt"], "chosen": sides[0], "rejected": sides[1],
                             "language": code.lower()})  # fmt: skip
    (tmp_path / "rtp.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = prism("preferences", "import", "rtp.jsonl", "--kind", "safety", "--out", "pairs.jsonl", folder=tmp_path)
    assert told.returncode == 0, told.stderr
    server, lot = Server(), random.Random(5)

    def script(messages: list[dict[str, str]]) -> str | int | Reply:
        if lot.random() < 0.3:
            return lot.choice([500, 503, Reply("x", fault="drop"), Reply("x", fault="cut")])
        if messages[0]["role"] == "system" and messages[0]["content"].startswith("Help the user as far as"):
            return f"better still {lot.random()}"
        if "You compare two replies" in messages[0]["content"]:
            case = parse_rendered(messages[-1]["content"])
            rank = [("plain", "better", "better still").index(reply.split(" 0.")[0].rstrip("0123456789 ") or "plain")
                    for reply in case.replies]  # fmt: skip
            return json.dumps({"case": case.tag, "winner": "A" if rank[0] > rank[1] else "B"})
        return answer(messages)

    server.script = script
    (tmp_path / "repair.yaml").write_text(REPAIRED.format(url=server.url))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_API_KEY", "none")
        try:
            built = run_build(tmp_path / "repair.yaml", tmp_path / "out")
        finally:
            server.close()
    before, pairs = read_pairs(tmp_path / "pairs.jsonl"), built.pairs()
    asked = {(pair.language, pair.messages) for pair in before}
    assert {(pair.language, pair.messages) for pair in pairs} == asked and len(pairs) == len(asked)
    kinds = Counter(
        (pair.chosen.split(" 0.")[0].rstrip("0123456789 "), pair.metadata["rejected_side"]) for pair in pairs
    )
    assert {chosen for chosen, _ in kinds} <= {"better", "better still"}
    assert {pair.metadata["chosen_model"] for pair in pairs} == {"openai-api/lab/small"}
    assert {pair.kind for pair in pairs} == {PairKind.SAFETY}
    flagged, mended = (xray(some, cues=["length", "generator"]) for some in (before, pairs))
    assert any("number of characters" in flag for flag in flagged.flags)
    assert not any("which model wrote it" in flag for flag in mended.flags)  # both sides are of one model


def test_what_failed_is_asked_again_and_what_was_made_from_it_is_made_anew(tmp_path: Path) -> None:
    """The rephrasings of one seed fail; asked for again, they are answered and ranked as the others are."""
    server = Server()
    broken = "Why do the keepers of lighthouses never sleep in winter storms?"
    texts = [broken, "How is salt brought over the mountains by mule and sledge?"]
    rows = [{"prompt": text, "language": "en", "kind": "harmful"} for text in texts]
    (tmp_path / "seeds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = SERVED.format(url=server.url, seeds=2).replace("retries: 8", "retries: 0")
    (tmp_path / "real.yaml").write_text(text)

    def script(messages: list[dict[str, str]]) -> str | int:
        return 500 if messages[-1]["content"] == broken and messages[0]["role"] == "system" else answer(messages)

    server.script = script
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_API_KEY", "none")
        try:
            first = run_build(tmp_path / "real.yaml", tmp_path / "out")
            before = first.summary
            (given,) = before["rephrasings"].values()
            assert (given["given"], given["seeds_without"]) == (3, 1)  # the row of the failure is there
            server.script = answer
            asked = len(server.requests)
            again = run_build(tmp_path / "real.yaml", tmp_path / "out", retry=True)
        finally:
            server.close()
    assert again.summary["rephrasings"]["en"]["kept"] == 4 and again.summary["couples"] > before["couples"]
    new = [messages for messages in server.requests[asked:] if "Rephrase" in messages[0]["content"]]
    assert len(new) == 1  # nothing that was answered is asked again


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
