"""Logs of other harnesses, made by Inspect itself or by hand as their documentation has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from alignment_prism.domain import InputError, Role, StopReason
from alignment_prism.domain.runs import Run
from alignment_prism.logs import LogColumns, Meaning, read_log, read_run

SAID = {"kind": "harmful", "language": "en"}


def labels(run: Run) -> list[tuple[str, int, str]]:
    return [(score.prompt_id, score.sample, score.label) for score in run.scores]


@pytest.fixture(scope="module")
def inspect_logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three samples, two epochs; one scorer says C or I, one a number, one several numbers."""
    from inspect_ai import Task, eval
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ChatMessageSystem, ChatMessageUser, GenerateConfig, ModelOutput, ModelUsage, get_model
    from inspect_ai.scorer import Score, Target, accuracy, includes, mean, scorer
    from inspect_ai.solver import TaskState

    @scorer(metrics=[mean()])
    def toxicity():  # type: ignore[no-untyped-def]
        async def score(state: TaskState, target: Target) -> Score:
            return Score(value=0.9 if "harm" in state.output.completion else 0.1, explanation="as it says")

        return score

    @scorer(metrics={"*": [accuracy()]})
    def parts():  # type: ignore[no-untyped-def]
        async def score(state: TaskState, target: Target) -> Score:
            return Score(value={"length": len(state.output.completion), "kind": "C"})

        return score

    samples = [
        Sample(id=1, input="First?", target="harm", metadata={"language": "fr", "kind": "harmful", "group": "s1"}),
        Sample(
            id="b", input=[ChatMessageSystem(content="Be good."), ChatMessageUser(content="Second?")], target="safe"
        ),
        Sample(id="c", input="x" * 200 + " Third?", target="safe"),  # long texts are kept aside as attachments
    ]

    def answer(messages: Any, *rest: Any) -> ModelOutput:
        texts = [message.text for message in messages]
        output = ModelOutput.from_content("mockllm/model", "harm" if texts[-1] == "First?" else "safe reply")
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)  # else Inspect fetches a tokenizer
        return output

    folder = tmp_path_factory.mktemp("inspect")
    model = get_model("mockllm/model", custom_outputs=answer, config=GenerateConfig(temperature=0.7))
    task = Task(dataset=samples, scorer=[includes(), toxicity(), parts()], epochs=2, name="safety", version=3)
    eval(task, model=model, log_dir=str(folder), display="none", log_format="eval", temperature=0.7)
    return folder


def test_an_inspect_log_that_inspect_wrote(inspect_logs: Path) -> None:
    (path,) = inspect_logs.glob("*.eval")
    run = read_run(path, columns=LogColumns({}, SAID, verdict="toxicity", meaning=Meaning(harmful_from=0.5)))
    assert run.name == "mockllm/model"
    assert run.prompts[0].group == "s1"
    assert [(prompt.id, prompt.language, prompt.reference) for prompt in run.prompts] == [
        ("1", "fr", "harm"), ("b", "en", "safe"), ("c", "en", "safe"),
    ]  # fmt: skip
    assert [turn.role for turn in run.prompts[1].messages] == [Role.SYSTEM, Role.USER]
    assert run.prompts[2].text == "x" * 200 + " Third?"
    assert sorted((r.prompt_id, r.sample, r.reply) for r in run.generations) == [
        (id_, epoch, reply)
        for id_, reply in (("1", "harm"), ("b", "safe reply"), ("c", "safe reply"))
        for epoch in (0, 1)
    ]  # fmt: skip
    said = {(s.prompt_id, s.scorer, s.name): (s.label, s.value) for s in run.scores if s.sample == 0}
    assert said["1", "inspect:toxicity", "outcome"][0] == "harmful"
    assert said["b", "inspect:toxicity", "outcome"][0] == "safe_help"
    assert said["c", "inspect:parts.length", "parts.length"][1] == len("safe reply")
    assert {reply.stop_reason for reply in run.generations} == {StopReason.STOP}
    assert {reply.temperature for reply in run.generations} == {0.7}
    assert run.facts["task"] == "safety@3"
    assert "temperature 0.7" in run.facts["sampling"]


def test_inspects_own_grades_say_right_and_wrong(inspect_logs: Path) -> None:
    """Where several scorers grade so, which one counts is asked about."""
    with pytest.raises(InputError, match="two verdicts of a reply say 'correct'") as error:
        read_run(inspect_logs, columns=LogColumns({}, SAID))
    assert "includes" in str(error.value)
    run = read_run(inspect_logs, columns=LogColumns({}, SAID, verdict="includes"))
    assert {(s.prompt_id, s.value) for s in run.scores if s.name == "correct"} == {("1", 1.0), ("b", 1.0), ("c", 1.0)}
    run = read_run(
        inspect_logs,
        columns=LogColumns({}, SAID, verdict="includes", meaning=Meaning({"C": "refusal", "I": "harmful"})),
    )
    assert {score.label for score in run.scores if score.name == "outcome"} == {"refusal"}


