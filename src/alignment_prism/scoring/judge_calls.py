"""The calls of a judge: what it is shown, under which key of the journal, and what is asked of all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from alignment_prism.calls.answer import Answer
from alignment_prism.calls.endpoint import Endpoint
from alignment_prism.calls.failures import Cause, public_address
from alignment_prism.calls.journal import Journal, call_key
from alignment_prism.calls.runner import Request, ask_all, kept_answers
from alignment_prism.domain.messages import Messages
from alignment_prism.domain.progress import Progress
from alignment_prism.domain.records import Generation, Prompt, PromptKind, Sampling, StopReason
from alignment_prism.models.names import HUB
from alignment_prism.scoring.form import Form

CONNECTIONS = 32
"""Calls under way at once by default."""

Keys = tuple[str, ...]
"""Keys of the calls of one case: one, or one for each guideline of a guard."""


@dataclass(frozen=True)
class JudgeCalls(Mapping[str, Request]):
    """Calls of a judge by their keys; what is shown is written when it is asked for, so that memory holds it once.

    Attributes:
        model: Inspect model id; or a model folder or `hub:OWNER/NAME`, which runs on this machine.
        form: how it is asked.
        base_url: address of its server, where it is not the provider's own; of a model on this machine, of a vLLM
            server that has loaded it.
        max_connections: calls under way at once.
        retries: of a call that failed for a passing reason.
        timeout: seconds that an attempt of a call may take; None goes by the rubric's tokens.
        device: of a model on this machine.
        batch: whether calls go through the provider's batch API.
    """

    model: str
    form: Form
    base_url: str = ""
    max_connections: int = CONNECTIONS
    retries: int = 5
    timeout: float | None = None
    device: str = "auto"
    batch: bool = False
    _cases: dict[str, tuple[Prompt, tuple[str, ...], int]] = field(default_factory=dict)

    def add(self, prompt: Prompt, *replies: str) -> Keys:
        """Add the case of a reply, or of two, and return its keys: judge, the address that is given for it (another
        server may have another model under the same name), form with its wording, and the case."""
        keys = []
        for number, turns in enumerate(self.form.messages(prompt, *replies)):
            shown = [turn.as_dict() for turn in turns]
            key = call_key("judge", self.model, public_address(self.base_url), self.form.id, self.form.digest, shown)
            self._cases[key] = (prompt, replies, number)
            keys.append(key)
        return tuple(keys)

    def shown(self, key: str) -> str:
        """The last turn that the judge is shown, from which it may quote."""
        return self.asked(key)[-1].content

    def asked(self, key: str) -> Messages:
        """The conversation that a call sends."""
        prompt, replies, number = self._cases[key]
        return self.form.messages(prompt, *replies)[number]

    def ask(
        self,
        prompts: Sequence[Prompt],
        *,
        is_verdict: Callable[[str, Answer], bool],
        journal: Journal | None,
        progress: Progress | None,
    ) -> dict[str, Answer]:
        """The judge's answers by their keys.

        Args:
            prompts: all those that are judged; the judge may refuse them before the first call.
            is_verdict: whether an answer to a call is of use; a journalled one that is not is asked for again.
            journal: where answers are kept.
            progress: told how many are there and how many there are to be.

        Raises:
            InputError: the judge does not know the prompts.
            ModelError: the judge cannot be opened or answers nothing; what was answered is in the journal.
        """
        if not self:
            return {}
        if is_local(self.model):
            return self._on_this_machine(journal, progress)
        arguments = dict(self.form.template_arguments)
        endpoint = Endpoint(
            self.model,
            self.base_url,
            max_tokens=self.form.max_tokens + self.form.thought_tokens,
            thought_tokens=self.form.thought_tokens,
            connections=self.max_connections,
            retries=self.retries,
            timeout=self.timeout,
            batch=self.batch,
            extra_body={"chat_template_kwargs": arguments} if arguments else {},
        )
        return ask_all(
            endpoint,
            self,
            journal=journal,
            progress=progress,
            readable=is_verdict,
            judged=prompts,
            probe=Request(self.form.probe()),
        )

    def unanswered(self, journal: Journal | None) -> list[str]:
        """Keys of the calls that the journal has no verdict to: what a run would pay for."""
        verdicts = kept_answers(self, journal, lambda key, answer: self.form.is_verdict(answer, self.asked(key)))
        return [key for key in self if key not in verdicts]

    def __getitem__(self, key: str) -> Request:
        return Request(self.asked(key))

    def __iter__(self) -> Iterator[str]:
        return iter(self._cases)

    def __len__(self) -> int:
        return len(self._cases)

    def _on_this_machine(self, journal: Journal | None, progress: Progress | None) -> dict[str, Answer]:
        """Answers of a model whose files are here, or in a vLLM server that has loaded them; greedy, so that none is
        asked for twice."""
        from alignment_prism.generation import reply

        replies = reply(
            self.model,
            [Prompt(key, self.asked(key), "und", PromptKind.GENERAL) for key in self],
            Sampling(max_tokens=self.form.max_tokens + self.form.thought_tokens),
            arm="judge",
            journal=journal,
            progress=progress,
            device=self.device,
            base_url=self.base_url,
            connections=self.max_connections,
            retries=self.retries,
            timeout=self.timeout,
            chat_template=self.form.chat_template,
            template_arguments=self.form.template_arguments,
        )
        return {said.prompt_id: answer_of(said) for said in replies}


def is_local(model: str) -> bool:
    """Whether a judge runs on this machine: a folder, or a model of the Hub that is named with `hub:`."""
    return model.startswith(HUB) or Path(model).is_dir()


def answer_of(said: Generation) -> Answer:
    """A reply of a model on this machine, as one behind an API would have given it."""
    error = Cause.TOO_LONG.words if said.stop_reason is StopReason.CONTEXT else said.error
    stop = "max_tokens" if said.stop_reason is StopReason.MAX_TOKENS else "stop"
    return Answer(said.reply, stop, said.prompt_tokens, said.completion_tokens, error)
