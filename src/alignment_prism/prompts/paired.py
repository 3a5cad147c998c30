"""Prompts of preference data: the conversation up to the replies, of any format that `read_pairs` knows."""

from __future__ import annotations

from alignment_prism.domain import PairKind, Prompt, PromptKind
from alignment_prism.io import Row, fields
from alignment_prism.io.pair_rows import pair_from
from alignment_prism.prompts.formats import Format, Reading, with_defaults

SIDES: dict[str, PromptKind] = {PairKind.SAFETY: PromptKind.HARMFUL, PairKind.GENERAL: PromptKind.GENERAL}
"""Kind of a pair and the kind of its prompt, which a row may say instead."""


def parse_pair(row: Row, reading: Reading) -> Prompt:
    """The prompt of a pair; its language must be given, by a column or for the whole file."""
    values = with_defaults(row.values, reading)
    said = fields.optional_text(values, "kind").strip().casefold()
    kind = SIDES.get(said) or fields.member(values, "kind", PromptKind, PromptKind.GENERAL)
    values.pop("kind", None)
    pair = pair_from(values, languages=reading.languages, taxonomy=reading.taxonomy, prefer="better")
    return Prompt(
        id="",
        messages=pair.messages,
        language=fields.language(values, reading.languages),
        kind=kind,
        scope=pair.scope,
        categories=pair.categories,
        group=pair.group,
        source=reading.source,
    )


PREFERENCES = Format(
    "preferences", "preference pairs: chosen and rejected", frozenset({"chosen", "rejected"}), parse_pair
)
RESPONSES = Format(
    "pku-saferlhf",
    "PKU-SafeRLHF: two responses, and which is better",
    frozenset({"prompt", "response_0", "response_1", "better_response_id"}),
    parse_pair,
)
