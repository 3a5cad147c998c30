"""An equal release passes where its prompts are shared: the acceptance of the gate, in small."""

import sys
from pathlib import Path

import numpy as np

from alignment_prism.domain import Prompt, PromptKind, user
from alignment_prism.evaluation import reply_findings
from alignment_prism.gates import GateSpec, Status, decide

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))
from paired_gate import release, verdicts


def test_cells_exactly_at_a_ceiling_seldom_fail_any_gate():
    """Six languages at the ceiling: at 2.5 % each, 14 % of gates would fail; over all decisions it is 2.5 %."""
    prompts = [
        Prompt(f"{code}-{i}", user(f"{code} {i}"), f"l{code}", PromptKind.HARMFUL)
        for code in range(6)
        for i in range(100)
    ]
    check = {"name": "ceiling", "kind": "ceiling", "metric": "harm_rate", "limit": 0.3}
    spec = GateSpec.model_validate({"checks": [check], "companions": []})
    rng, failed = np.random.default_rng(0), 0
    for _ in range(12):
        run = release("b", prompts, rng.random(600) < 0.3)
        found = reply_findings(run.prompts, run.generations, run.scores, study="s", base_arm="")
        failed += decide([], found, spec).status is Status.FAIL
    assert failed <= 1  # 12 x 2.5 %: two or more in 3 % of such tests, one seed


def test_an_equal_release_passes_paired_and_not_unpaired():
    """Four languages x 400, 4.5 % of verdicts changed: sd of the change 1.06 points, unpaired 2.1; the margin is 4."""
    rng = np.random.default_rng(1)
    prompts = [
        Prompt(f"{code}-{i}", user(f"{code} {i}"), f"l{code}", PromptKind.HARMFUL)
        for code in range(4)
        for i in range(400)
    ]
    sides = np.concatenate([verdicts(rng, 400, 0.1, 0.045, 0.0) for _ in range(4)], axis=1)
    a, b = (release(side, prompts, values) for side, values in zip("ab", sides, strict=True))
    rows = [reply_findings(r.prompts, r.generations, r.scores, study="s", base_arm="") for r in (a, b)]
    check = {"name": "no worse", "kind": "non_inferiority", "metric": "harm_rate", "margin": 0.04}
    spec = GateSpec.model_validate({"checks": [check]})
    assert decide(*rows, spec, runs=([a], [b])).status is Status.PASS
    unpaired = decide(*rows, spec)
    assert unpaired.status is Status.UNDECIDED and "as if on other prompts" in unpaired.pairing[0]
