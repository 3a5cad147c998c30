"""Results of promptfoo, PyRIT and garak, as their present and former versions write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from alignment_prism.domain import InputError, Outcome, PromptKind, StopReason
from alignment_prism.domain.runs import Run
from alignment_prism.io import Intake
from alignment_prism.logs import LogColumns, Meaning, read_run

SAID = {"kind": "harmful", "language": "en"}


def labels(run: Run) -> list[tuple[str, int, str]]:
    return [(score.prompt_id, score.sample, score.label) for score in run.scores]


def promptfoo_result(question: str, output: Any, passed: bool, **more: Any) -> dict[str, Any]:
    return {
        "promptIdx": 0, "testIdx": 0, "testCase": {"vars": {"q": question}, "assert": []}, "promptId": "x",
        "provider": {"id": "openai:gpt-x", "label": ""}, "prompt": {"raw": f"Say: {question}", "label": "t"},
        "vars": {"q": question, "language": "es"}, "response": {"output": output}, "success": passed,
        "score": float(passed),
        "namedScores": {"Tone": 0.5}, "failureReason": 0 if passed else 1,
        "gradingResult": {
            "pass": passed, "score": float(passed), "reason": "because",
            "componentResults": [{"pass": passed, "score": 1, "reason": "r", "assertion": {"type": "llm-rubric"}}],
        }, **more,
    }  # fmt: skip


@pytest.mark.parametrize("version", [2, 3])
def test_results_of_promptfoo(tmp_path: Path, version: int) -> None:
    chat = json.dumps([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "C?"}])
    results = [
        promptfoo_result("A?", "no", True, metadata={"pluginId": "harmful:hate"}),
        promptfoo_result("B?", {"tool": "x"}, False),
        promptfoo_result("C?", None, False, error="429", prompt={"raw": chat, "label": "chat"}),
    ]
    path = tmp_path / "results.json"
    summary = {"version": version, "timestamp": "2026", "results": results, "stats": {}}
    path.write_text(json.dumps({"evalId": "eval-1", "results": summary, "config": {}, "shareableUrl": None}))
    columns = LogColumns(
        {}, {"kind": "general"}, verdict="success", meaning=Meaning({"true": "refusal", "false": "harmful"})
    )
    run = read_run(path, columns=columns)
    assert run.name == "openai:gpt-x"
    assert [(p.kind, p.language, p.text) for p in run.prompts] == [
        (PromptKind.HARMFUL, "es", "Say: A?"), (PromptKind.GENERAL, "es", "Say: B?"), (PromptKind.GENERAL, "es", "C?"),
    ]  # fmt: skip
    assert run.prompts[0].categories == ("harmful:hate",)
    assert [reply.reply for reply in run.generations] == ["no", '{"tool": "x"}', ""]
    assert run.generations[2].stop_reason is StopReason.ERROR
    assert [score.label for score in run.scores if score.name == "outcome"] == ["refusal", "harmful", "unjudged"]
    assert {score.name for score in run.scores} == {"outcome", "score", "namedScores.Tone", "assert.llm-rubric"}
    run = read_run(path, columns=LogColumns({"prompt": "vars.q"}, {"kind": "general"}, verdict="success"))
    assert [prompt.text for prompt in run.prompts] == ["A?", "B?", "C?"]


def test_promptfoo_calls_what_it_could_not_grade_no_success(tmp_path: Path) -> None:
    """`failureReason` 2: the grader broke. As .jsonl, a line a result."""
    results = [
        promptfoo_result("A?", "no", True),
        promptfoo_result("B?", "yes", False),
        promptfoo_result("C?", "well", False, failureReason=2, error="429 from the grader", gradingResult=None),
    ]
    path = tmp_path / "results.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in results))
    words = Meaning({"true": "refusal", "false": "harmful"})
    run = read_run(path, columns=LogColumns({}, {"kind": "harmful"}, verdict="success", meaning=words))
    assert [reply.reply for reply in run.generations] == ["no", "yes", "well"]
    assert [score.label for score in run.scores if score.name == "outcome"] == ["refusal", "harmful", "unjudged"]


def piece(conversation: str, sequence: int, role: str, text: str, **more: Any) -> dict[str, Any]:
    return {
        "id": f"{conversation}{sequence}", "role": role, "conversation_id": conversation, "sequence": sequence,
        "timestamp": "2026-11-21", "labels": {"language": "sr"}, "targeted_harm_categories": None,
        "prompt_metadata": {},
        "converter_identifiers": [], "prompt_target_identifier": {"__type__": "OpenAIChatTarget",
        "model_name": "gpt-x"},
        "original_value_data_type": "text", "original_value": text.lower(), "converted_value_data_type": "text",
        "converted_value": text, "response_error": "none", "originator": "undefined", "scores": [], **more,
    }  # fmt: skip


def test_conversations_of_pyrit(tmp_path: Path) -> None:
    score = {
        "score_value": "True", "score_type": "true_false", "score_category": ["harm"], "score_rationale": "it does",
        "scorer_class_identifier": {"__type__": "SelfAskTrueFalseScorer"},
    }  # fmt: skip
    pieces = [  # an export is in no order that one may rely on
        piece("one", 3, "assistant", "SECOND REPLY", scores=[score]),
        piece("one", 0, "user", "FIRST", targeted_harm_categories=["violence"]),
        piece("two", 0, "user", "ALONE", targeted_harm_categories=["hate"]),
        piece("one", 1, "assistant", "REPLY"),
        piece("one", 2, "user", "SECOND"),
        piece(
            "two", 1, "assistant", '{"status_code": 400}', response_error="blocked", converted_value_data_type="error"
        ),
        piece("three", 0, "user", "NEVER ANSWERED"),
    ]
    path = tmp_path / "memory.json"
    path.write_text(json.dumps(pieces, indent=4))
    intake = Intake(keep_going=True)
    run = read_run(path, columns=LogColumns(meaning=Meaning({"true": "harmful", "false": "refusal"})), intake=intake)
    assert run.name == "gpt-x"
    assert [[turn.content for turn in prompt.messages] for prompt in run.prompts] == [
        ["FIRST", "REPLY", "SECOND"],
        ["ALONE"],
    ]
    assert [(prompt.kind, prompt.language, prompt.categories) for prompt in run.prompts] == [
        (PromptKind.HARMFUL, "sr", ("violence",)), (PromptKind.HARMFUL, "sr", ("hate",)),
    ]  # fmt: skip
    assert [(reply.reply, reply.stop_reason) for reply in run.generations] == [
        ("SECOND REPLY", StopReason.STORED), ("", StopReason.ERROR),
    ]  # fmt: skip
    assert "blocked" in run.generations[1].error
    assert [score.outcome for score in run.scores] == [Outcome.HARMFUL, Outcome.UNJUDGED]
    assert run.scores[0].scorer == "pyrit:SelfAskTrueFalseScorer:harm"
    assert intake.counts() == {"rows": 3, "accepted": 2, "rejected": 1}
    assert list(intake.reasons) == ["the conversation has no reply"]
    columns = LogColumns({"prompt": "original"}, meaning=Meaning({"true": "harmful"}))
    run = read_run(path, columns=columns, intake=Intake(keep_going=True))
    assert [prompt.text for prompt in run.prompts] == ["second", "alone"]


def test_conversations_of_pyrit_with_identifiers_of_today(tmp_path: Path) -> None:
    """From 0.11 on an identifier is flat, and its class is `class_name`; a developer speaks as the system does."""
    identifier = {"class_module": "pyrit.score", "hash": "ab", "pyrit_version": "0.12.0"}
    score = {
        "id": "s", "score_value": "1.0", "score_value_description": "", "score_type": "float_scale",
        "score_category": None, "score_rationale": "it does", "score_metadata": {}, "message_piece_id": "x",
        "scorer_class_identifier": {"class_name": "SelfAskScaleScorer", "scorer_type": "float_scale", **identifier},
        "timestamp": "2026-11-21", "objective": "",
    }  # fmt: skip
    target = {"class_name": "OpenAIChatTarget", "endpoint": "https://x.invalid", "model_name": "gpt-y", **identifier}
    pieces = [
        piece("one", 0, "developer", "BE BRIEF"),
        piece("one", 1, "user", "FIRST", targeted_harm_categories=["violence"]),
        piece("one", 2, "assistant", "REPLY", scores=[score], prompt_target_identifier=target),
    ]
    path = tmp_path / "memory.json"
    path.write_text(json.dumps(pieces, indent=4))
    run = read_run(path, columns=LogColumns(meaning=Meaning(harmful_from=0.5)))
    assert run.name == "gpt-y" and [turn.role for turn in run.prompts[0].messages] == ["system", "user"]
    assert [(s.scorer, s.outcome) for s in run.scores] == [("pyrit:SelfAskScaleScorer", Outcome.HARMFUL)]


def attempt(uuid: str, seq: int, status: int, prompt: Any, outputs: list[Any], **results: list[Any]) -> dict[str, Any]:
    return {
        "entry_type": "attempt", "uuid": uuid, "seq": seq, "status": status, "probe_classname": "dan.Dan_11_0",
        "probe_params": {}, "targets": [], "prompt": prompt, "outputs": outputs, "detector_results": results,
        "notes": {},
        "goal": "disregard the system prompt",
    }  # fmt: skip


@pytest.mark.parametrize("shape", ["texts", "turns"])
def test_a_report_of_garak(tmp_path: Path, shape: str) -> None:
    def said(text: str) -> Any:
        return text if shape == "texts" else {"text": text, "lang": "en", "notes": {}}

    def asked(text: str) -> Any:
        return text if shape == "texts" else {"turns": [{"role": "user", "content": said(text)}], "notes": {}}

    rows = [
        {"entry_type": "start_run setup", "plugins.target_name": "org/target", "plugins.probe_spec": "dan"},
        {"entry_type": "init", "garak_version": "0.13.1", "run": "r"},
        attempt("u1", 0, 1, asked("P0"), [said("a"), said("b")]),
        attempt("u1", 0, 2, asked("P0"), [said("a"), said("b")], **{"dan.DAN": [1.0, 0.0]}),
        attempt("u2", 1, 2, asked("P1"), [said("c"), None], **{"dan.DAN": [None, 0.0]}),
        attempt("u3", 2, 1, asked("P2"), [said("d"), said("e")]),  # stopped before it was evaluated
        {"entry_type": "eval", "probe": "dan.Dan_11_0", "detector": "dan.DAN", "passed": 1, "total": 2},
    ]
    path = tmp_path / "garak.x.report.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = read_run(path, columns=LogColumns({}, SAID, meaning=Meaning(harmful_from=0.5)))
    assert run.name == "org/target"
    assert [(p.id, p.text, p.language) for p in run.prompts] == [(f"dan.Dan_11_0/{n}", f"P{n}", "en") for n in range(3)]
    assert [(r.sample, r.reply) for r in run.generations] == [(0, "a"), (1, "b"), (0, "c"), (1, ""), (0, "d"), (1, "e")]
    assert [label for _, _, label in labels(run)] == ["harmful", "safe_help", *["unjudged"] * 4]
    assert run.facts == {"probes": "dan", "harness": "garak 0.13.1"}


def test_a_report_of_garak_of_today(tmp_path: Path) -> None:
    """An attack of two turns is two attempts: the second has the first in its prompt."""

    def said(text: str) -> dict[str, Any]:
        return {"text": text, "lang": "en", "data_path": None, "data_type": None, "data_checksum": None, "notes": {}}

    def turns(*texts: str) -> dict[str, Any]:
        roles = ("user", "assistant")
        return {"turns": [{"role": roles[i % 2], "content": said(t)} for i, t in enumerate(texts)], "notes": {}}

    more = {"reverse_translation_outputs": [], "intent": "S005hate", "conversations": []}
    rows = [
        {"entry_type": "start_run setup", "plugins.target_type": "openai", "plugins.target_name": "gpt-z"},
        {"entry_type": "init", "garak_version": "0.17.0", "start_time": "2026-09-25", "run": "r"},
        {**attempt("u1", 0, 2, turns("P0"), [said("a")], **{"dan.DAN": [0.0]}), "previous_attempt_id": None, **more},
        {**attempt("u2", 1, 2, turns("P0", "a", "P1"), [said("b")], **{"dan.DAN": [1.0]}),
         "previous_attempt_id": "u1", **more},
        {"entry_type": "eval", "probe": "dan.Dan_11_0", "detector": "dan.DAN", "passed": 1, "fails": 1, "nones": 0},
        {"entry_type": "digest", "meta": {}},
    ]  # fmt: skip
    path = tmp_path / "garak.x.report.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = read_run(path, columns=LogColumns({}, SAID, meaning=Meaning(harmful_from=0.5)))
    assert run.name == "gpt-z"
    assert [[turn.content for turn in p.messages] for p in run.prompts] == [["P0"], ["P0", "a", "P1"]]
    assert [label for _, _, label in labels(run)] == ["safe_help", "harmful"]


def test_a_hit_log_of_garak_is_no_log_of_all_attempts(tmp_path: Path) -> None:
    hit = {
        "goal": "g", "prompt": {"turns": []}, "output": {"text": "a"}, "triggers": None, "score": 1.0, "run_id": "r",
        "attempt_id": "u1", "attempt_seq": 0, "attempt_idx": 0, "generator": "openai gpt-z", "probe": "dan",
        "detector": "dan.DAN", "generations_per_prompt": 5,
    }  # fmt: skip
    path = tmp_path / "garak.x.hitlog.jsonl"
    path.write_text(json.dumps(hit) + "\n")
    with pytest.raises(InputError, match="only the attempts that worked"):
        read_run(path, columns=LogColumns({}, SAID))
