"""The calls of a judge: what it is shown, under which key of the journal, and what is asked of all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from alignment_prism.calls.answer import Answer
from alignment_prism.calls.endpoint import Endpoint
from alignment_prism.calls.failures import public_address
from alignment_prism.calls.journal import call_key
from alignment_prism.calls.runner import Journal, Request, ask_all
from alignment_prism.domain.messages import Messages, user
from alignment_prism.domain.progress import Progress
from alignment_prism.domain.records import Prompt
from alignment_prism.scoring.judge_prompts import render
from alignment_prism.scoring.rubric import Rubric

CONNECTIONS = 32
"""Calls under way at once by default."""


@dataclass(frozen=True)
class JudgeCalls(Mapping[str, Request]):
    """Calls of a judge by their keys; what is shown is written when it is asked for, so that memory holds it once.

    Attributes:
        model: Inspect model id.
        rubric: by which it judges.
        base_url: address of its server, where it is not the provider's own.
        max_connections: calls under way at once.
        retries: of a call that failed for a passing reason.
        timeout: seconds that an attempt of a call may take; None goes by the rubric's tokens.
    """

    model: str
    rubric: Rubric
    base_url: str = ""
    max_connections: int = CONNECTIONS
    retries: int = 5
    timeout: float | None = None
    _cases: dict[str, tuple[Prompt, tuple[str, ...]]] = field(default_factory=dict)

    def add(self, prompt: Prompt, *replies: str) -> str:
        """Add the case of a reply, or of two, and return its key: judge, the address that is given for it (another
        server may have another model under the same name), rubric with its wording, and the case."""
        shown = render(self.rubric, prompt, *replies)[-1].content
        server = public_address(self.base_url)
        key = call_key("judge", self.model, server, self.rubric.id, self.rubric.digest, shown)
        self._cases[key] = (prompt, replies)
        return key

    def shown(self, key: str) -> str:
        """What the judge is shown, from which it may quote."""
        return self._messages(key)[-1].content

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
        endpoint = Endpoint(
            self.model,
            self.base_url,
            max_tokens=self.rubric.max_tokens,
            connections=self.max_connections,
            retries=self.retries,
            timeout=self.timeout,
        )
        return ask_all(
            endpoint,
            self,
            journal=journal,
            progress=progress,
            readable=is_verdict,
            judged=prompts,
            probe=_probe(self.rubric),
        )

    def __getitem__(self, key: str) -> Request:
        return Request(self._messages(key))

    def __iter__(self) -> Iterator[str]:
        return iter(self._cases)

    def __len__(self) -> int:
        return len(self._cases)

    def _messages(self, key: str) -> Messages:
        prompt, replies = self._cases[key]
        return render(self.rubric, prompt, *replies)


def _probe(rubric: Rubric) -> Request:
    """A case of our own, by which to find out whether a judge answers at all."""
    replies = ("Hello! How can I help you?", "Hello!")[: rubric.replies]
    return Request(render(rubric, Prompt("probe", user("Hello."), "en"), *replies))
