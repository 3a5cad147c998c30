"""Ctrl-C at the end of a training stops the whole study, which then goes on to the same findings."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from alignment_prism.cli.main import main
from alignment_prism.training import stage

pytestmark = pytest.mark.slow

SPEC = """\
name: stopped
base: {base}
pairs: {{safety: [safety.jsonl], general: [general.jsonl]}}
mixture: {{total: 8}}
training: {{preset: micro, training: {{batch_size: 4}}}}
arms:
  - {{name: first, method: sft, share: 0.5}}
  - {{name: second, method: sft_random, share: 0.5}}
prompts: [{{file: {prompts}}}]
generation: {{max_tokens: 4}}
judge: null
"""


def code_of(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def test_ctrl_c_while_a_model_is_saved_stops_the_study(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts, spec = tmp_path / "prompts.jsonl", tmp_path / "spec.yaml"
    for kind in ("safety", "general"):
        rows = [{"prompt": f"{kind} {n}", "chosen": f"b {n}", "rejected": f"c {n}", "language": "en"} for n in range(8)]
        text = "".join(json.dumps({**row, "kind": kind}) + "\n" for row in rows)
        (tmp_path / f"{kind}.jsonl").write_text(text, encoding="utf-8")
    row = {"id": "p", "prompt": "hello", "language": "en", "kind": "general"}
    prompts.write_text(json.dumps(row) + "\n", encoding="utf-8")
    spec.write_text(SPEC.format(base=tiny_model, prompts=prompts.name), encoding="utf-8")
    saved: list[Path] = []

    def save(*arguments: Any, **named: Any) -> None:
        saved.append(arguments[0] if arguments else Path())
        if len(saved) == 1:
            signal.raise_signal(signal.SIGINT)
        real(*arguments, **named)

    real = stage.save_model
    monkeypatch.setattr(stage, "save_model", save)
    out = tmp_path / "out"
    assert code_of("study", "run", spec, "--jobs", 1, "--out", out) == 130
    said = capsys.readouterr().err
    assert "run the same command again" in said and len(saved) == 1, said  # the second arm was not begun
    assert not (out / "generations.parquet").exists()
    assert code_of("study", "run", spec, "--jobs", 1, "--out", out) == 0, capsys.readouterr().err
    assert (out / "generations.parquet").exists()
    assert len(list((out / "train").glob("*/model/model.safetensors"))) == 2
