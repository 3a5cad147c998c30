"""Scores by rule: what can be said of a reply without asking anybody.

A new rule is one file with its function and its metrics, and one line in `RULES`; evaluation, gates, reports and the
glossary then have it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from alignment_prism.domain.errors import InputError
from alignment_prism.domain.records import Generation, Prompt, Score
from alignment_prism.scoring.rules.chrf import CHRF
from alignment_prism.scoring.rules.exact_match import EXACT_MATCH
from alignment_prism.scoring.rules.multiple_choice import MULTIPLE_CHOICE
from alignment_prism.scoring.rules.refusal_phrase import REFUSAL_PHRASE
from alignment_prism.scoring.rules.reply_length import REPLY_LENGTH
from alignment_prism.scoring.rules.rule import Rule
from alignment_prism.scoring.rules.spbleu import SPBLEU

__all__ = ["RULES", "Rule", "find_rule", "score_replies"]

RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        EXACT_MATCH,
        MULTIPLE_CHOICE,
        CHRF,
        SPBLEU,
        REFUSAL_PHRASE,
        REPLY_LENGTH,
    )
}
"""The rules by name."""


def find_rule(name: str) -> Rule:
    """The rule of a name.

    Raises:
        InputError: there is none.
    """
    if name not in RULES:
        raise InputError(f"no rule {name!r} to score replies by", fix=f"use one of {', '.join(RULES)}")
    return RULES[name]


def score_replies(prompts: Sequence[Prompt], generations: Sequence[Generation], names: Iterable[str]) -> list[Score]:
    """Scores of replies by some rules, rule by rule, each in the order of the replies.

    Args:
        prompts: what was asked.
        generations: replies of any arms to these prompts.
        names: of rules (`RULES`).

    Raises:
        InputError: there is no such rule, it applies to none of the prompts, or a reply belongs to none of them.
    """
    rules = [find_rule(name) for name in dict.fromkeys(names)]
    for rule in rules:
        rule.check(prompts)
    return [score for rule in rules for score in rule.score(prompts, generations)]
