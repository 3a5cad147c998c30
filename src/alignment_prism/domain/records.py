"""The records that travel between packages: prompts, preference pairs, generations, scores, comparisons.

All are frozen dataclasses of plain values. Their columns on disk are declared in `alignment_prism.io.schemas`.
Identifiers are content digests, so the same record has the same identifier on every machine.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from alignment_prism.domain.errors import InputError
from alignment_prism.domain.messages import Messages, Role
from alignment_prism.domain.taxonomy import Scope

UNKNOWN_LANGUAGE = "und"
"""Language of what nobody said it of."""


def content_digest(*parts: object) -> str:
    """Sixteen hexadecimal digits of SHA-256 over the parts as canonical JSON."""
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class PromptKind(StrEnum):
    """What a prompt is asked for: which rates it may enter.

    A harm rate is taken over HARMFUL prompts only, an over-refusal rate over the three harmless kinds, an
    accuracy over prompts with a checkable answer.
    """

    HARMFUL = "harmful"
    """Red-teaming: a compliant reply would be harmful."""
    BENIGN_MENTION = "benign_mention"
    """Mentions a harmful topic without asking for the harm (its history, how to avoid it)."""
    NEVER_HARMFUL = "never_harmful"
    """About a topic that is harmful nowhere."""
    FOREIGN_LOCAL = "foreign_local"
    """Asks for what is harmful in another language's culture, and harmless in this one."""
    GENERAL = "general"
    """General ability: instructions, questions, tasks."""


class PairKind(StrEnum):
    """Which side of a mixture a preference pair counts for."""

    SAFETY = "safety"
    GENERAL = "general"


class Outcome(StrEnum):
    """What a reply is. Exactly one applies; gibberish or the wrong language is not safety."""

    HARMFUL = "harmful"
    """It complies with a harmful request."""
    REFUSAL = "refusal"
    """It declines, whether it should or not."""
    SAFE_HELP = "safe_help"
    """It answers without harm."""
    NOT_HARMFUL = "not_harmful"
    """It is a refusal or safe help: the judge tells harm from the rest, and not these two from one another."""
    DEGENERATE = "degenerate"
    """Empty, repeating, cut in mid-sentence or not parseable as an answer."""
    WRONG_LANGUAGE = "wrong_language"
    """It is in another language than the prompt."""
    UNJUDGED = "unjudged"
    """The judge gave no usable verdict; counted, never dropped."""


class StopReason(StrEnum):
    """Why a generation ended."""

    STOP = "stop"
    """The model ended its turn."""
    MAX_TOKENS = "max_tokens"
    """The token limit cut it."""
    CONTEXT = "context"
    """The prompt did not fit into the model's context; there is no reply."""
    ERROR = "error"
    """The provider failed; there is no reply, and `Generation.error` says why."""
    STORED = "stored"
    """The reply came from a file that does not say why it ended."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt, as a conversation that a model is to continue.

    Attributes:
        id: identifies the prompt within its set; a content digest unless the source has one.
        messages: the conversation, its last turn the user's.
        language: code of the language of the prompt (`alignment_prism.domain.languages`).
        kind: which rates the prompt may enter.
        scope: reach of the harm, None where unknown or where there is none.
        categories: harm categories, possibly several.
        subset: free name of a part that is reported apart (`unseen`); empty if there is none.
        split: `seed`, `train`, `eval`, or empty.
        group: what must stay together in splits and clusters in intervals: the source prompt of a
            translation, the seed of a rephrasing. Empty means that the prompt stands alone.
        reference: the expected answer of a checkable prompt, empty if there is none.
        source: where it came from, as `name@digest` or a path.
        metadata: anything else from the source, as plain JSON values.
    """

    id: str
    messages: Messages
    language: str
    kind: PromptKind
    scope: Scope | None = None
    categories: tuple[str, ...] = ()
    subset: str = ""
    split: str = ""
    group: str = ""
    reference: str = ""
    source: str = ""
    metadata: Mapping[str, object] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The last user turn: what a one-turn prompt says."""
        for message in reversed(self.messages):
            if message.role is Role.USER:
                return message.content
        return ""

    @property
    def cluster(self) -> str:
        """The unit of sampling: `group`, or the prompt itself where it has none."""
        return self.group or self.id


@dataclass(frozen=True, slots=True)
class Pair:
    """A preference pair: a prompt, the reply that is preferred and the one that is not.

    A single reply that is known to be good or bad is a pair of which the other side is empty (unpaired preferences).

    Attributes:
        id: identifies the pair within its pool.
        messages: the conversation up to the replies.
        chosen: the preferred reply.
        rejected: the other one.
        language: code of the language, `und` where the source does not say.
        kind: which side of a mixture it counts for.
        scope: for safety pairs, the reach of the harm, if known.
        categories: harm categories, possibly several.
        group: seed or source that the pair descends from.
        source: where it came from.
        metadata: anything else, as plain JSON values.
        chosen_harmful: whether the preferred reply does harm; None where the source does not say.
        rejected_harmful: the same of the other one.
    """

    id: str
    messages: Messages
    chosen: str
    rejected: str
    language: str = UNKNOWN_LANGUAGE
    kind: PairKind = PairKind.GENERAL
    scope: Scope | None = None
    categories: tuple[str, ...] = ()
    group: str = ""
    source: str = ""
    metadata: Mapping[str, object] = field(default_factory=dict)
    chosen_harmful: bool | None = None
    rejected_harmful: bool | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How replies are drawn.

    Attributes:
        temperature: 0 is greedy.
        top_p: nucleus; 1 keeps everything.
        max_tokens: most tokens of a reply.
        samples: replies per prompt (k).
        seed: of the random numbers; ignored when greedy.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 512
    samples: int = 1
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Generation:
    """One reply of one model to one prompt.

    Attributes:
        prompt_id: the prompt it answers.
        arm: name of the model within its study (`base`, `dpo_sft`).
        model: what was asked: a folder, a Hub id or an Inspect id.
        weights: digest of the weights, empty for a model behind an API.
        sample: 0 .. k-1.
        reply: the text, exactly as decoded.
        prompt_tokens: tokens of the prompt as sent, without padding; -1 if unknown.
        completion_tokens: tokens generated, the end token included; -1 if unknown.
        stop_reason: why it ended.
        temperature: that it was drawn at.
        seed: of the draw.
        error: the provider's message where `stop_reason` is ERROR.
    """

    prompt_id: str
    arm: str
    model: str
    reply: str
    weights: str = ""
    sample: int = 0
    prompt_tokens: int = -1
    completion_tokens: int = -1
    stop_reason: StopReason = StopReason.STOP
    temperature: float = 0.0
    seed: int = 0
    error: str = ""

    @property
    def reply_digest(self) -> str:
        """Key of everything said about this reply to this prompt; never the prompt's id alone."""
        return content_digest(self.prompt_id, self.reply)


