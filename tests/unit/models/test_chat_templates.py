"""Templates that ask for the date get one date, written as transformers itself writes it."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from alignment_prism.models.chat_templates import TEMPLATE_DATE, template_date, written

CALLS = (
    "\n  {{ messages[0]['content'] }}{% macro today() %}{{ strftime_now('%d %b %Y') }}{% endmacro %} {{ today() }}",
    "{% if strftime_now is defined %}\n{{ strftime_now('%A, %-d. %B %y').upper() }}{% endif %}\n\n x",
    "{% for one in messages %}{% set day = strftime_now('%Y-%m-%d %H:%M') %}{{ day + 'T' }}{% endfor %}",
)
"""In a macro that is called later, guarded and in a filter's place, in a loop."""


@pytest.fixture
def tokenizer(tmp_path: Path) -> Any:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()))


@pytest.mark.parametrize("template", CALLS)
def test_the_date_is_written_as_transformers_writes_that_of_the_clock(
    template: str, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer.chat_template = template
    turns = [{"role": "user", "content": "hello"}]
    found = written(tokenizer, [turns], add_generation_prompt=True)
    assert template_date(tokenizer) == "2025-01-01"

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return TEMPLATE_DATE

    monkeypatch.setattr("transformers.utils.chat_template_utils.datetime", Clock)
    assert found == [tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)]
    assert "2025" in found[0] or "WEDNESDAY, 1. JANUARY 25" in found[0]