def sample(doc_id: int, reply: Any, filter_: str = "none", **metrics: Any) -> dict[str, Any]:
    return {
        "doc_id": doc_id, "doc": {"question": f"Q{doc_id}", "lang": "hi"}, "target": "4",
        "arguments": {"gen_args_0": {"arg_0": f"Question: Q{doc_id}\nAnswer:", "arg_1": {"until": ["\n"]}}},
        "resps": [[reply]], "filtered_resps": [reply], "filter": filter_, "metrics": list(metrics),
        "doc_hash": "a", "prompt_hash": "b", "target_hash": "c", **metrics,
    }  # fmt: skip


def test_samples_of_lm_eval_of_several_tasks_and_filters(tmp_path: Path) -> None:
    folder = tmp_path / "org__model"
    folder.mkdir()
    date = "2026-11-21T10-00-00.123456"
    math_ = [
        sample(n, f"it is {n}", f, exact_match=float(v)) for n in range(2) for f, v in (("strict", 0), ("flexible", n))
    ]
    (folder / f"samples_gsm_{date}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in math_))
    choice = sample(0, None, acc=1.0)
    choice["arguments"] = {
        f"gen_args_{n}": {"arg_0": "Sky?", "arg_1": f" {word}"} for n, word in enumerate(("red", "blue"))
    }
    choice["resps"] = [[["-5.5", "False"]], [["-0.5", "True"]]]
    choice["filtered_resps"] = [["-5.5", "False"], ["-0.5", "True"]]
    (folder / f"samples_colours_fr_{date}.jsonl").write_text(json.dumps(choice) + "\n")
    (folder / f"results_{date}.json").write_text(
        json.dumps({"model_name": "org/model", "n-shot": {"gsm": 5}, "git_hash": "abc"})
    )
    log = read_log(
        [folder],
        columns=LogColumns(
            {"prompt": "doc.question", "language": "doc.lang"}, {"kind": "general"}, verdict="exact_match,flexible"
        ),
    )
    run = log.run()
    assert run.name == "org/model"
    assert [(p.id, p.text, p.language, p.subset, p.reference) for p in run.prompts] == [
        ("colours_fr/0", "Q0", "hi", "colours_fr", "4"),
        ("gsm/0", "Q0", "hi", "gsm", "4"),
        ("gsm/1", "Q1", "hi", "gsm", "4"),
    ]  # fmt: skip
    assert [reply.reply for reply in run.generations] == ["blue", "it is 0", "it is 1"]
    scores = {(score.prompt_id, score.name): score.value for score in run.scores}
    assert scores["gsm/1", "correct"] == 1.0
    assert scores["gsm/1", "exact_match,strict"] == 0.0
    assert scores["colours_fr/0", "correct"] == 1.0  # of a metric of its own, since the task has no such verdict
    assert run.facts["shots"] == "gsm 5"
    run = read_run(
        folder,
        columns=LogColumns(
            {"language": "task_language"}, {"kind": "general", "language": "en"}, verdict="exact_match,strict"
        ),
    )
    assert [(prompt.language, prompt.text[:9]) for prompt in run.prompts] == [
        ("fr", "Sky?"),
        ("en", "Question:"),
        ("en", "Question:"),
    ]
    assert log.counts == {"rows": 3, "accepted": 3, "rejected": 0}


def test_one_document_with_two_replies_is_two_runs(tmp_path: Path) -> None:
    path = tmp_path / "samples_t.jsonl"
    path.write_text("".join(json.dumps(sample(0, reply, acc=1)) + "\n" for reply in ("a", "b")))
    with pytest.raises(InputError, match="document 0 is there twice"):
        read_run(path, columns=LogColumns({}, SAID))


def test_a_study_is_a_log_too(tmp_path: Path) -> None:
    """One run an arm: the one that is not base, unless another is named."""
    from alignment_prism.domain import Generation, Prompt, PromptKind, Score, user
    from alignment_prism.io import write_records
    from alignment_prism.studies import make_spec, run_study
    from alignment_prism.studies.arms import stored_arms

    prompts = [Prompt(f"p{n}", user(f"Question {n}?"), "en", PromptKind.HARMFUL) for n in range(4)]
    replies = [Generation(p.id, arm, arm, f"{arm} {p.id}") for arm in ("base", "mine") for p in prompts]
    scores = [
        Score(r.prompt_id, r.reply_digest, r.arm, "j", "outcome", "harmful" if r.arm == "base" else "refusal")
        for r in replies
    ]
    for name, held in (("prompts", prompts), ("replies", replies), ("scores", scores)):
        write_records(tmp_path / f"{name}.jsonl", held)
    base, mine = stored_arms([str(tmp_path / "replies.jsonl")])
    spec = make_spec(name="s", base=base, arms=(mine,), prompts=({"file": str(tmp_path / "prompts.jsonl")},),
                     scores=(str(tmp_path / "scores.jsonl"),), examples=0)  # fmt: skip
    run_study(spec, tmp_path / "study")
    with pytest.raises(InputError, match="no arm 'yours'"):
        read_run(tmp_path / "study", arm="yours")
    run = read_run(tmp_path / "study")
    assert run.generations == read_run(f"{tmp_path / 'study'}#mine").generations
    assert (run.generations[0].arm, len(run.prompts), [score.label for score in run.scores]) == (
        "mine",
        4,
        ["refusal"] * 4,
    )
