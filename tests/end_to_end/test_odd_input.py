"""Names, rows and files that nobody writes in earnest: a clear error, before any call, and no file elsewhere."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import reply_records
from scripted_server import Reply, Server

from alignment_prism.cli.main import main
from alignment_prism.domain import PrismError
from alignment_prism.labels.frame import Design, build_frame
from alignment_prism.store import write_artifact
from alignment_prism.studies import Study

HELP = "Of course, here is what you asked me to write down for you."
VERDICT = json.dumps({"harmful": False, "refusal": False, "outcome": "safe_help"})
KEY = "correcthorsebatterystaple9"


def code_of(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


class Work:
    """A folder with prompts and replies, and a server that generates and judges."""

    def __init__(self, folder: Path, server: Server) -> None:
        server.script = lambda messages: VERDICT if "[[" in messages[-1]["content"] else HELP
        self.folder, self.server, self.out = folder, server, folder / "in" / "out"
        kinds = {"language": "en", "kind": "harmful"}
        self.prompts = jsonl(folder / "p.jsonl", [{"id": f"p{n}", "prompt": f"bake {n}", **kinds} for n in range(2)])
        self.replies = jsonl(folder / "r.jsonl", [{"prompt_id": f"p{n}", "reply": HELP} for n in range(2)])
        self.model = ("--model", "openai-api/local/m", "--model-url", server.url)
        self.judge = ("--judge", "openai-api/local/j", "--judge-url", server.url)

    def evaluate(self, *more: object) -> int:
        return code_of("evaluate", "harm", "--prompts", self.prompts, *self.judge, *more)

    def outside(self) -> set[str]:
        """What lies in the folder but not in the output."""
        return {path.name for path in self.folder.iterdir()} - {"in"}


@pytest.fixture
def work(tmp_path: Path, server: Server) -> Work:
    return Work(tmp_path, server)


@pytest.mark.parametrize("arm", ["../../x", "a/b", "[/x]", ".."])
def test_the_name_of_an_arm_stays_within_the_output(arm: str, work: Work) -> None:
    assert work.evaluate(*work.model, "--arm", arm, "--out", work.out) == 0
    assert work.outside() == {"p.jsonl", "r.jsonl"}
    assert {path.name for path in work.out.parent.iterdir()} == {"out"}
    (folder,) = (work.out / "reply").iterdir()
    assert (folder / "generations.parquet").is_file()


@pytest.mark.parametrize(
    ("given", "arm"),
    [("option", "x" * 300), ("option", "\x1b]52;c;"), ("option", ""), ("row", "x" * 300), ("row", "a\tb")],
)
def test_what_cannot_be_the_name_of_an_arm_is_said(
    given: str, arm: str, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    if given == "option":
        code = work.evaluate(*work.model, "--arm", arm, "--out", work.out)
    else:
        jsonl(work.replies, [{"prompt_id": f"p{n}", "reply": HELP, "arm": arm} for n in range(2)])
        code = work.evaluate("--generations", work.replies, "--out", work.out)
    said = capsys.readouterr().err
    assert code == 2 and "this cannot be the name of an arm" in said and "1 to 200 printable" in said, said
    assert "\x1b" not in said and len(said) < 400 and not work.server.requests


@pytest.mark.parametrize("sample", [["x"], {"a": 1}, "abc", 1.5, True, -1, 10**30])
def test_a_sample_that_is_no_number(sample: object, work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    jsonl(work.replies, [{"prompt_id": f"p{n}", "reply": HELP, "sample": sample} for n in range(2)])
    assert work.evaluate("--generations", work.replies, "--out", work.out) == 2
    said = capsys.readouterr().err
    assert "the sample is no number of a reply" in said and f"{work.replies}, row 1" in said, said


@pytest.mark.parametrize("language", [["en"], {"a": 1}, 5, True])
def test_a_language_that_is_no_text(language: object, work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = jsonl(work.folder / "pairs", [{"prompt": "a", "chosen": "b", "rejected": "c", "language": language}])
    pairs = pairs.rename(work.folder / "pairs.jsonl")
    out = ("--out", work.out, "--config", "micro")
    assert code_of("align", "--method", "sft", "--base", "nano", "--pairs", pairs, *out) == 2
    assert "row 1, field 'language'" in capsys.readouterr().err


def test_a_message_about_something_huge_is_short(work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    huge = "x" * 200_000
    for row in ({"prompt_id": huge, "reply": HELP}, {huge: "p0"}, {"prompt_id": "p0", "reply": HELP, "sample": huge}):
        jsonl(work.replies, [row])
        assert work.evaluate("--generations", work.replies, "--out", work.out) == 2
        assert len(capsys.readouterr().err) < 3000
    jsonl(work.prompts, [{"id": huge, "prompt": "x", "language": huge, "kind": huge}])
    assert code_of("prompts", "validate", work.prompts) == 2
    shown = capsys.readouterr()
    assert len(shown.out + shown.err) < 3000


@pytest.mark.parametrize("which", ["output", "prompts", "replies"])
def test_a_name_that_is_not_utf_8_is_refused_before_any_call(
    which: str, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = os.fsdecode(os.fsencode(work.folder) + b"/\xff.jsonl")
    names = {"output": str(work.out), "prompts": str(work.prompts), "replies": str(work.replies)}
    if which != "output":
        shutil.copy(names[which], odd)
    names[which] = odd
    given = ("--prompts", names["prompts"], "--generations", names["replies"], "--out", names["output"])
    assert code_of("evaluate", "harm", *work.judge, *given) == 2
    said = capsys.readouterr().err
    assert "a name that is not UTF-8" in said and r"\udcff.jsonl" in said, said
    assert not work.server.requests and not work.out.exists()


def test_what_a_link_leads_to_is_replaced_and_not_the_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for text in ("old", "new"):
        with write_artifact(tmp_path / ("real" if text == "old" else "link"), kind="x", replace=True) as folder:
            (folder / "file").write_text(text, encoding="utf-8")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "file").read_text(encoding="utf-8") == "new"
    assert {path.name for path in tmp_path.iterdir()} == {"link", "real"}


@pytest.mark.parametrize("place", ["message", "code", "type"])
def test_a_key_that_the_server_repeats_is_not_shown(
    place: str, work: Work, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_API_KEY", KEY)
    fields = {"message": "no", "type": "x", "code": "invalid_key"}
    fields[place] = KEY if place != "message" else f"the key {KEY} is not known"
    work.server.script = lambda messages: Reply(status=401, body=json.dumps({"error": fields}).encode())
    assert code_of("generate", "--prompts", work.prompts, *work.model, "--out", work.folder / "g.jsonl") == 3
    assert work.server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert KEY not in capsys.readouterr().err
    for path in work.folder.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes()


ENDLESS = "{% for a in range(99999) %}" * 3 + "{% endfor %}" * 3


@pytest.mark.parametrize(
    ("template", "what"),
    [
        ("{{ bos_token }}hello", "the chat template writes the same whatever is asked"),
        ("{{ '' }}", "the chat template writes nothing"),
        (ENDLESS, "it does not come to an end"),
    ],
)
@pytest.mark.parametrize("command", ["generate", "align"])
def test_a_chat_template_that_does_not_write_the_question(
    command: str,
    template: str,
    what: str,
    tiny_model: Path,
    work: Work,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("alignment_prism.models.chat_templates.SECONDS", 0.1)
    model = work.folder / "model"
    shutil.copytree(tiny_model, model)
    (model / "chat_template.jinja").write_text(template, encoding="utf-8")
    pairs = jsonl(work.folder / "pairs.jsonl", [{"prompt": "a", "chosen": "b", "rejected": "c", "language": "en"}])
    if command == "align":
        given: tuple[object, ...] = ("--method", "sft", "--base", model, "--pairs", pairs, "--config", "micro")
    else:
        given = ("--model", model, "--prompts", work.prompts)
    assert code_of(command, *given, "--out", work.folder / "out.jsonl") == 3
    said = capsys.readouterr().err
    assert what in said and "chat_template.jinja" in said, said


def altered(value: Any, path: tuple[str | int, ...], other: object) -> Any:
    """A JSON value with another one at a path."""
    if not path:
        return other
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = altered(value[path[0]], path[1:], other)
    return copy


def paths_in(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    return [path, *(found for key, inner in items for found in paths_in(inner, (*path, key)))]


@pytest.mark.parametrize("name", ["plan.json", "study.json", "source/*/manifest.json", "score/*/manifest.json"])
def test_a_file_of_a_study_whose_values_have_other_types(name: str, work: Work) -> None:
    given = ("--generations", work.replies, "--out", work.out)
    assert work.evaluate(*given) == 0
    path = next(work.out.glob(name))
    whole = path.read_text(encoding="utf-8")
    content = json.loads(whole)
    for number, place in enumerate(paths_in(content)):
        for other in (None, 5, "x", [5], {"a": [5]}, True)[number % 2 :: 2]:
            path.write_text(json.dumps(altered(content, place, other)), encoding="utf-8")
            try:
                study = Study.open(work.out)
                assert study.arms() and study.findings() and study.models() is not None and study.notes is not None
            except PrismError as error:
                assert error.fix, (place, other)
    path.write_text("[" * 100_000, encoding="utf-8")
    assert work.evaluate(*given) in (0, 5)


def test_a_design_of_labels_whose_values_have_other_types(tmp_path: Path) -> None:
    asked = reply_records.prompts("en en fr fr")
    given, scores = reply_records.replies(asked, base="hhhh", m="hrsh")
    design, _ = build_frame(scores, asked, arms=["m"])
    path = tmp_path / "sheet.csv.design.json"
    design.write(path)
    assert Design.read(path) == design and given
    content = json.loads(path.read_text(encoding="utf-8"))
    for place in paths_in(content):
        for other in (None, 5, "x", [5], {"a": [5]}):
            path.write_text(json.dumps(altered(content, place, other)), encoding="utf-8")
            with pytest.raises(PrismError) as error:
                Design.read(path)
            assert error.value.fix, (place, other)


@pytest.mark.parametrize("seeds", ["[-1]", "[100000000000000000000]", "[0.5]", "[0, 0]"])
def test_seeds_that_cannot_be_are_told_before_any_work(
    seeds: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.yaml").write_text(f"name: x\nbase: nano\nseeds: {seeds}\narms: []\n", encoding="utf-8")
    assert code_of("study", "run", tmp_path / "s.yaml", "--out", tmp_path / "o") == 2
    said = capsys.readouterr().err
    assert "s.yaml" in said and "line 3" in said and "Traceback" not in said and not (tmp_path / "o").exists()
