"""Pairs from real seeds, on a server that fails, with a process that is killed, and asked again where calls failed."""

from __future__ import annotations

import json
import os
import random
import signal
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from forked import forks
from prism_command import prism
from scripted_server import Reply, Server

from alignment_prism.domain import Generation, PairKind, Prompt
from alignment_prism.io import read_records
from alignment_prism.preferences import read_pairs
from alignment_prism.preferences.ranking import PAIR
from alignment_prism.preferences.xray import xray
from alignment_prism.scoring.judge_prompts import parse_rendered
from alignment_prism.studies.synthesis.run import Build, run_build

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
