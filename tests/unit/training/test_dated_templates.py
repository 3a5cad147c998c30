"""Chat templates that write today's date: no result depends on the day on which it was computed."""

from __future__ import annotations

import datetime
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alignment_prism.domain import Pair
from alignment_prism.models.chat_templates import prompt_ids
from alignment_prism.store import read_manifest
from alignment_prism.training import TrainingInterrupted, load_config, make_examples
from alignment_prism.training.objectives import both
from alignment_prism.training.train import train_method

DATED = (  # as Llama 3.1 writes it
    "{{ bos_token }}{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    "<|system|>{{ date_string }}<|end|>{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}<|bot|>{% else %}<|{{ message['role'] }}|>{% endif %}"
    "{{ message['content'] }}<|end|>{% endfor %}{% if add_generation_prompt %}<|bot|>{% endif %}"
)


@pytest.fixture
def dated(tiny_model: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "dated"
    shutil.copytree(tiny_model, folder)
    (folder / "chat_template.jinja").write_text(DATED, encoding="utf-8")
    return folder


@pytest.fixture
def on_day(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets the clock that transformers shows to templates to a day of May 2031."""

    def set_clock(day: int) -> None:
        class Clock(datetime.datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return datetime.datetime(2031, 5, day, tzinfo=tz)

        monkeypatch.setattr("transformers.utils.chat_template_utils.datetime", Clock)

    return set_clock


def _train(base: Path, pairs: list[Pair], out: Path, **options: Any) -> Any:
    config = load_config("micro", {"training.precision": "fp32"})
    return train_method("dpo_sft", base=base, pairs=pairs, out=out, config=config, **options)


def test_a_training_over_several_days_is_that_of_one_day(
    dated: Path, pairs: list[Pair], tmp_path: Path, on_day: Callable[[int], None]
) -> None:
    def stop_in_dpo(step: int, total: int, message: str) -> None:
        if step == 2 and ", dpo" in message:
            signal.raise_signal(signal.SIGINT)

    on_day(1)
    with pytest.raises(TrainingInterrupted):
        _train(dated, pairs[:24], tmp_path / "parts", progress=stop_in_dpo)
    on_day(2)
    parts = _train(dated, pairs[:24], tmp_path / "parts")
    on_day(3)
    whole = _train(dated, pairs[:24], tmp_path / "whole")
    assert whole.weights == parts.weights
    keys = [json.loads((run.folder / "result.json").read_text(encoding="utf-8"))["key"] for run in (whole, parts)]
    assert keys[0] == keys[1]
    assert read_manifest(whole.folder).spec["template_date"] == "2025-01-01"
    assert any("it is 2025-01-01 in every prompt" in notice for notice in whole.notices)


def test_replies_are_generated_after_the_prompts_that_were_trained(
    dated: Path, pairs: list[Pair], on_day: Callable[[int], None]
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(dated)
    on_day(1)
    examples = make_examples(pairs, [both(pair, 0) for pair in pairs], tokenizer, max_length=200).examples
    on_day(2)
    asked = prompt_ids(tokenizer, [pair.messages for pair in pairs], model="dated")
    assert [list(example.prompt) for example in examples] == asked
    assert "01 Jan 2025" in tokenizer.decode(asked[0])


def test_a_template_without_a_date_is_left_alone(tiny_model: Path, pairs: list[Pair], tmp_path: Path) -> None:
    run = _train(tiny_model, pairs[:8], tmp_path / "run")
    assert "template_date" not in read_manifest(run.folder).spec
    assert not any("date" in notice for notice in run.notices)
