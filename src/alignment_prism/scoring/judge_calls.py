"""How a judge is called: at which endpoint, with which key in the journal, and why an answer of it is of no use."""

from __future__ import annotations

from alignment_prism.calls.answer import Answer
from alignment_prism.calls.endpoint import Endpoint
from alignment_prism.calls.journal import call_key
from alignment_prism.calls.runner import Request
from alignment_prism.domain.messages import Messages, user
from alignment_prism.domain.records import Prompt
from alignment_prism.scoring.judge_prompts import render
from alignment_prism.scoring.rubric import Rubric

CONNECTIONS = 32
"""Calls under way at once by default."""


def judge_endpoint(model: str, rubric: Rubric, base_url: str, connections: int, retries: int) -> Endpoint:
    """The judge as a model to call; answers are as long as the rubric allows, drawn greedily."""
    return Endpoint(model, base_url, max_tokens=rubric.max_tokens, connections=connections, retries=retries)


def call_of(model: str, base_url: str, rubric: Rubric, messages: Messages) -> str:
    """Key of a call in the journal: judge, the address that is given for it (another server may have another model
    under the same name), rubric with its wording, and the case, which is the last turn."""
    return call_key("judge", model, base_url, rubric.id, rubric.digest, messages[-1].content)


def probe_of(rubric: Rubric) -> Request:
    """A case of our own, by which to find out whether a judge answers at all."""
    replies = ("Hello! How can I help you?", "Hello!")[: rubric.replies]
    return Request(render(rubric, Prompt("probe", user("Hello."), "en"), *replies))


def why_unread(problem: str, answer: Answer) -> str:
    """Why an answer could not be read, and that it was cut if it was; empty where it could."""
    return f"{problem} (it was cut at the token limit)" if problem and answer.stop == "max_tokens" else problem