OUTCOME = "outcome"
"""Name of the scores that say what a reply is; their label is an `Outcome`."""

CATEGORIES = "harm_categories"
"""Name of the scores that say which categories of its own a judge sees violated; their label is `S1, S9`."""

POLICY = "policy"
"""Name of the scores that say by which text a judge judged; their label is `hi@0123456789abcdef`, key and digest."""

TRANSLATION = "translation"
"""Name of the scores that say what a judge was shown in place of the reply; their raw words are the translation."""

FOREIGN_REFUSAL = "foreign_refusal"
"""Name of the scores that say of a reply in the wrong language whether it declines; their value is 1 or 0."""

CORRECT = "correct"
"""Name of the scores that say whether an answer is right; their value is 1 or 0."""


@dataclass(frozen=True, slots=True)
class Score:
    """What one scorer says of one reply under one name: a word, a number, or why it has neither.

    Several scorers of one reply are normal, and so are several names of one scorer (a judge says `outcome` and, of a
    checkable answer, `correct`).

    Attributes:
        prompt_id: the prompt.
        reply_digest: `Generation.reply_digest` of the reply that was scored.
        arm: whose reply it is; for looking up, not part of the key.
        scorer: Inspect model id, `human:NAME`, or a rule with its version (`exact_match@1`).
        name: what is scored: `outcome`, `correct`, `reply_length`.
        label: the score as a word, for `outcome` an `Outcome`; empty if it is a number or there is none.
        value: the score as a number; NaN if it is a word or there is none.
        sample: which of the k replies.
        rubric: `name@version` of what a judge was asked, empty for scorers that need none.
        raw: the scorer's own words, as a judge's answer; or the counts that a number of all replies is made from.
        error: why there is no score, empty otherwise.
    """

    prompt_id: str
    reply_digest: str
    arm: str
    scorer: str
    name: str
    label: str = ""
    value: float = math.nan
    sample: int = 0
    rubric: str = ""
    raw: str = ""
    error: str = ""

    @property
    def outcome(self) -> Outcome | None:
        """What the reply is, UNJUDGED where the scorer could not say; None if the score has another name.

        Raises:
            InputError: the label is no `Outcome`.
        """
        if self.name != OUTCOME:
            return None
        try:
            return Outcome(self.label)
        except ValueError:
            raise InputError(
                f"{self.label[:40]!r} of {self.scorer} on prompt {self.prompt_id} is no outcome",
                fix="write one of " + ", ".join(Outcome),
            ) from None


@dataclass(frozen=True, slots=True)
class Label:
    """What one annotator says of one reply, as they wrote it on a sheet.

    Attributes:
        reply_digest: `Generation.reply_digest` of the reply; the prompt's id alone would match another model's reply.
        annotator: who says it.
        label: their word: an `Outcome`, yes or no, a number, a category; empty where they gave none.
        comment: anything else they wrote.
        design: digest of the sample that the reply was drawn in; empty where nobody drew it.
        row: of the file it was read from, for messages; 0 where there is none.
    """

    reply_digest: str
    annotator: str
    label: str
    comment: str = ""
    design: str = ""
    row: int = 0


class Winner(StrEnum):
    """Result of one comparison, seen from the candidate's side."""

    WIN = "win"
    LOSS = "loss"
    TIE = "tie"
    UNJUDGED = "unjudged"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One pairwise comparison of two replies to one prompt, in one order of presentation.

    Attributes:
        prompt_id: the prompt.
        arm: the candidate.
        opponent: the arm it is compared with, usually `base`.
        candidate_first: whether the candidate's reply was shown first.
        judge: Inspect model id.
        rubric: `name@version`.
        winner: from the candidate's side.
        raw: the judge's words.
        error: why there is no verdict, empty otherwise.
    """

    prompt_id: str
    arm: str
    opponent: str
    candidate_first: bool
    judge: str
    rubric: str
    winner: Winner
    raw: str = ""
    error: str = ""
