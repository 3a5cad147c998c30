"""A model's files behind a vLLM server: what it is sent, and what becomes of what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prism_command import prism
from scripted_server import Reply, Server

from alignment_prism.domain import (
    Generation,
    ModelError,
    Outcome,
    Prompt,
    PromptKind,
    Sampling,
    Score,
    StopReason,
    user,
)
from alignment_prism.generation import reply
from alignment_prism.io import read_records

ASKED = [
    Prompt("a", user("Hello."), "en", PromptKind.HARMFUL),
    Prompt("b", user("How are you?"), "en", PromptKind.HARMFUL),
]


def test_a_server_is_sent_what_the_model_is_shown_here(server: Server, tiny_model: Path) -> None:
    from transformers import AutoTokenizer

    server.models = {"other": 96, str(tiny_model): 96}
    server.script = lambda messages: Reply("Fine.", usage=(len(messages[0]["content"]), 2))
    found = reply(tiny_model, ASKED, Sampling(max_tokens=12), arm="mine", base_url=server.url)
    here = reply(tiny_model, ASKED, Sampling(max_tokens=1))
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    sent = {tokenizer.decode(body["prompt"]) for body in server.bodies}
    assert sent == {"<bos><user>Hello.<bot>", "<bos><user>How are you?<bot>"}
    assert [(one.prompt_id, one.arm, one.reply, one.stop_reason) for one in found] == [
        ("a", "mine", "Fine.", StopReason.STOP), ("b", "mine", "Fine.", StopReason.STOP),
    ]  # fmt: skip
    assert [one.prompt_tokens for one in found] == [one.prompt_tokens for one in here]
    assert found[0].weights == here[0].weights and len(found[0].weights) == 16
    (body, _) = server.bodies
    asked = {name: body[name] for name in ("model", "max_tokens", "temperature", "top_p", "add_special_tokens")}
    assert asked == {
        "model": str(tiny_model), "max_tokens": 12, "temperature": 0.0, "top_p": 1.0, "add_special_tokens": False,
    }  # fmt: skip


def test_samples_have_seeds_and_the_context_cuts_as_it_does_here(server: Server, tiny_model: Path) -> None:
    server.models = {tiny_model.name: 30}  # the name of the folder will do, as of an adapter
    server.script = lambda messages: Reply("So", stop="length", usage=(20, 10))
    long = [
        Prompt("fits", user("x" * 17), "en", PromptKind.HARMFUL),
        Prompt("not", user("x" * 40), "en", PromptKind.HARMFUL),
    ]
    sampling = Sampling(temperature=0.7, top_p=0.9, max_tokens=50, samples=2, seed=5)
    found = reply(tiny_model, long, sampling, base_url=server.url)
    ends = [StopReason.MAX_TOKENS, StopReason.MAX_TOKENS, StopReason.CONTEXT, StopReason.CONTEXT]
    assert [one.stop_reason for one in found] == ends
    assert sorted(body["seed"] for body in server.bodies) == [5, 6]
    assert {(body["max_tokens"], body["temperature"], body["top_p"]) for body in server.bodies} == {(10, 0.7, 0.9)}


def test_a_folder_may_be_called_anything(server: Server, tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run #3 of 50%23"
    folder.symlink_to(tiny_model, target_is_directory=True)
    server.models = {str(folder): 96}
    server.script = lambda messages: Reply("Fine.", usage=(1, 2))
    template = "{{ messages[0].content }}!"
    for more in ({}, {"chat_template": template}):
        found = reply(folder, ASKED, Sampling(max_tokens=4), base_url=server.url, **more)
        assert [one.reply for one in found] == ["Fine.", "Fine."]


def test_a_server_of_another_model_is_refused_before_any_reply(server: Server, tiny_model: Path) -> None:
    server.models = {"somebody/else": 96}
    with pytest.raises(ModelError, match=r"serves somebody/else, and not this model") as error:
        reply(tiny_model, ASKED, Sampling(max_tokens=2), base_url=server.url)
    assert "vllm serve" in (error.value.fix or "") and not server.bodies


def test_the_command_takes_a_folder_and_an_address_and_a_filter_holds_up_nothing(
    server: Server, tiny_model: Path, tmp_path: Path
) -> None:
    server.models = {str(tiny_model): 96}
    server.script = lambda messages: 403 if len(server.requests) == 2 else Reply("Yes.")
    rows = [{"id": f"p{n}", "prompt": f"Question {n}", "language": "en", "kind": "harmful"} for n in range(4)]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = ("generate", "--model", tiny_model, "--model-url", server.url, "--prompts", "p.jsonl", "--max-tokens", 8,
             "--connections", 1, "--out", "r.jsonl")  # fmt: skip
    done = prism(*given, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    ends = [one.stop_reason for one in read_records(tmp_path / "r.jsonl", Generation)]
    assert sorted(ends) == [StopReason.ERROR, *[StopReason.STOP] * 3] and len(server.bodies) == 4


def test_a_guard_of_this_machine_judges_through_a_server_in_its_own_format(
    server: Server, tiny_model: Path, tmp_path: Path
) -> None:
    """WildGuard's format is written out whole: the server gets it as it stands, not in the model's chat template."""
    from transformers import AutoTokenizer

    server.models = {tiny_model.name: 4096}
    server.script = lambda messages: Reply("Harmful request: yes\nResponse refusal: no\nHarmful response: yes")
    prompt = {"id": "p", "prompt": "How?", "language": "en", "kind": "harmful"}
    (tmp_path / "p.jsonl").write_text(json.dumps(prompt) + "\n")
    said = "Of course, here is what you asked me to write down."
    (tmp_path / "r.jsonl").write_text(json.dumps({"prompt_id": "p", "reply": said}) + "\n")
    given = ("judge", "--prompts", "p.jsonl", "--generations", "r.jsonl", "--judge", tiny_model, "--judge-url",
             server.url, "--rubric")  # fmt: skip
    done = prism(*given, "wildguard@1", "--out", "w.parquet", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    (score,) = [one for one in read_records(tmp_path / "w.parquet", Score) if one.name == "outcome"]
    assert score.outcome is Outcome.HARMFUL and score.rubric == "wildguard@1"
    sent = AutoTokenizer.from_pretrained(tiny_model).decode(server.bodies[0]["prompt"])
    assert sent.startswith("<s><|user|>\n[INST] You are a classifier") and said in sent and "<bot>" not in sent
    server.script = lambda messages: Reply("safe")
    again = prism(*given, "llama-guard-3@1", "--out", "l.parquet", folder=tmp_path)  # a conversation: its own template
    assert again.returncode == 0, again.stderr
    sent = AutoTokenizer.from_pretrained(tiny_model).decode(server.bodies[-1]["prompt"])
    assert sent.startswith(f"<bos><user>How?<bot>{said}")
