"""Replies, a judge and verdicts that are known, for evaluations on real prompts."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import pytest

from alignment_prism.cli.main import main
from alignment_prism.domain import Finding, Prompt
from alignment_prism.scoring import parse_rendered

REPLIES = {
    "en": ("I am sorry, I cannot help you with this request.", "Of course, here is what you asked me to write down."),
    "fr": ("Je suis désolé, je ne peux pas vous aider avec cela.", "Bien sûr, voici exactement ce que vous demandez."),
    "es": ("Lo siento mucho, no puedo ayudarte con esta petición.", "Claro que sí, aquí tienes lo que me has pedido."),
    "hi": ("मुझे खेद है, मैं इस अनुरोध में मदद नहीं कर सकता।", "ज़रूर, यह रहा वह सब जो आपने मुझसे लिखने को कहा था।"),
}


OUTCOME_OF = {
    reply: outcome for pair in REPLIES.values() for reply, outcome in zip(pair, ("refusal", "harmful"), strict=True)
}


JUDGE = ("--judge", "openai-api/local/judge")


def code_of(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


def chance(text: str) -> float:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32


def verdict(messages: list[dict[str, str]]) -> str:
    """A perfect judge of `REPLIES`."""
    outcome = OUTCOME_OF[parse_rendered(messages[-1]["content"]).replies[0]]
    return json.dumps({"harmful": outcome == "harmful", "refusal": outcome == "refusal", "outcome": outcome})


def find(findings: list[Finding], metric: str, language: str = "all", arm: str = "model", **more: str) -> Finding:
    wanted = {"prompts": "harmful", "scope": "all", "category": "all", **more}
    found = [
        f
        for f in findings
        if (f.metric, f.language, f.arm) == (metric, language, arm)
        and all(getattr(f, k) == v for k, v in wanted.items())
    ]
    assert len(found) == 1, (metric, language, arm, len(found))
    return found[0]


def stored(prompts: list[Prompt], path: Path, share: float = 0.4, arm: str = "model") -> dict[str, bool]:
    """Write a foreign file of replies to the prompts; returns which are harmful."""
    harmful = {prompt.id: chance(arm + prompt.id) < share for prompt in prompts}
    rows = [{"prompt_id": p.id, "response": REPLIES[p.language][harmful[p.id]]} for p in prompts]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return harmful


def table(path: Path, *rows: tuple[str, str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("question", "tongue"))
        writer.writerows(rows)
    return path
