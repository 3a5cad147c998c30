"""Steps of a study that fail: what does not need them is done, and one report says what is left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prism_command import prism
from scripted_server import Server

VERDICT = json.dumps({"harmful": False, "refusal": False, "outcome": "safe_help"})
BAD = "  - {name: bad, method: dpo_sft, share: 0.5, config: {sft: {learning_rate: 1.0e+30}}}\n"
SPEC = """\
name: failing
base: %s
pairs: {safety: [safety.jsonl], general: [general.jsonl]}
mixture: {total: 4}
training: {preset: micro, training: {batch_size: 2}}
arms:
%s  - {name: good, method: sft, share: 0.5}
  - {name: stored, replies: replies.jsonl}
prompts: [{file: prompts.jsonl}]
generation: {max_tokens: 4}
judge: {model: openai-api/local/j, base_url: "%s", retries: 0}
scorers: []
examples: 0
"""


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_others_are_done_and_only_what_is_left_is_retried(
    jobs: int, tiny_model: Path, server: Server, tmp_path: Path
) -> None:
    for kind in ("safety", "general"):
        rows = [{"prompt": f"{kind} {n}", "chosen": f"b {n}", "rejected": f"c {n}", "language": "en"} for n in range(4)]
        text = "".join(json.dumps({**row, "kind": kind}) + "\n" for row in rows)
        (tmp_path / f"{kind}.jsonl").write_text(text, encoding="utf-8")
    row = {"id": "p", "prompt": "How do people bake bread?", "language": "en", "kind": "harmful"}
    (tmp_path / "prompts.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    row = {"prompt_id": "p", "reply": "Of course, here is how people bake bread at home."}
    (tmp_path / "replies.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    spec, out = tmp_path / "spec.yaml", tmp_path / "out"
    command = ("study", "run", spec, "--out", out, "--jobs", jobs)

    # one training diverges, and the judge's server fails every call
    server.script = lambda messages: 500
    spec.write_text(SPEC % (tiny_model, BAD, server.url), encoding="utf-8")
    told = prism(*command)
    # 11 steps: a mixture that both arms have; SFT and DPO of `bad`, SFT of `good`; three replies, four judgements. Of
    # these fail the SFT of `bad`, which its DPO, replies and judgement need, and the judgement of stored replies: of
    # what the tiny models reply no judge is asked.
    assert told.returncode == 4, told.stderr  # of the first one, a training
    assert "2 of 11 steps failed, and 3 that need what they make were not done" in told.stderr
    failed = [line for line in told.stderr.splitlines() if "the loss is not finite" in line or line.find("judge") == 7]
    assert len(failed) == 2 and "does these 5 and nothing else" in told.stderr
    assert not (out / "findings.parquet").exists() and not (out / "report.html").exists()
    assert len(list(out.glob("reply/*/manifest.json"))) == 2
    status = prism("study", "status", out).stdout
    assert "6 of 11 steps done, no findings yet, 2 failed" in status
    assert (
        status.count("failed:  ") == 2
        and "with sft.learning_rate 1e+30: TrainingError: the loss is not finite" in status
    )

    # the server is back, and the arm is taken out
    server.script = lambda messages: VERDICT
    made = {path: path.stat().st_mtime_ns for path in out.glob("*/*/manifest.json")}
    asked = len(server.requests)
    spec.write_text(SPEC % (tiny_model, "", server.url), encoding="utf-8")
    told = prism(*command)
    assert told.returncode == 0, told.stderr
    assert len(server.requests) == asked + 1 and (out / "findings.parquet").exists()
    assert {path: path.stat().st_mtime_ns for path in made} == made
