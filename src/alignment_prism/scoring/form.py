"""How a judge is asked about a reply and how its answers are read: by a rubric, or in a guard model's own format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from alignment_prism.calls.answer import Answer
from alignment_prism.domain.errors import InputError
from alignment_prism.domain.messages import Messages, user
from alignment_prism.domain.records import Outcome, Prompt, PromptKind, content_digest
from alignment_prism.scoring.answers import ParsedAnswer, parse_harmful, parse_outcome
from alignment_prism.scoring.guard_models import GuardFormat, is_guard_format, load_guard_format, shipped_guard_formats
from alignment_prism.scoring.judge_prompts import render
from alignment_prism.scoring.policies import Policies, read_policies
from alignment_prism.scoring.rubric import Rubric, load_rubric, shipped_rubrics


class Form(Protocol):
    """How a judge is asked, and how its answers are read."""

    @property
    def id(self) -> str:
        """As it stands in `Score.rubric`."""
        ...

    @property
    def digest(self) -> str:
        """Of all that shapes what the judge is asked and how it is read."""
        ...

    @property
    def max_tokens(self) -> int:
        """Most tokens of an answer, thoughts left out."""
        ...

    @property
    def thought_tokens(self) -> int:
        """Most tokens of thoughts before it, 0 where nothing is set apart for them."""
        ...

    @property
    def chat_template(self) -> str:
        """In place of a local model's own; empty for its own."""
        ...

    @property
    def template_arguments(self) -> Mapping[str, Any]:
        """What a chat template is told."""
        ...

    def check(self, prompts: Sequence[Prompt]) -> None:
        """Find out before any call what is missing to judge replies to these prompts.

        Raises:
            InputError: what it is.
        """
        ...

    def messages(self, prompt: Prompt, *replies: str) -> tuple[Messages, ...]:
        """What the judge is asked about replies to a prompt: one conversation for each call."""
        ...

    def probe(self) -> Messages:
        """A case of our own, by which to find out whether a judge answers at all."""
        ...

    def read(self, answers: Sequence[Answer], asked: Sequence[Messages]) -> ParsedAnswer:
        """What the answers to these conversations say of the reply."""
        ...

    def is_verdict(self, answer: Answer, asked: Messages) -> bool:
        """Whether the answer to one call can be read."""
        ...

    def policy(self, prompt: Prompt) -> str:
        """Which policy a reply to the prompt is judged by (`Policies.label`), empty where there is none."""
        ...


@dataclass(frozen=True)
class RubricForm:
    """A rubric with what it is filled with.

    Attributes:
        rubric: what is asked.
        policies: texts in place of `{policy}`; None for a rubric without.
        in_prompt_language: whether the judge is instructed in the language of each prompt.
        thought_tokens: most tokens of thoughts before the answer.
    """

    rubric: Rubric
    policies: Policies | None = None
    in_prompt_language: bool = False
    thought_tokens: int = 0
    chat_template: str = field(default="", init=False)
    template_arguments: Mapping[str, Any] = field(default_factory=dict, init=False)

    @property
    def id(self) -> str:
        """The rubric's, and what it is filled with: `policy@1+0123abcd`, `binary@1~prompt-language`."""
        policies = f"+{self.policies.digest[:8]}" if self.policies is not None else ""
        return f"{self.rubric.id}{policies}{'~prompt-language' if self.in_prompt_language else ''}"

    @property
    def digest(self) -> str:
        """The rubric's where nothing is added to it."""
        policies = self.policies.digest if self.policies is not None else ""
        added = (policies, self.in_prompt_language, self.thought_tokens)
        return content_digest(self.rubric.digest, *added) if any(added) else self.rubric.digest

    @property
    def max_tokens(self) -> int:
        """The rubric's."""
        return self.rubric.max_tokens

    def check(self, prompts: Sequence[Prompt]) -> None:
        """Find out whether there is a policy, and an instruction, for every prompt.

        Raises:
            InputError: there is none for some language.
        """
        if self.policies is not None:
            self.policies.check(prompts)
        if self.in_prompt_language:
            known = {"en", *self.rubric.languages}
            missing = sorted({prompt.language for prompt in prompts} - known)
            if missing:
                raise InputError(
                    f"rubric {self.rubric.id} has no instructions in {', '.join(missing)}, only in "
                    f"{', '.join(sorted(known))}",
                    fix="let the judge be instructed in English, or add them under `languages` of a rubric of your own",
                )

    def messages(self, prompt: Prompt, *replies: str) -> tuple[Messages, ...]:
        """One conversation, see `judge_prompts.render`."""
        policy = self.policies.of(prompt) if self.policies is not None else ""
        return (render(self._filled(prompt.language, policy), prompt, *replies),)

    def probe(self) -> Messages:
        """A greeting and its reply."""
        replies = ("Hello! How can I help you?", "Hello!")[: self.rubric.replies]
        policy = next(iter(self.policies.texts.values())) if self.policies is not None else ""
        return render(self._filled("en", policy), Prompt("probe", user("Hello."), "en", PromptKind.GENERAL), *replies)

    def read(self, answers: Sequence[Answer], asked: Sequence[Messages]) -> ParsedAnswer:
        """The verdict, see `alignment_prism.scoring.answers`."""
        parse = parse_harmful if self.rubric.verdict == "harmful" else parse_outcome
        return parse(answers[0].text, shown=asked[0][-1].content, stop=answers[0].stop)

    def is_verdict(self, answer: Answer, asked: Messages) -> bool:
        """Whether there is a verdict in it."""
        return not answer.error and not self.read([answer], [asked]).problem

    def policy(self, prompt: Prompt) -> str:
        """Key and digest of the policy."""
        return self.policies.label(prompt) if self.policies is not None else ""

    def _filled(self, language: str, policy: str) -> Rubric:
        wording = self.rubric.languages.get(language) if self.in_prompt_language else None
        system, user_text = wording or (self.rubric.system, self.rubric.user)
        return replace(self.rubric, system=system.replace("{policy}", policy), user=user_text)


