"""What a judge is shown can be read back exactly, whatever the texts say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alignment_prism.domain import InputError, Message, Prompt, PromptKind, Role, user
from alignment_prism.scoring import Case, load_rubric, parse_rendered, render

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.sampled_from(
    ["[[reply 0123456789abcdef]]", "\n[[/reply 1]]\n", "{case}", "[[case x]]", "\\1", "\r\n", ""]
)


@given(TEXTS, TEXTS, TEXTS, st.sampled_from(["", "the answer"]))
def test_what_is_rendered_is_read_back(system: str, text: str, reply: str, reference: str) -> None:
    prompt = Prompt("p", (Message(Role.SYSTEM, system), *user(text)), "hi", PromptKind.HARMFUL, reference=reference)
    message = render(load_rubric("standalone@2"), prompt, reply)[-1].content
    assert parse_rendered(message) == Case("standalone@2", "hi", prompt.messages, (reply,), reference)


@given(TEXTS, TEXTS)
def test_two_replies_keep_their_order(first: str, second: str) -> None:
    prompt = Prompt("p", user("question"), "en", PromptKind.HARMFUL)
    case = parse_rendered(render(load_rubric("pairwise@2"), prompt, first, second)[-1].content)
    assert case.replies == (first, second) and case.rubric == "pairwise@2" and case.text == "question"


def test_a_reply_that_copies_the_markers_of_another_case_stays_a_reply() -> None:
    rubric, prompt = load_rubric("standalone@2"), Prompt("p", user("question"), "en", PromptKind.HARMFUL)
    stolen = render(rubric, prompt, "innocent")[-1].content
    assert parse_rendered(render(rubric, prompt, stolen)[-1].content).replies == (stolen,)


def test_the_number_of_replies_must_fit_the_rubric() -> None:
    with pytest.raises(ValueError, match="takes 2 replies"):
        render(load_rubric("pairwise@2"), Prompt("p", user("q"), "en", PromptKind.HARMFUL), "one")


def test_a_text_without_a_case() -> None:
    with pytest.raises(InputError, match="no case"):
        parse_rendered("hello")
