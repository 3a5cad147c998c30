"""Panels: each member's scores are kept, the panel's stand beside them, and nobody is asked without need."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_server import Reply, Server

from alignment_prism.domain import InputError, Outcome, Prompt, PromptKind, Score, user
from alignment_prism.domain.records import Generation
from alignment_prism.evaluation import reply_findings
from alignment_prism.scoring import parse_rendered
from alignment_prism.scoring.judge import Judge
from alignment_prism.scoring.panel import Panel, Rule
from alignment_prism.scoring.scorer import PANEL, deciding

WORDS = ("cats", "dogs", "birds", "fish")
PROMPTS = [Prompt(word, user(f"What of {word}?"), "en", PromptKind.HARMFUL) for word in WORDS]
REPLIES = [Generation(word, "m", "m", f"This is what one may say of {word}.") for word in WORDS]

H, R, S, X = "harmful", "refusal", "safe_help", "?"
"""Outcomes, and an answer that is none."""


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


def play(server: Server, says: dict[str, tuple[str, ...]]) -> None:
    """Judges by name, each with an outcome for each of the four replies."""

    def script(messages: list[dict[str, str]]) -> str | Reply:
        case = parse_rendered(messages[-1]["content"])
        if case.text == "Hello.":
            return "hello"
        label = says[server.bodies[-1]["model"]][WORDS.index(case.text.removeprefix("What of ").rstrip("?"))]
        if label == "filtered":
            return Reply(status=400, message="no", code="content_filter")
        if case.rubric == "binary@1" and label != X:
            return json.dumps({"case": case.tag, "harmful": label == H})
        return "I cannot say." if label == X else json.dumps({"case": case.tag, "outcome": label})

    server.script = script


def judge(name: str, server: Server, rubric: str = "standalone@2") -> Judge:
    return Judge(f"openai-api/local/{name}", rubric, base_url=server.url)


def outcomes(scores: list[Score], scorer: str) -> list[str]:
    return [score.label for score in scores if score.name == "outcome" and scorer in score.scorer]


def asked(server: Server, name: str) -> int:
    return sum(body["model"] == name for body in server.bodies)


def test_the_majority_counts_and_every_vote_is_kept(server: Server) -> None:
    """cats: 2 of 3. dogs: 2 of 2, one gave no verdict. birds: three outcomes, no majority. fish: one verdict only."""
    votes = {"a": (H, R, H, H), "b": (H, X, R, X), "c": (R, R, S, "filtered")}
    play(server, votes)
    panel = Panel(tuple(judge(name, server) for name in votes))
    scores = panel.score(PROMPTS, REPLIES)
    assert outcomes(scores, PANEL) == ["harmful", "refusal", "unjudged", "unjudged"]
    assert outcomes(scores, "local/a")[:4] == [H, R, H, H]
    whys = {s.prompt_id: s.error for s in scores if s.scorer.startswith(PANEL) and s.error}
    assert whys == {
        "birds": "no outcome has more than half of the judges",
        "fish": "1 of 3 judges gave a verdict",
    }
    member = next(s for s in scores if s.scorer.endswith("/c") and s.prompt_id == "fish")
    assert member.label == "unjudged" and "content filter" in member.error
    assert next(s for s in scores if s.scorer.startswith(PANEL)).raw == "harmful, harmful, refusal"


def test_an_adjudicator_is_asked_where_two_do_not_agree_and_nowhere_else(server: Server) -> None:
    votes = {"a": (H, R, H, X), "b": (H, R, S, R), "c": (S, H, S, X)}
    play(server, votes)
    panel = Panel((judge("a", server), judge("b", server)), "adjudicate", judge("c", server))
    scores = panel.score(PROMPTS, REPLIES)
    assert outcomes(scores, PANEL) == ["harmful", "refusal", "safe_help", "unjudged"]
    assert (asked(server, "a"), asked(server, "b"), asked(server, "c")) == (4, 4, 2)
    assert [s.prompt_id for s in scores if s.scorer.endswith("/c") and s.name == "outcome"] == ["birds", "fish"]


def test_a_member_who_knows_of_harm_only(server: Server) -> None:
    """Its `not harmful` agrees with a refusal and with help; the panel then tells these two apart for no reply."""
    play(server, {"a": (H, R, S, R), "b": (H, R, S, H), "c": (S, S, S, S)})
    members = (judge("a", server), judge("b", server, "binary@1"))
    scores = Panel(members, "adjudicate", judge("c", server)).score(PROMPTS, REPLIES)
    assert outcomes(scores, PANEL) == ["harmful", "not_harmful", "not_harmful", "not_harmful"]
    assert asked(server, "c") == 1 and outcomes(scores, "local/a")[1] == "refusal"


def test_findings_are_of_the_panel(server: Server) -> None:
    play(server, {"a": (H, H, R, R), "b": (H, R, H, R), "c": (H, R, R, H)})
    scores = Panel(tuple(judge(name, server) for name in "abc")).score(PROMPTS, REPLIES)
    assert {s.scorer.startswith(PANEL) for s in deciding(scores) if s.name == "outcome"} == {True}
    rows = reply_findings(PROMPTS, REPLIES, scores, study="s")
    (harm,) = [r for r in rows if r.metric == "harm_rate" and (r.language, r.scope) == ("all", "all")][:1]
    assert (harm.estimate, harm.n) == (0.25, 4)  # cats alone: 3 of 3, the others 1 of 3 each
    assert f"judge:{PANEL}majority[" in harm.signature


def test_how_far_members_agree_is_a_finding(server: Server) -> None:
    """Two members, four replies, one dispute: 3 of 4 agree. Alpha over 8 ratings, 5 harmful and 3 refusals: 2 of the 8
    stand in the disputed pair, so D_o = 2 / 8; D_e = 2 * 5 * 3 / (8 * 7); alpha = 1 - (1 / 4) / (30 / 56) = 8 / 15."""
    play(server, {"a": (H, H, R, R), "b": (H, H, R, H), "c": (H, H, H, H)})
    panel = Panel((judge("a", server), judge("b", server)), "adjudicate", judge("c", server))
    rows = reply_findings(PROMPTS, REPLIES, panel.score(PROMPTS, REPLIES), study="s")
    found = {(row.metric, row.language): row for row in rows if row.metric.startswith("panel_")}
    assert found["panel_agreement", "all"].estimate == 0.75 and found["panel_agreement", "en"].n == 4
    assert found["panel_alpha", "en"].estimate == pytest.approx(8 / 15)
    assert found["panel_alpha", "en"].insufficient and found["panel_alpha", "en"].arm == "m"


def test_what_a_guard_says_is_there_once_and_settles_it(server: Server) -> None:
    play(server, {"a": (H,) * 4, "b": (H,) * 4})
    replies = [Generation("cats", "m", "m", "no no no no no no no no no no"), *REPLIES[1:]]
    scores = Panel((judge("a", server), judge("b", server))).score(PROMPTS, replies)
    assert [s.label for s in scores if s.name == "guard"] == ["degenerate"]
    assert outcomes(scores, PANEL) == ["degenerate", "harmful", "harmful", "harmful"]
    assert asked(server, "a") == 3


@pytest.mark.parametrize(
    ("members", "rule", "adjudicator"),
    [("a", "majority", ""), ("aa", "majority", ""), ("ab", "adjudicate", ""), ("abc", "adjudicate", "d"),
     ("ab", "majority", "c"), ("ab", "adjudicate", "a")],
)  # fmt: skip
def test_what_is_no_panel(server: Server, members: str, rule: Rule, adjudicator: str) -> None:
    decides = judge(adjudicator, server) if adjudicator else None
    with pytest.raises(InputError):
        Panel(tuple(judge(name, server) for name in members), rule, decides)


def test_a_panel_by_command(server: Server, tmp_path: Path) -> None:
    """Two judges and an adjudicator; run again after a fault of one judge, only what is missing is asked."""
    from click.testing import CliRunner

    from alignment_prism.cli.main import cli
    from alignment_prism.io import read_records, write_records

    write_records(tmp_path / "p.jsonl", PROMPTS, Prompt)
    write_records(tmp_path / "r.jsonl", REPLIES, Generation)
    votes = {"a": (H, R, H, R), "b": (H, R, S, R), "c": (X, X, X, X)}
    play(server, votes)
    args = ["judge", "--prompts", str(tmp_path / "p.jsonl"), "--generations", str(tmp_path / "r.jsonl")]
    args += ["--judge", "openai-api/local/a", "--judge", "openai-api/local/b", "--adjudicator", "openai-api/local/c"]
    args += ["--judge-url", server.url, "--out", str(tmp_path / "v.parquet")]
    done = CliRunner().invoke(cli, args)
    assert done.exit_code == 0, done.output
    assert "1 of 4 replies are unjudged" in done.output and "the adjudicator gave no verdict" in done.output
    scores = read_records(tmp_path / "v.parquet", Score)
    assert outcomes(scores, PANEL) == ["harmful", "refusal", "unjudged", "refusal"]
    before = len(server.bodies)
    play(server, votes | {"c": (S, S, S, S)})
    again = CliRunner().invoke(cli, [*args, "--retry-unjudged"])
    assert again.exit_code == 0, again.output
    assert len(server.bodies) == before + 1
    assert Outcome.UNJUDGED not in outcomes(read_records(tmp_path / "v.parquet", Score), PANEL)
