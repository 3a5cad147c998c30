"""A study killed by SIGKILL at random moments, and gone on with: the same findings, replies and weights to the byte."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from alignment_prism.domain import Pair, PromptKind, user
from alignment_prism.domain.records import Prompt
from alignment_prism.io import write_records

KILLS = int(os.environ.get("PRISM_KILLS", "20"))
SPEC = """\
name: killed
base: {base}
pairs: {{safety: [safety.parquet], general: [general.parquet]}}
mixture: {{total: 4}}
training: {{preset: micro, training: {{batch_size: 2, save_every: 1}}}}
arms: [{{name: sft, method: sft, share: 0.5}}]
prompts: [{{file: prompts.parquet}}]
generation: {{max_tokens: 4}}
judge: null
scorers: [reply_length]
examples: 0
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "longest"), [("spec.yaml", 0.4), ("micro", 0.12)], ids=["a tiny one with checkpoints", "the preset micro"]
)
def test_whenever_a_study_is_killed_the_same_command_goes_on_to_the_same(
    spec: str, longest: float, tiny_model: Path, repository: Path, tmp_path: Path
) -> None:
    for kind in ("safety", "general"):
        pairs = [Pair(f"{kind}{n}", user(f"{kind} {n}"), f"b {n}", f"c {n}", "en", kind) for n in range(4)]
        write_records(tmp_path / f"{kind}.parquet", pairs)
    prompts = [Prompt(f"p{n}", user(f"ask {n}"), "en", PromptKind.HARMFUL) for n in range(2)]
    write_records(tmp_path / "prompts.parquet", prompts)
    (tmp_path / "spec.yaml").write_text(SPEC.format(base=tiny_model), encoding="utf-8")
    seed = os.environ.get("PRISM_KILLS_SEED") or str(random.SystemRandom().randrange(10**6))
    print(f"PRISM_KILLS_SEED={seed} kills at the same moments")
    command = [sys.executable, str(repository / "tests/killed.py"), spec, "out", str(KILLS), seed, str(longest)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert set(told["ends"]) == {"the same"}
    kinds = {name.split("/")[0] for name in told["files"]}
    compared = {"compare", "comparisons.parquet"} if spec == "micro" else set()
    assert kinds - {"contrasts.parquet", "transfer.parquet"} == compared | {
        "findings.parquet", "generations.parquet", "scores.parquet", "prompts.parquet", "source", "mix", "train",
        "reply", "score"}  # fmt: skip
