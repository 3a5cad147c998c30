"""From preference pairs to tokens: one prompt, two completions, and a count of what did not fit.

A pair is rendered with the model's own chat template. Its prompt is what the model sees before it replies, its
completions are the rest, the end of the turn included. Nothing is dropped silently: what is too long is counted by
language, whether it was shortened or left out.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from os.path import commonprefix
from typing import Any, Protocol

from alignment_prism.domain import InputError, ModelError, Pair
from alignment_prism.models.chat_templates import template_date, written
from alignment_prism.training.groups import Group, group_of
from alignment_prism.training.objectives.replies import Replies


class ChatTokenizer(Protocol):
    """The part of a transformers tokenizer that is needed here."""

    chat_template: Any
    eos_token_id: int | None

    def apply_chat_template(self, conversation: Any, **options: Any) -> Any: ...

    def __call__(self, text: Any, **options: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Example:
    """One pair in tokens.

    Attributes:
        pair_id: the pair it came from.
        group: (language, scope) it is counted under.
        prompt: token ids up to where the replies begin.
        completions: token ids of each reply of its objective, such as the chosen and the rejected one.
        label: 1 where the first of them is the preferred reply of the pair, 0 where it is the other.
    """

    pair_id: str
    group: Group
    prompt: tuple[int, ...]
    completions: tuple[tuple[int, ...], ...]
    label: float = 1.0

    @property
    def padded_length(self) -> int:
        """Tokens of its longest sequence."""
        return len(self.prompt) + max(map(len, self.completions))

    @property
    def gradient_tokens(self) -> int:
        """Tokens that the loss is about; nothing predicts the first one of a sequence without a prompt."""
        return sum(len(completion) - (not self.prompt) for completion in self.completions if completion)


@dataclass(slots=True)
class LanguageCount:
    """What became of one language's pairs.

    Attributes:
        pairs: read.
        trained: examples kept for training: one a pair, or one a reply where the objective takes single replies.
        unused: left out, because the objective learns nothing from them.
        too_long: left out, because the prompt alone fills `max_length`.
        truncated: kept, with at least one reply cut at `max_length` (it then lacks its end).
        identical: kept, although both replies are the same tokens: DPO learns nothing from them.
        boundary: kept, with a prompt shortened by the tokens that the template or the tokenizer writes otherwise
            when a reply follows; the model then trains on another context than it generates from.
        prompt_tokens: of the kept pairs, each prompt once.
        gradient_tokens: of the kept pairs, all completions.
    """

    pairs: int = 0
    trained: int = 0
    unused: int = 0
    too_long: int = 0
    truncated: int = 0
    identical: int = 0
    boundary: int = 0
    prompt_tokens: int = 0
    gradient_tokens: int = 0

    @property
    def tokens_per_prompt(self) -> float:
        """Mean length of the kept prompts; 0 where none was kept."""
        return self.prompt_tokens / self.trained if self.trained else 0.0


@dataclass(slots=True)
class ExampleSet:
    """The examples of one stage, and by language what became of the pairs."""

    examples: list[Example] = field(default_factory=list)
    counts: dict[str, LanguageCount] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)

    def count_rows(self) -> list[dict[str, Any]]:
        """The counts as plain rows, one a language, for the log and the model card."""
        return [
            {"language": language, **asdict(count), "tokens_per_prompt": round(count.tokens_per_prompt, 1)}
            for language, count in sorted(self.counts.items())
        ]


def make_examples(
    pairs: Sequence[Pair],
    replies: Sequence[Sequence[Replies]],
    tokenizer: ChatTokenizer,
    *,
    max_length: int,
    ends: Collection[int] | None = None,
) -> ExampleSet:
    """Render and tokenise pairs in one pass.

    The whole conversation is tokenised, and the prompt is what it has in common with the prompt alone: the rule
    that TRL follows, under which tokens may merge across the boundary and templates may close a turn differently.
    What a template leaves out of the prompt once a reply follows is put back, see `_with_all_of`.

    Args:
        pairs: give prompt, language and scope.
        replies: for each pair those of its examples: the texts to complete it with, such as (chosen, rejected), and
            a label.
        tokenizer: with a chat template.
        max_length: most tokens of prompt and completion together.
        ends: token ids that end a reply; None takes the tokenizer's end-of-sequence token.

    Raises:
        InputError: there is no pair, or none that fits; or a reply is wanted of a pair that has no such.
        ModelError: there is no chat template, or it refuses a conversation.
    """
    if not pairs:
        raise InputError("the pool has no pair to train on", fix="check the pairs file and the mixture's share")
    if not tokenizer.chat_template:
        raise ModelError(
            "the model's tokenizer has no chat template, so prompts cannot be rendered as it expects them",
            fix="use an instruction-tuned model, or save a chat_template.jinja beside its tokenizer",
        )
    check_replies(pairs, replies)
    asked = _render(tokenizer, [(pair, None) for pair in pairs])
    flat = [(index, text) for index, found in enumerate(replies) for one in found for text in one.texts]
    answered = _render(tokenizer, [(pairs[index], text) for index, text in flat])
    kept = [
        _with_all_of(asked[index], whole, pairs[index].messages[-1].content)
        for (index, _), whole in zip(flat, answered, strict=True)
    ]
    prompts, wholes = _tokens(tokenizer, asked), iter(_tokens(tokenizer, kept))
    closing = {tokenizer.eos_token_id} if ends is None else set(ends)
    result = ExampleSet()
    unended = 0
    for pair, found, prompt in zip(pairs, replies, prompts, strict=True):
        count = result.counts.setdefault(pair.language, LanguageCount())
        count.pairs += 1
        count.unused += not found
        for reply in found:
            sequences = [next(wholes) for _ in reply.texts]
            shared = min(_common_prefix(prompt, sequence) for sequence in sequences)
            unended += any(closing.isdisjoint(sequence[shared:]) for sequence in sequences)
            _append(result, pair, prompt, sequences, shared, reply.label, max_length)
    if not result.examples:
        raise InputError(
            f"every pair's prompt alone fills max_length = {max_length} tokens",
            fix="raise max_length, or check that the pairs are what you meant to train on",
        )
    _add_notices(result, max_length, unended)
    date = template_date(tokenizer)
    if date is not None:
        result.notices.append(f"the chat template writes a date: it is {date} in every prompt, whatever the day")
    return result


def check_replies(pairs: Sequence[Pair], replies: Sequence[Sequence[Replies]]) -> None:
    """Check that every reply that is to be learnt from is there: a pair may have one side only.

    Raises:
        InputError: one is not, or there is none at all.
    """
    lacking = [pair for pair, found in zip(pairs, replies, strict=True) if any("" in one.texts for one in found)]
    if lacking:
        raise InputError(
            f"{len(lacking)} of {len(pairs)} pairs have one reply only, and the method learns from another",
            where=f"pair {lacking[0].id}",
            fix="train such pairs with a method of single replies, such as kto, or leave them out",
        )
    if not any(replies):
        raise InputError(
            f"the method learns nothing from any of {len(pairs)} pairs",
            fix="check which replies the pairs say are harmful",
        )


def _append(
    result: ExampleSet,
    pair: Pair,
    prompt: Sequence[int],
    sequences: Sequence[Sequence[int]],
    shared: int,
    label: float,
    max_length: int,
) -> None:
    count = result.counts[pair.language]
    if shared >= max_length:
        count.too_long += 1
        return
    completions = tuple(tuple(sequence[shared:max_length]) for sequence in sequences)
    count.trained += 1
    count.truncated += any(len(sequence) > max_length for sequence in sequences)
    count.identical += len(completions) > 1 and completions[0] == completions[1]
    count.boundary += shared < len(prompt)
    example = Example(pair.id, group_of(pair), tuple(prompt[:shared]), completions, label)
    count.prompt_tokens += shared
    count.gradient_tokens += example.gradient_tokens
    result.examples.append(example)


def _render(tokenizer: ChatTokenizer, wanted: Sequence[tuple[Pair, str | None]]) -> list[str]:
    """The texts of conversations, all with a reply or all ready for one."""
    conversations = [_turns(pair, reply) for pair, reply in wanted]
    ready = wanted[0][1] is None
    try:
        return written(tokenizer, conversations, add_generation_prompt=ready)
    except Exception:  # a template is a program of the model's author: it may raise anything; find out at which pair
        for (pair, _), turns in zip(wanted, conversations, strict=True):
            try:
                written(tokenizer, [turns], add_generation_prompt=ready)
            except Exception as error:
                raise ModelError(
                    f"the chat template refuses a conversation: {error}",
                    where=f"pair {pair.id}",
                    fix="some templates know no system turn, or want user and assistant to alternate: adapt the pair",
                ) from error
        raise


def _turns(pair: Pair, reply: str | None) -> list[dict[str, str]]:
    turns = [message.as_dict() for message in pair.messages]
    return turns if reply is None else [*turns, {"role": "assistant", "content": reply}]


def _with_all_of(prompt: str, whole: str, question: str) -> str:
    """A conversation as its template writes it, with the piece of the prompt that it left out because a reply follows.

    Mistral's templates write the system turn into the last turn of the conversation if that is the user's, so that
    `[INST] Be brief.\n\nWho? [/INST]` becomes `[INST] Who? [/INST] I.</s>`. A model would be trained without what it is
    told when it replies, and on the question beside the reply. Only where the two part before the end of the question
    is a piece put back: what a template writes behind it is before a reply, such as an empty block of thoughts, may
    differ.
    """
    if whole.startswith(prompt):
        return whole
    shared = len(commonprefix([prompt, whole]))
    question = question.strip()
    behind = len(prompt) - prompt.rfind(question) - len(question)
    if not question or question not in prompt or shared >= len(prompt) - behind:
        return whole
    lengths = range(len(prompt) - shared, behind, -1)
    same = next((length for length in lengths if whole.startswith(prompt[-length:], shared)), 0)
    return prompt + whole[shared + same :] if same and question in whole[: shared + same] else whole


def _tokens(tokenizer: ChatTokenizer, texts: list[str]) -> list[list[int]]:
    # The template has written the special tokens already.
    encoded = tokenizer(texts, add_special_tokens=False, return_attention_mask=False, return_token_type_ids=False)
    ids: list[list[int]] = encoded["input_ids"]
    return ids


def _common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    if list(right[: len(left)]) == list(left):
        return len(left)
    return next(index for index, (a, b) in enumerate(zip([*left, None], [*right, None], strict=False)) if a != b)


def _add_notices(result: ExampleSet, max_length: int, unended: int) -> None:
    """Say what a user should know before hours are spent."""
    total = sum(count.pairs for count in result.counts.values())
    for name, what in (
        ("unused", "left out, the method learns nothing from them"),
        ("too_long", f"left out, their prompt alone fills max_length = {max_length}"),
        ("truncated", f"cut at max_length = {max_length}"),
        ("identical", "with two replies of the same tokens"),
        ("boundary", "whose prompt is written otherwise once a reply follows"),
    ):
        by_language = {lang: getattr(count, name) for lang, count in sorted(result.counts.items())}
        if any(by_language.values()):
            detail = ", ".join(f"{language} {number}" for language, number in by_language.items() if number)
            result.notices.append(f"{sum(by_language.values())} of {total} pairs {what} ({detail})")
    if unended:
        result.notices.append(
            f"{unended} of {total} pairs have a reply without an end-of-sequence token: "
            "the chat template may not close the assistant's turn, and the model may not learn to stop"
        )


def pair_translations(pair: Pair) -> list[tuple[str, str]]:
    """Code and text of the prompt in other languages, as the pair's metadata names them (`translations`), sorted.

    Raises:
        InputError: they are no texts by language.
    """
    found = pair.metadata.get("translations") or {}
    if not isinstance(found, Mapping) or not all(isinstance(text, str) and text for text in found.values()):
        raise InputError(
            "the translations of a prompt are no texts by language",
            where=f"pair {pair.id}",
            fix='give {"hi": "...", "fr": "..."}: the last user turn in each language',
        )
    return sorted((str(code), str(text)) for code, text in found.items() if code != pair.language)


def has_translations(pairs: Iterable[Pair]) -> bool:
    """Whether any prompt is there in two languages: its pair names a translation, or is of one group with another
    language's."""
    of_group: dict[str, str] = {}
    return any(
        pair_translations(pair) or (pair.group and of_group.setdefault(pair.group, pair.language) != pair.language)
        for pair in pairs
    )


def pairs_digest(pairs: Iterable[Pair]) -> str:
    """SHA-256 over what training reads of the pairs, in their order: 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for pair in pairs:
        turns = [part for message in pair.messages for part in (message.role.value, message.content)]
        flags = (
            []
            if pair.chosen_harmful is pair.rejected_harmful is None
            else [str(pair.chosen_harmful), str(pair.rejected_harmful)]
        )
        about = [pair.group, *(part for one in pair_translations(pair) for part in one)]
        parts = [pair.id, *group_of(pair), *turns, pair.chosen, pair.rejected, *flags, *(about if any(about) else [])]
        encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
        digest.update(array("q", [len(encoded), *map(len, encoded)]).tobytes())
        for part in encoded:
            digest.update(part)
    return digest.hexdigest()
