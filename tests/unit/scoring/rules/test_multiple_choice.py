"""Which option a reply chooses."""

from __future__ import annotations

import pytest

from alignment_prism.domain import Generation, InputError, Prompt, PromptKind, user
from alignment_prism.scoring.rules import score_replies
from alignment_prism.scoring.rules.multiple_choice import chosen

OPTIONS = ["The Nile", "The Amazon", "Le Danube", "नर्मदा"]


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("B", "B"), ("b", "B"), (" (B). ", "B"), ("**C**", "C"), ("Ｄ", "D"), ("B. The Amazon", "B"), ("B) yes", "B"),
        ("the amazon.", "B"), ("नर्मदा", "D"), ("It is long. Answer: B", "B"), ("Réponse : **C**.", "C"),
        ("उत्तर: D", "D"), ("B\nbecause it is long", "B"), ("A: no, so the answer is: A", "A"),
        ("A or B", ""), ("A. no. Answer: B", ""), ("E", ""), ("", ""), ("Because of the rain", ""),
        ("A, B", ""), ("B. The Amazon\nC. Le Danube", ""), ("(A) no, (B) yes", ""),
        ("The Nile? No. A. The Nile B. The Amazon", ""), ("A. The Nile\nB. The Amazon\nC. Le Danube\nD. नर्मदा", ""),
        ("A. The Nile\nB. The Amazon\nC. Le Danube\nD. नर्मदा\n\nAnswer: C", "C"), ("答案是 (B)", "B"),
        ("The answer is **B**.", "B"), ("La réponse est (B).", "B"), (r"So it is $\boxed{B}$.", "B"),
        ("<answer>B</answer>", "B"), ("Answer: B. The Amazon", "B"), ("Answer: B (The Amazon)", "B"),
        ("Answer: B\n\nThe Nile is longer in A's atlas.", "B"), ("Note: A river is long", ""),
        ("A river is long", ""), ("I do not know.", ""), ("The Nile, The Amazon", ""),
    ],
)  # fmt: skip
def test_choices(reply: str, letter: str) -> None:
    assert chosen(reply, OPTIONS) == letter


def test_an_unread_choice_is_wrong_and_counted() -> None:
    prompt = Prompt("p", user("?"), "en", PromptKind.GENERAL, reference="B", metadata={"choices": OPTIONS})
    replies = [Generation("p", arm, "x", reply) for arm, reply in (("right", "B"), ("wrong", "A"), ("none", "hm"))]
    said = {(s.arm, s.name): s.value for s in score_replies([prompt], replies, ["multiple_choice"])}
    assert [said[arm, "multiple_choice"] for arm in ("right", "wrong", "none")] == [1, 0, 0]
    assert [said[arm, "choice_unread"] for arm in ("right", "wrong", "none")] == [0, 0, 1]
    with pytest.raises(InputError, match="choices"):
        score_replies([Prompt("q", user("?"), "en", PromptKind.HARMFUL, reference="B")], [], ["multiple_choice"])
