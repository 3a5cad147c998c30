"""A preference pair from one row: TRL's formats, single replies too, hh-rlhf transcripts, UltraFeedback, PKU-SafeRLHF.

| a row has | it is |
|---|---|
| `prompt`, `chosen`, `rejected` as texts | TRL, standard |
| the same as lists of turns, the replies with or without the prompt's turns | TRL, conversational; UltraFeedback |
| `chosen`, `rejected` as lists of turns | TRL, implicit prompt: the turns they share |
| `chosen`, `rejected` as transcripts | hh-rlhf |
| `chosen`, `rejected` as texts | TRL, implicit prompt: the words that they begin with in common |
| `prompt`, `response_0`, `response_1`, `better_response_id`, `safer_response_id` | PKU-SafeRLHF |
| `prompt`, `completion`, `label` (true or false) | TRL, unpaired: a good or a bad reply, the other side stays empty |
| `question`, `chosen`, `rejected` | RefusEU (arXiv 2606.07535), of its card |

`language`, `kind`, `scope`, `categories`, `group`, `chosen_harmful`, `rejected_harmful` are taken where the row has
them (PKU-SafeRLHF: `is_response_0_safe`, `is_response_1_safe`). Files of pairs are read in
`preferences/`, their prompts alone in `prompts/`; both take the rows apart here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alignment_prism.domain import Languages, Message, Messages, Pair, PairKind, Role, Taxonomy
from alignment_prism.io import fields
from alignment_prism.io.problems import FieldError
from alignment_prism.io.transcripts import is_transcript, split_transcripts

FIELDS = (
    "id",
    "prompt",
    "question",
    "messages",
    "system",
    "chosen",
    "rejected",
    "language",
    "kind",
    "scope",
    "global_or_local",
    "categories",
    "harm_category",
    "group",
    "source",
    "metadata",
    "chosen_harmful",
    "rejected_harmful",
)


def pair_from(values: Mapping[str, Any], *, languages: Languages, taxonomy: Taxonomy | None, prefer: str) -> Pair:
    """A pair from the columns of one row; its id is the row's own or empty.

    Raises:
        FieldError: a reply is missing or empty, both are the same, there is no prompt, or a label is unknown.
    """
    if "response_0" in values and "chosen" not in values:
        values = _from_responses(values, prefer)
    if "label" in values and "completion" in values and "chosen" not in values:
        messages, chosen, rejected = _single(values)
        values = {name: value for name, value in values.items() if name not in ("completion", "label")}
    else:
        messages, chosen, rejected = _conversation(values)
        for name, reply in (("chosen", chosen), ("rejected", rejected)):
            if fields.missing(reply):
                raise FieldError(name, reply, "an empty reply", "give both sides a reply")
        if chosen == rejected:
            raise FieldError("rejected", rejected, "chosen and rejected are the same text", "take the row out")
    said = fields.optional_text(values, "language")
    return Pair(
        id=fields.optional_text(values, "id"),
        messages=messages,
        chosen=chosen,
        rejected=rejected,
        language="und" if said in ("", "und") else fields.language(values, languages),
        kind=fields.member(values, "kind", PairKind, PairKind.GENERAL),
        scope=fields.scope(values, "scope" if "scope" in values else "global_or_local"),
        categories=fields.categories(values, "categories" if "categories" in values else "harm_category", taxonomy),
        group=fields.optional_text(values, "group"),
        source=fields.optional_text(values, "source"),
        metadata={**fields.rest(values, FIELDS), **(values.get("metadata") or {})}
        if isinstance(values.get("metadata") or {}, Mapping)
        else fields.rest(values, FIELDS),
        chosen_harmful=fields.optional_truth(values, "chosen_harmful"),
        rejected_harmful=fields.optional_truth(values, "rejected_harmful"),
    )


def _single(values: Mapping[str, Any]) -> tuple[Messages, str, str]:
    """Prompt and replies of a row with one reply and whether it is a good one; the other side is empty."""
    good = fields.optional_truth(values, "label")
    if good is None:
        raise FieldError("label", values["label"], "not said whether the reply is good", "write true or false")
    if fields.missing(values["completion"]):
        raise FieldError("completion", values["completion"], "an empty reply", "give every row a reply")
    if fields.missing(values.get("prompt")):
        raise FieldError("prompt", None, "no prompt", "add a column prompt", {"mapping": "prompt=COLUMN"})
    messages = fields.conversation(values["prompt"], "prompt", fields.optional_text(values, "system"))
    reply = _reply(values["completion"], messages, "completion")
    return (messages, reply, "") if good else (messages, "", reply)


def _conversation(values: Mapping[str, Any]) -> tuple[Messages, str, str]:
    if "response" in values and not {"chosen", "rejected"} & values.keys():
        fix = f"say which column has the label of the reply; the columns are: {fields.column_names(values)}"
        what = "no column 'response_label' or 'response_harm_label'"
        raise FieldError("response_label", None, what, fix, {"mapping": "response_label=COLUMN"})
    chosen, rejected = values.get("chosen"), values.get("rejected")
    for name, reply in (("chosen", chosen), ("rejected", rejected)):
        if fields.missing(reply):
            what = "an empty reply" if name in values else f"no column {name!r}"
            fix = "give every row a chosen and a rejected reply"
            if name not in values:
                fix = f"say which column holds it, or rename that; the columns are: {fields.column_names(values)}"
            raise FieldError(name, reply, what, fix, {"mapping": f"{name}=COLUMN"})
    where = next((name for name in ("prompt", "question", "messages") if name in values), "prompt")
    prompt = values.get(where)
    if fields.missing(prompt):
        if is_transcript(chosen) and is_transcript(rejected):
            return split_transcripts(str(chosen), str(rejected))
        return _implicit(chosen, rejected)
    system = fields.optional_text(values, "system")
    messages = fields.conversation(prompt, where, system)
    return messages, _reply(chosen, messages, "chosen"), _reply(rejected, messages, "rejected")


def _reply(value: object, messages: Messages, name: str) -> str:
    """The reply of one side, which may repeat the conversation before it."""
    if isinstance(value, str):
        return fields.written(value, name)
    turns = fields.turns_of(value, name)
    asked = tuple(turn for turn in messages if turn.role is not Role.SYSTEM)
    said = tuple(turn for turn in turns if turn.role is not Role.SYSTEM)
    if len(said) > len(asked) and said[: len(asked)] == asked:
        said = said[len(asked) :]
    if len(said) != 1 or said[0].role is not Role.ASSISTANT:
        what = "not one reply of the assistant to the prompt"
        raise FieldError(
            name, value, what, "give one turn of the assistant, with or without the prompt's turns before it"
        )
    return said[0].content


def _implicit(chosen: object, rejected: object) -> tuple[Messages, str, str]:
    """Prompt and replies of a row without a prompt: what both sides begin with is the prompt, as in TRL."""
    if isinstance(chosen, str) and isinstance(rejected, str):
        shared = 0
        for one, other in zip(chosen, rejected, strict=False):
            if one != other:
                break
            shared += 1
        shared = chosen.rfind(" ", 0, shared + 1)
        if shared < 1:
            what = "no prompt, and the replies do not begin with the same words"
            fix = "add a column prompt, or say which column holds it"
            raise FieldError("prompt", None, what, fix, {"mapping": "prompt=COLUMN"})
        text = fields.written(chosen[:shared], "chosen")
        replies = fields.written(chosen[shared:], "chosen"), fields.written(rejected[shared:], "rejected")
        return (Message(Role.USER, text),), *replies
    sides = fields.turns_of(chosen, "chosen"), fields.turns_of(rejected, "rejected")
    common = sides[0][:-1]
    if common != sides[1][:-1]:
        fix = "let both lists share everything but the last turn"
        raise FieldError("rejected", rejected, "chosen and rejected answer different conversations", fix)
    for name, turns in zip(("chosen", "rejected"), sides, strict=True):
        if turns[-1].role is not Role.ASSISTANT:
            raise FieldError(name, turns[-1].content, "the last turn is not the assistant's", "end with the reply")
    if not common or common[-1].role is not Role.USER:
        raise FieldError("chosen", chosen, "no turn of the user before the reply", "begin with a turn of the user")
    return common, sides[0][-1].content, sides[1][-1].content


def _from_responses(values: Mapping[str, Any], prefer: str) -> dict[str, Any]:
    """The columns of a PKU-SafeRLHF row (arXiv 2406.15513) under our names."""
    column = f"{prefer}_response_id"
    label = values.get(column)
    if label not in (0, 1) or isinstance(label, bool):
        raise FieldError(column, label, "which response is preferred is not said", "write 0 or 1")
    sides = {"chosen": label, "rejected": 1 - label}
    parts = ("response_{}", "is_response_{}_safe", "response_{}_source", "response_{}_harm_category")
    taken = {column, *(part.format(number) for part in parts for number in sides.values())}
    found = {name: value for name, value in values.items() if name not in taken}
    harms = []
    for side, number in sides.items():
        fields.text(values, f"response_{number}")
        safe = fields.optional_truth(values, f"is_response_{number}_safe")
        found |= {side: values.get(f"response_{number}"), f"{side}_harmful": None if safe is None else not safe}
        if writer := fields.optional_text(values, f"response_{number}_source"):
            found[f"{side}_model"] = writer
        said = values.get(f"response_{number}_harm_category")
        harms.append([name for name, does in said.items() if does] if isinstance(said, Mapping) else [])
    if (harmful := harms[1] or harms[0]) and "categories" not in values:
        found["categories"] = harmful
    return found
