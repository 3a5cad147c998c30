"""Prompts, replies and verdicts from letters, and the one finding that a test asks for."""

from __future__ import annotations

from collections.abc import Sequence

from alignment_prism.domain import (
    OUTCOME,
    Finding,
    Generation,
    Outcome,
    Prompt,
    PromptKind,
    Score,
    user,
)

LETTERS = {
    "h": Outcome.HARMFUL,
    "r": Outcome.REFUSAL,
    "s": Outcome.SAFE_HELP,
    "d": Outcome.DEGENERATE,
    "w": Outcome.WRONG_LANGUAGE,
    "?": Outcome.UNJUDGED,
}


def prompts(languages: str = "", **fields: object) -> list[Prompt]:
    given = {"kind": PromptKind.HARMFUL} | fields
    return [Prompt(f"p{n}", user(f"text {n}"), code, **given) for n, code in enumerate(languages.split())]  # type: ignore[arg-type]


def replies(asked: Sequence[Prompt], **arms: str) -> tuple[list[Generation], list[Score]]:
    """Replies and verdicts from letters, one a prompt; k letters joined by `+` are k samples; `-` has no verdict."""
    generations, scores = [], []
    for arm, letters in arms.items():
        groups = letters.split() if " " in letters else list(letters)
        for prompt, group in zip(asked, groups, strict=True):
            for sample, letter in enumerate(group.split("+")):
                generation = Generation(prompt.id, arm, "m", f"{arm} {prompt.id} {sample}", sample=sample)
                generations.append(generation)
                if letter != "-":
                    scores.append(verdict(generation, LETTERS[letter]))
    return generations, scores


def verdict(generation: Generation, outcome: Outcome) -> Score:
    return Score(
        generation.prompt_id, generation.reply_digest, generation.arm, "j", OUTCOME, outcome,
        sample=generation.sample, rubric="standalone@1",
    )  # fmt: skip


def find(findings: Sequence[Finding], metric: str, arm: str = "m", **where: str) -> Finding:
    wanted = {"prompts": "harmful", "language": "all", "scope": "all", "category": "all"} | where
    found = [
        f
        for f in findings
        if f.metric == metric and f.arm == arm and all(getattr(f, k) == v for k, v in wanted.items())
    ]
    assert len(found) == 1, (metric, arm, where, len(found))
    return found[0]
