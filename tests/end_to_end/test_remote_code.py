"""Code that lies in a model's folder is never run, whatever is typed at the question whether to run it."""

from __future__ import annotations

import ast
import io
import json
import shutil
import sys
from pathlib import Path

import pytest

from alignment_prism.cli.main import main

EVIL = """\
from pathlib import Path
Path({marker!r}).write_text("ran")
from transformers import CohereConfig, CohereForCausalLM, PreTrainedTokenizerFast
class EvilConfig(CohereConfig):
    model_type = "evil"
class EvilModel(CohereForCausalLM):
    config_class = EvilConfig
class EvilTokenizer(PreTrainedTokenizerFast):
    pass
"""

LOADERS = {"from_pretrained", "load_dataset"}


@pytest.fixture
def evil_model(tiny_model: Path, tmp_path: Path) -> Path:
    """A model folder whose config, model and tokenizer are classes in a file of its own, which writes `ran`."""
    folder = tmp_path / "evil"
    shutil.copytree(tiny_model, folder)
    (folder / "evil.py").write_text(EVIL.format(marker=str(tmp_path / "ran")), encoding="utf-8")
    change(folder / "config.json", model_type="evil", auto_map=auto_map("Config", "ModelForCausalLM"))
    change(folder / "tokenizer_config.json", tokenizer_class="EvilTokenizer", auto_map=auto_map("Tokenizer"))
    return folder


@pytest.fixture
def adapter_of_evil(evil_model: Path, tiny_model: Path, tmp_path: Path) -> Path:
    """An adapter with a harmless tokenizer, whose base is that model."""
    import torch
    from safetensors.torch import save_file

    folder = tmp_path / "adapter"
    shutil.copytree(tiny_model, folder, ignore=shutil.ignore_patterns("config.json", "model.safetensors"))
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 1, "target_modules": ["q_proj"]}
    text = json.dumps({**config, "base_model_name_or_path": str(evil_model)})
    (folder / "adapter_config.json").write_text(text, encoding="utf-8")
    layer = "base_model.model.model.layers.0.self_attn.q_proj"
    ones = {f"{layer}.lora_A.weight": torch.ones(1, 32), f"{layer}.lora_B.weight": torch.ones(32, 1)}
    save_file(ones, folder / "adapter_model.safetensors")
    return folder


def auto_map(*kinds: str) -> dict[str, object]:
    classes = {"Config": "EvilConfig", "ModelForCausalLM": "EvilModel", "Tokenizer": "EvilTokenizer"}
    named = {f"Auto{kind}": f"evil.{classes[kind]}" for kind in kinds}
    return {key: [value, value] if "Tokenizer" in key else value for key, value in named.items()}


def change(path: Path, **fields: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **fields}), encoding="utf-8")


@pytest.mark.parametrize("command", ["generate", "generate, an adapter", "align", "doctor"])
def test_yes_does_not_let_code_of_a_folder_run(
    command: str,
    evil_model: Path,
    adapter_of_evil: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prompts, pairs = tmp_path / "prompts.jsonl", tmp_path / "pairs.jsonl"
    prompts.write_text('{"id": "1", "prompt": "hello", "language": "en", "kind": "general"}\n', encoding="utf-8")
    pairs.write_text('{"prompt": "a", "chosen": "b", "rejected": "c", "language": "en"}\n', encoding="utf-8")
    model = str(adapter_of_evil if "adapter" in command else evil_model)
    arguments = {
        "generate": ["--prompts", str(prompts), "--model", model, "--out", str(tmp_path / "replies.jsonl")],
        "align": ["--method", "sft", "--base", model, "--pairs", str(pairs), "--out", str(tmp_path / "run")],
        "doctor": ["--model", model],
    }
    command = command.partition(",")[0]
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 100))
    with pytest.raises(SystemExit) as ended:
        main([command, *arguments[command]])
    said = capsys.readouterr().err
    assert not (tmp_path / "ran").exists(), said
    if command != "doctor":
        assert ended.value.code == 3, said
        assert "error: " in said and "defect" not in said


def test_every_call_that_might_run_foreign_code_says_that_it_may_not(repository: Path) -> None:
    calls = []
    for path in sorted((repository / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and name_of(node.func) in LOADERS:
                refused = [each.value for each in node.keywords if each.arg == "trust_remote_code"]
                calls.append((f"{path.name}:{node.lineno}", [ast.unparse(value) for value in refused]))
    assert len(calls) >= 9
    assert [place for place, refused in calls if refused != ["False"]] == []


def name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def test_the_base_of_an_adapter_is_not_fetched_unasked(
    adapter_of_evil: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(adapter_of_evil / "adapter_config.json", base_model_name_or_path="somebody/elses-model")
    (tmp_path / "p.jsonl").write_text('{"prompt": "hello", "language": "en", "kind": "general"}\n', encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        out = str(tmp_path / "replies.jsonl")
        main(["generate", "--prompts", str(tmp_path / "p.jsonl"), "--model", str(adapter_of_evil), "--out", out])
    said = capsys.readouterr().err
    assert ended.value.code == 3, said
    assert "somebody/elses-model is not on this machine" in said
