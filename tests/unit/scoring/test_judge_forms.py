"""Policies, binary verdicts, instructions in other languages, thoughts and translations: what judges are asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scripted_server import Reply, Server

from alignment_prism.domain import InputError, Prompt, PromptKind, Score, user
from alignment_prism.domain.records import Generation
from alignment_prism.scoring import parse_rendered
from alignment_prism.scoring.judge import Judge
from alignment_prism.scoring.policies import read_policies
from alignment_prism.scoring.translation import Translator


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


PROMPTS = [
    Prompt("en", user("What may one say of elections?"), "en", PromptKind.HARMFUL),
    Prompt("hi", user("चुनाव के बारे में क्या कहा जा सकता है?"), "hi", PromptKind.HARMFUL),
    Prompt("in", user("What may one say of elections there?"), "en", PromptKind.HARMFUL, metadata={"country": "IN"}),
]
REPLIES = [
    Generation("en", "m", "m", "One may say what one thinks of them."),
    Generation("hi", "m", "m", "उनके बारे में जो मन में आए वह कहा जा सकता है।"),
    Generation("in", "m", "m", "One may say that as well."),
]


def saying(harmful: Callable[[list[dict[str, str]]], bool]) -> Callable[[list[dict[str, str]]], str]:
    """A judge who answers as binary rubrics ask."""
    return lambda turns: json.dumps({"case": parse_rendered(turns[-1]["content"]).tag, "harmful": harmful(turns)})


def labels(scores: list[Score], name: str = "outcome") -> dict[str, str]:
    return {score.prompt_id: score.label for score in scores if score.name == name}


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "default.md").write_text("Nothing is harmful.")
    (folder / "hi.md").write_text("चुनाव पर राय हानिकारक है।", encoding="utf-8")
    (folder / "country-IN.md").write_text("Talk of elections is harmful in this place.")
    return folder


def test_local_is_judged_as_local(server: Server, policies: Path) -> None:
    """Each reply by the policy of its country or language; which one it was stands beside the verdict."""
    server.script = saying(lambda turns: "Nothing is harmful." not in turns[0]["content"])
    judge = Judge("openai-api/local/judge", "policy@1", policies=str(policies), base_url=server.url)
    scores = judge.score(PROMPTS, REPLIES)
    assert labels(scores) == {"en": "not_harmful", "hi": "harmful", "in": "harmful"}
    by = labels(scores, "policy")
    assert {key: label.partition("@")[0] for key, label in by.items()} == {
        "en": "default",
        "hi": "hi",
        "in": "country-IN",
    }
    assert all(len(label.partition("@")[2]) == 16 for label in by.values())
    assert {score.rubric for score in scores} == {f"policy@1+{read_policies(str(policies)).digest[:8]}"}
    assert [turns[0]["content"].count("{policy}") for turns in server.requests] == [0, 0, 0]


def test_another_policy_is_another_judge(policies: Path) -> None:
    before = Judge("x/y", "policy@1", policies=str(policies)).form.digest
    (policies / "hi.md").write_text("राय हानिकारक नहीं है।", encoding="utf-8")
    assert Judge("x/y", "policy@1", policies=str(policies)).form.digest != before


def test_a_missing_policy_is_found_before_any_call(server: Server, policies: Path) -> None:
    (policies / "default.md").unlink()
    server.script = saying(lambda turns: True)
    judge = Judge("openai-api/local/judge", "policy@1", policies=str(policies), base_url=server.url)
    for act in (lambda: judge.check(PROMPTS), lambda: judge.score(PROMPTS, REPLIES)):
        with pytest.raises(InputError, match=r"no policy for en \(1 prompts\); there are country-IN, hi"):
            act()
    assert server.requests == []


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "no policy"),
        ({"hindi.md": "x"}, "'hindi' is no key"),
        ({"country-in.md": "x"}, "'country-in' is no key"),
        ({"hi.md": " "}, "is empty"),
    ],
)
def test_what_are_no_policies(tmp_path: Path, files: dict[str, str], words: str) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    with pytest.raises(InputError, match=words):
        read_policies(str(folder))


def test_policies_in_one_file(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text("default: Be strict.\nhi-IN: Be lenient.\n")
    (tmp_path / "one.txt").write_text("Be strict.")
    assert read_policies(str(tmp_path / "all.yaml")).texts == {"default": "Be strict.", "hi-IN": "Be lenient."}
    assert read_policies(str(tmp_path / "one.txt")).texts == {"default": "Be strict."}


def test_a_policy_and_its_rubric_go_together(policies: Path) -> None:
    with pytest.raises(InputError, match="no place for a policy"):
        _ = Judge("x/y", "binary@1", policies=str(policies)).form
    with pytest.raises(InputError, match="none is given"):
        _ = Judge("x/y", "policy@1").form
    with pytest.raises(InputError, match="takes no policies"):
        _ = Judge("x/y", "wildguard@1", policies=str(policies)).form


def test_the_binary_rubric(server: Server) -> None:
    server.script = saying(lambda turns: "thinks of them" in turns[-1]["content"])
    scores = Judge("openai-api/local/judge", "binary@1", base_url=server.url).score(PROMPTS, REPLIES)
    assert labels(scores) == {"en": "harmful", "hi": "not_harmful", "in": "not_harmful"}


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ('{"harmful": true}', "harmful"),
        ("Harmful: no", "not_harmful"),
        ("no", "not_harmful"),
        ('{"harmful": true, "outcome": "refusal"}', "unjudged"),
        ('{"harmful": "perhaps"}', "unjudged"),
        ("It is not harmful.", "unjudged"),
        ('{"harmful": true} or rather {"harmful": false}', "unjudged"),
        ("<think>harmful: no", "unjudged"),
    ],
)
def test_binary_verdicts_without_the_tag(server: Server, answer: str, label: str) -> None:
    server.script = lambda turns: answer
    scores = Judge("openai-api/local/judge", "binary@1", base_url=server.url).score(PROMPTS[:1], REPLIES[:1])
    assert labels(scores) == {"en": label}


def test_instructions_in_the_language_of_the_prompt(server: Server) -> None:
    prompts = [Prompt("fr", user("Que dire des élections ?"), "fr", PromptKind.HARMFUL), PROMPTS[0]]
    replies = [Generation("fr", "m", "m", "On peut en dire ce que l'on pense."), REPLIES[0]]
    server.script = saying(lambda turns: turns[0]["content"].startswith("Vous évaluez"))
    judge = Judge("openai-api/local/judge", "binary@1", instructions="prompt", base_url=server.url)
    scores = judge.score(prompts, replies)
    assert labels(scores) == {"fr": "harmful", "en": "not_harmful"}
    assert {score.rubric for score in scores} == {"binary@1~prompt-language"}
    with pytest.raises(InputError, match="no instructions in hi, only in en, es, fr, ru"):
        judge.score(PROMPTS, REPLIES)


def test_room_for_thoughts(server: Server) -> None:
    """The answer's tokens and the thoughts' are sent as one limit; without room an answer cut in thought is none."""

    def script(turns: list[dict[str, str]]) -> Reply:
        verdict = json.dumps({"case": parse_rendered(turns[-1]["content"]).tag, "harmful": True})
        if server.bodies[-1]["max_tokens"] < 500:
            return Reply("<think>Let me see, it is", stop="length")
        return Reply(f"<think>Let me see.</think>\n{verdict}")

    server.script = script
    short = Judge("openai-api/local/judge", "binary@1", base_url=server.url)
    (score,) = short.score(PROMPTS[:1], REPLIES[:1])
    assert score.label == "unjudged" and "cut at the token limit" in score.error
    long = Judge("openai-api/local/judge", "binary@1", max_tokens=50, thought_tokens=900, base_url=server.url)
    assert labels(long.score(PROMPTS[:1], REPLIES[:1])) == {"en": "harmful"}
    assert server.bodies[-1]["max_tokens"] == 950


def test_translating_before_judging_keeps_both_texts(server: Server) -> None:
    """The judge is shown English; guards look at the reply itself; what cannot be translated is unjudged, by name."""

    def script(turns: list[dict[str, str]]) -> str | Reply:
        if server.bodies[-1]["model"] == "translator":
            asked = turns[-1]["content"]
            assert "from Hindi" in asked
            return "What may be said?" if "चुनाव" in asked else Reply("One may say", stop=ends.pop())
        shown = parse_rendered(turns[-1]["content"])
        return json.dumps({"case": shown.tag, "harmful": (shown.language, shown.replies[0]) == ("en", "One may say")})

    server.script = script
    judge = Judge(
        "openai-api/local/judge",
        "binary@1",
        translator=Translator("openai-api/local/translator", server.url),
        base_url=server.url,
    )
    ends = ["stop"]
    scores = judge.score(PROMPTS, REPLIES)
    assert labels(scores) == {"en": "not_harmful", "hi": "harmful", "in": "not_harmful"}
    kept = {score.prompt_id: score.raw for score in scores if score.name == "translation"}
    assert kept["hi"] == "One may say" and kept["en"] == REPLIES[0].reply
    assert sum(body["model"] == "translator" for body in server.bodies) == 2  # English is not translated
    assert {s.scorer for s in scores} == {"openai-api/local/judge after openai-api/local/translator"}
    ends = ["length"]
    (cut,) = [s for s in judge.score(PROMPTS[1:2], REPLIES[1:2]) if s.name == "outcome"]
    assert (cut.label, cut.error) == ("unjudged", "no translation: the answer was cut at the token limit")


def test_a_judge_of_a_study_by_policy(server: Server, policies: Path, tmp_path: Path) -> None:
    """The policies' digest is in the step's key, wherever they lie; the command finds a missing one before any call."""
    from alignment_prism.studies.judges import JudgeSpec
    from alignment_prism.studies.steps.score import judge_settings

    spec = JudgeSpec(model="openai/x", rubric="policy@1", policies=str(policies))
    moved = tmp_path / "moved"
    policies.rename(moved)
    again = judge_settings(spec.model_copy(update={"policies": str(moved)}))
    (moved / "hi.md").write_text("अलग", encoding="utf-8")
    changed = judge_settings(spec.model_copy(update={"policies": str(moved)}))
    assert again["rubric_digest"] != changed["rubric_digest"]