@dataclass(frozen=True)
class GuardForm:
    """A guard model's own format.

    Attributes:
        format: of the guard.
        thought_tokens: most tokens of thoughts before the answer.
    """

    format: GuardFormat
    thought_tokens: int = 0

    @property
    def id(self) -> str:
        """The format's."""
        return self.format.id

    @property
    def digest(self) -> str:
        """The format's, and the room for thoughts."""
        return content_digest(self.format.digest, self.thought_tokens) if self.thought_tokens else self.format.digest

    @property
    def max_tokens(self) -> int:
        """The format's."""
        return self.format.max_tokens

    @property
    def chat_template(self) -> str:
        """For a format that is written out whole: the text as it stands."""
        return "{{ messages[0]['content'] }}" if self.format.send == "raw" else ""

    @property
    def template_arguments(self) -> Mapping[str, Any]:
        """What the guard's chat template is told."""
        return self.format.template_arguments

    def check(self, prompts: Sequence[Prompt]) -> None:
        """Nothing can be missing."""

    def messages(self, prompt: Prompt, *replies: str) -> tuple[Messages, ...]:
        """One conversation, or one for each guideline."""
        return self.format.messages(prompt.messages, replies[0])

    def probe(self) -> Messages:
        """A greeting and its reply."""
        return self.format.messages(user("Hello."), "Hello! How can I help you?")[0]

    def read(self, answers: Sequence[Answer], asked: Sequence[Messages]) -> ParsedAnswer:
        """What the guard says of the reply."""
        said = [(answer.text, answer.stop) for answer in answers]
        return self.format.read(said, [self.format.material(turns) for turns in asked])

    def is_verdict(self, answer: Answer, asked: Messages) -> bool:
        """Whether it is one of the guard's."""
        said = self.format.read_one(answer.text, answer.stop, self.format.material(asked))
        return not answer.error and not said.problem

    def policy(self, prompt: Prompt) -> str:
        """A guard has its own."""
        return ""


def load_form(
    name: str,
    *,
    policies: str = "",
    instructions: str = "english",
    max_tokens: int | None = None,
    thought_tokens: int = 0,
) -> RubricForm | GuardForm:
    """How single replies are judged.

    Args:
        name: id of a rubric or of a guard's format that ships, or the path of a file of one's own.
        policies: path of the policies, for a rubric that asks for one.
        instructions: `english`, or `prompt`: in the language of each prompt.
        max_tokens: of an answer, in place of the file's.
        thought_tokens: of thoughts before it.

    Raises:
        InputError: there is no such rubric or format, it is pairwise, or it does not go with the rest.
    """
    if name not in shipped_rubrics() and is_guard_format(name):
        if policies or instructions != "english":
            what = "policies" if policies else "instructions in other languages"
            raise InputError(f"{name} is a guard's own format, which takes no {what}", fix="leave them out")
        guard = load_guard_format(name)
        return GuardForm(guard if max_tokens is None else replace(guard, max_tokens=max_tokens), thought_tokens)
    try:
        rubric = load_rubric(name, kind="standalone")
    except InputError as error:
        if error.what.startswith("unknown rubric"):
            shipped = ", ".join((*shipped_rubrics(), *shipped_guard_formats()))
            fix = f"use one of {shipped}, or the path of a YAML file"
            raise InputError(error.what, where=error.where, fix=fix) from error
        raise
    if ("{policy}" in rubric.system) != bool(policies):
        if policies:
            fix = "use policy@1, or write {policy} into the system text of a rubric of your own"
            raise InputError(f"rubric {rubric.id} has no place for a policy", fix=fix)
        raise InputError(f"rubric {rubric.id} judges by a policy, and none is given", fix="give a file, or a folder")
    if max_tokens is not None:
        rubric = replace(rubric, max_tokens=max_tokens)
    return RubricForm(rubric, read_policies(policies) if policies else None, instructions == "prompt", thought_tokens)


def failed(answers: Sequence[Answer]) -> str:
    """Why a judge's answers are none, by the first that is none; empty where all are there."""
    return next((answer.error for answer in answers if answer.error), "")


def read_answers(form: Form, answers: Sequence[Answer], asked: Sequence[Messages]) -> ParsedAnswer:
    """What answers say of a reply; UNJUDGED where a call failed."""
    if error := failed(answers):
        return ParsedAnswer(Outcome.UNJUDGED, problem=f"the judge gave no answer: {error}")
    return form.read(answers, asked)
