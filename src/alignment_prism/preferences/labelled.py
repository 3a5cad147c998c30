"""Pairs from sets of single replies that are labelled safe or unsafe: PolyGuardMix, WildGuardMix, Nemotron, Aegis 2.0.

| set | beside `prompt` and `response` |
|---|---|
| PolyGuardMix (2504.04377) | `response_harm_label` (`yes`, `no`), `response_safety_categories`, `metadata.language` |
| PolyGuardPrompts, WildGuardMix | `response_harm_label` (`harmful`, `unharmful`); the first has `language` |
| Nemotron (2508.01710), Aegis 2.0 | `response_label` (`safe`, `unsafe`), `violated_categories`, at times `language` |

A safe reply is preferred to an unsafe one to the same prompt in the same language, the first of either to the first of
the other and so on. Rows that can give no pair are part of such sets, and counted as notes: prompts alone, prompts that
the publisher has taken out, and replies without a partner (most prompts have one reply only). The layouts are those of
the public cards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from alignment_prism.domain import Languages, Messages, Pair, PairKind, content_digest
from alignment_prism.io import FieldError, Intake, Row, fields

LABELS = {
    "response_harm_label": {"unharmful": True, "harmful": False, "no": True, "yes": False},
    "response_label": {"safe": True, "unsafe": False},
}
"""Column -> its words -> whether they say that the reply is safe."""

CATEGORIES = ("violated_categories", "response_safety_categories", "response_categories")
"""Columns that may hold the categories of what a reply does, joined by commas."""

ALONE = "no reply of the other label to the same prompt, so no pair"
"""Note on a reply that is left over."""

PROMPT_ALONE = "a prompt without a reply, so no pair"
"""Note on a row that labels its prompt alone."""

TAKEN_OUT = "the prompt was taken out by who published the set, so no pair"
"""Note on a row whose prompt has to be fetched elsewhere."""

BOTH_WAYS = "the same reply is labelled safe and unsafe, so no pair"
"""Note on two rows that contradict each other."""

NOTES = (ALONE, PROMPT_ALONE, TAKEN_OUT, BOTH_WAYS)
"""Why a row that is in order gives no pair."""

REDACTED = "REDACTED"
"""In the place of prompts that Nemotron's sets cannot pass on."""

Half = tuple[Row, Mapping[str, Any], Messages, str]


def label_column(values: Mapping[str, Any]) -> str:
    """The column by which a row is one labelled reply, empty where it is none."""
    if "response" not in values or "chosen" in values:
        return ""
    return next((name for name in LABELS if name in values), "")


class LabelledReplies:
    """Replies as they are read, and the pairs that they make.

    Args:
        languages: the registry that spellings are looked up in.
    """

    def __init__(self, languages: Languages) -> None:
        self._languages = languages
        self._prompts: dict[str, tuple[list[Half], list[Half]]] = {}

    def add(self, row: Row, values: Mapping[str, Any], column: str, intake: Intake) -> None:
        """Take a row, or note why it can give no pair.

        Raises:
            FieldError: it has no prompt, a reply without a label that is known, or an unknown language.
        """
        text = fields.text(values, "prompt")
        if text.strip() == REDACTED:
            return intake.note(row, FieldError("prompt", text, TAKEN_OUT, "nothing to do"))
        if fields.missing(values["response"]):
            return intake.note(row, FieldError("response", None, PROMPT_ALONE, "nothing to do"))
        words = LABELS[column]
        said = fields.optional_text(values, column).strip().casefold()
        if said not in words:
            fix = f"write {' or '.join(map(repr, words))}, or take the row out"
            raise FieldError(column, values.get(column), "no label of the reply that is known", fix)
        code = _language(values, self._languages)
        half = (row, values, fields.conversation(text, "prompt"), code)
        fields.text(values, "response")
        sides = self._prompts.setdefault(content_digest(code, text), ([], []))
        sides[0 if words[said] else 1].append(half)

    def pairs(self, intake: Intake) -> Iterator[Pair]:
        """The pairs, in the order in which their prompts came; what is left over is noted."""
        for digest, (safe, unsafe) in self._prompts.items():
            for (row, good, messages, code), (other, bad, _, _) in zip(safe, unsafe, strict=False):
                if good["response"] == bad["response"]:
                    for one in (row, other):
                        intake.note(one, FieldError("response", good["response"], BOTH_WAYS, "nothing to do"))
                    continue
                yield Pair(
                    "",
                    messages,
                    good["response"],
                    bad["response"],
                    code,
                    PairKind.SAFETY,
                    categories=_categories(bad) or _categories(good),
                    group=digest,
                    metadata=_rows_of(good, bad),
                    chosen_harmful=False,
                    rejected_harmful=True,
                )
            for row, values, _, _ in (*safe[len(unsafe) :], *unsafe[len(safe) :]):
                intake.note(row, FieldError("response", values["response"], ALONE, "nothing to do"))


def _language(values: Mapping[str, Any], languages: Languages) -> str:
    """The code that a column says, or PolyGuardMix's `metadata`; `und` where neither does."""
    about = values.get("metadata")
    if fields.missing(values.get("language")) and isinstance(about, Mapping):
        values = about
    said = fields.optional_text(values, "language")
    return "und" if said in ("", "und") else fields.language(values, languages)


def _categories(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of categories have no commas in these sets; `None` is none."""
    said = next((values[name] for name in CATEGORIES if isinstance(values.get(name), str)), "")
    return tuple(part.strip() for part in said.split(",") if part.strip() not in ("", "None"))


def _rows_of(good: Mapping[str, Any], bad: Mapping[str, Any]) -> dict[str, Any]:
    """Ids of the two rows, and which collection they are from, where the set says so."""
    found = {f"{side}_id": row["id"] for side, row in (("chosen", good), ("rejected", bad))
             if not fields.missing(row.get("id"))}  # fmt: skip
    about = good.get("metadata")
    origin = about.get("source") if isinstance(about, Mapping) else None
    return {**found, **({"origin": origin} if origin else {})}
