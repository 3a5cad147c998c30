"""`prism align`: help with examples, settings checked before anything is loaded, a training from a file of pairs."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from alignment_prism.cli.align import command
from alignment_prism.domain import InputError


def _run(*arguments: str) -> Any:
    return CliRunner().invoke(command, list(arguments), catch_exceptions=True)


def test_help_shows_examples_and_imports_nothing_heavy() -> None:
    result = _run("--help")
    assert result.exit_code == 0
    for part in ("Examples:", "--method dpo_sft", "--show-config", "Ctrl-C", "accelerate launch"):
        assert part in result.output
    code = (
        "import sys; from click.testing import CliRunner; from alignment_prism.cli.align import command;"
        "CliRunner().invoke(command, ['--help']);"
        "print([name for name in ('torch', 'trl', 'transformers', 'datasets', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_preset_is_printed_with_its_comments() -> None:
    shown = _run("--show-config", "nano")
    assert shown.exit_code == 0 and "# larger stays closer" in shown.output


@pytest.mark.parametrize(
    ("name", "kind", "section", "expected"),
    [
        ("fsdp2", "FSDP", "fsdp_config", {"fsdp_version": 2, "fsdp_state_dict_type": "FULL_STATE_DICT"}),
        ("deepspeed", "DEEPSPEED", "deepspeed_config", {"zero_stage": 2, "gradient_accumulation_steps": "auto"}),
    ],
)
def test_accelerate_accepts_the_launch_settings_that_ship(
    name: str, kind: str, section: str, expected: dict[str, object]
) -> None:
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    path = _run("--launch-config", name).output.strip()
    settings = load_config_from_file(path)  # an unknown key is an error of it
    assert settings.distributed_type == kind and settings.mixed_precision == "bf16"
    assert expected.items() <= getattr(settings, section).items()
    found, *_ = _validate_launch_command(launch_command_parser().parse_args(["--config_file", path, "x.py"]))
    assert (found.use_fsdp, found.use_deepspeed) == (kind == "FSDP", kind == "DEEPSPEED")
    assert found.mixed_precision == "bf16" and found.num_processes == 8
    if name == "deepspeed":
        assert found.zero_stage == 2


def test_methods_are_listed_with_what_their_settings_do() -> None:
    shown = _run("--methods")
    assert shown.exit_code == 0
    assert "\ndpo_sft: DPO(SFT), fine-tune on the chosen replies, then DPO from there\n  sft: learn" in shown.output
    assert "    ipo.tau=0.1: The margin that is aimed at is 1 / (2 tau) nats a token" in shown.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "ppo"], "unknown method 'ppo'"),
        (["--method", "sft", "--engine", "torchtune"], "unknown engine 'torchtune'"),
        (["--method", "sft", "--set", "sft.epoch=2"], "unknown key 'sft.epoch'"),
        (["--method", "sft", "--set", "nonsense"], "is not KEY=VALUE"),
        (["--method", "sft", "--config", "absent.yaml"], "no such preset"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_read(arguments: list[str], message: str) -> None:
    result = _run("--base", "nowhere", "--pairs", "nothing", "--out", "none", *arguments)
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)


def test_a_file_of_pairs_is_trained_on(tmp_path: Path) -> None:
    path = Path(__file__).parents[1] / "training" / "conftest.py"
    spec = importlib.util.spec_from_file_location("tiny_models", path)
    assert spec is not None and spec.loader is not None
    tiny = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tiny)
    base = tiny.save_tiny_model(tmp_path / "base")
    rows = [
        {"prompt": pair.messages[0].content, "chosen": pair.chosen, "rejected": pair.rejected, "language": "en"}
        for pair in tiny.make_pairs(16)
    ]
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    result = _run(
        *("--method", "dpo_ift", "--base", str(base), "--pairs", str(pairs), "--out", str(tmp_path / "run")),
        *("--config", "micro", "--set", "dpo_ift.learning_rate=5e-5", "--lora", "--engine", "transformers"),
    )
    assert result.exception is None, result.exception
    assert f"model: {tmp_path / 'run' / 'model'}" in result.output
    assert "engine: transformers" in result.output
    assert json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))["engine"] == "transformers"
    settings = (tmp_path / "run" / "config.yaml").read_text(encoding="utf-8")
    assert "5.0e-05" in settings and "rank: 32" in settings
