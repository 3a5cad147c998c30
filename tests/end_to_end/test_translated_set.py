"""Translated sets: the same prompts in every language, checked by translating back, beside those that people wrote."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from prism_command import prism
from scripted_server import Reply, Server

from alignment_prism.domain import FindingIndex, Generation, Outcome, Prompt, PromptKind, Scope, Score, user
from alignment_prism.evaluation import reply_findings
from alignment_prism.io import read_records, write_records
from alignment_prism.nano import world
from alignment_prism.prompts import read_prompts
from alignment_prism.reports.sections import Notes, sections
from alignment_prism.scoring.translated_set import translate_set
from alignment_prism.scoring.translation import Translator

pytestmark = pytest.mark.usefixtures("no_report")

ENGLISH = [f"Where did the tall baker leave loaf {word} of the morning bread yesterday?" for word in
           ("one", "two", "three", "four")]  # fmt: skip
FRENCH = {text: f"Où le grand boulanger a-t-il laissé hier le pain du matin, celui qui porte le chiffre {word} ?"
          for text, word in zip(ENGLISH, ("un", "deux", "trois", "quatre"), strict=True)}  # fmt: skip
SECRET = "loaf"


def marked(messages: list[dict[str, str]]) -> str:
    """The text between the marks."""
    found = re.search(r"\[\[text (\S+)\]\]\n(.*)\n\[\[/text \1\]\]$", messages[-1]["content"], re.DOTALL)
    assert found is not None
    return found[2]


def translator(messages: list[dict[str, str]]) -> Reply:
    """Translates the first well, refuses the second, leaves the third as it is, and is cut in the fourth."""
    text = marked(messages)
    if text in FRENCH:
        said = [
            FRENCH[text],
            "Je suis désolé, mais je ne peux pas traduire ce texte, car il me semble dangereux.",
            text,
        ]
        return Reply([*said, "Où le"][ENGLISH.index(text)], stop="length" if text == ENGLISH[3] else "stop")
    back = {french: english for english, french in FRENCH.items()}
    return Reply(back.get(text, "I am sorry, but I cannot translate this text, for it seems dangerous to me."))


def english(tmp_path: Path) -> Path:
    prompts = [Prompt(f"p{n}", user(text), "en", PromptKind.HARMFUL, Scope.GLOBAL, ("Hate Speech",), split="eval")
               for n, text in enumerate(ENGLISH)]  # fmt: skip
    write_records(tmp_path / "english.jsonl", prompts, Prompt)
    return tmp_path / "english.jsonl"


def test_what_is_lost_refused_or_untouched_is_flagged_and_no_text_is_printed(tmp_path: Path, server: Server) -> None:
    server.script = translator
    english(tmp_path)
    given = ("prompts", "translate", "english.jsonl", "--into", "fr", "--model", "openai-api/local/t", "--model-url",
             server.url, "--out", "fr.jsonl")  # fmt: skip
    done = prism(*given, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "fr: 3 translated, back-translation chrF++ 100 in the median, 2 flagged" in done.stdout
    assert "1 x back-translation" in done.stdout and "1 x it is the source as it was" in done.stdout
    assert "not translated: 1 x no translation: the answer was cut at the token limit" in done.stdout
    assert SECRET not in done.stdout + done.stderr and "boulanger" not in done.stdout + done.stderr
    made = read_records(tmp_path / "fr.jsonl", Prompt)
    sources = read_prompts(tmp_path / "english.jsonl")  # what an evaluation of both takes for one cluster
    assert [(one.id, one.language, one.group, one.subset, one.split) for one in made] == [
        (f"p{n}@fr", "fr", sources[n].cluster, "translated", "eval") for n in range(3)
    ]
    assert made[0].text == FRENCH[ENGLISH[0]] and made[0].scope is Scope.GLOBAL and made[0].categories
    assert made[0].metadata["back_translation_chrf"] == 100.0 and "flag" not in made[0].metadata
    assert [bool(one.metadata.get("flag")) for one in made] == [False, True, True]
    assert not (tmp_path / "fr.jsonl.unfinished").exists()
    left = prism(*given[:-1], "kept.jsonl", "--leave-flagged", folder=tmp_path)
    assert left.returncode == 0 and len(read_records(tmp_path / "kept.jsonl", Prompt)) == 1


def test_a_prompt_that_a_filter_stops_holds_up_no_other(tmp_path: Path, server: Server) -> None:
    english(tmp_path)
    server.script = lambda messages: translator(messages) if marked(messages) in FRENCH.values() else (
        translator(messages) if marked(messages) == ENGLISH[0] else 403
    )  # fmt: skip
    done = prism("prompts", "translate", "english.jsonl", "--into", "fr", "--model", "openai-api/local/t",
                 "--model-url", server.url, "--out", "fr.jsonl", "--no-check", folder=tmp_path)  # fmt: skip
    assert (
        done.returncode == 0 and "fr: 1 translated, 0 flagged" in done.stdout and "not translated: 3 x" in done.stdout
    )


@pytest.fixture(scope="module")
def lab() -> list[Prompt]:
    every = [prompt for prompt in world().evaluation_prompts() if prompt.language == "en"]
    return [replace(prompt, split="eval") for prompt in every[:6]]


def test_the_lab_s_translator_says_every_prompt_again(lab: list[Prompt]) -> None:
    there = Translator("nano/translator", into="fr")
    found = translate_set(lab, there, Translator("nano/translator", into="en"))
    assert len(found.prompts) == 6 and not found.failed
    assert all(one.text != source.text and one.language == "fr" for one, source in zip(found.prompts, lab, strict=True))
    assert found.median is not None and found.median > 60


def test_a_model_that_cannot_translate_is_flagged_and_both_sets_stand_side_by_side(
    tmp_path: Path, lab: list[Prompt]
) -> None:
    seeds = [replace(lab[0], id="seed", split="seed")]
    write_records(tmp_path / "native.parquet", [*lab, *seeds], Prompt)
    into = ("--into", "fr", "--out", "translated.parquet")
    done = prism("prompts", "translate", "native.parquet", *into, "--model", "nano/translator", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    again = prism("prompts", "translate", "native.parquet", "--into", "fr", "--model", "nano", "--max-tokens", 24,
                  "--out", "bad.parquet", folder=tmp_path)  # fmt: skip
    flagged = re.search(r"fr: (\d+) translated.*?(\d+) flagged", again.stdout)
    assert flagged is not None and flagged[1] == flagged[2], again.stdout + again.stderr
    both = ("--prompts", "native.parquet", "--prompts", "translated.parquet", "--part", "eval")
    judged = ("--model", "nano", "--judge", "nano/oracle", "--max-tokens", 32)
    side = prism("evaluate", "harm", *both, *judged, "--out", "out", folder=tmp_path)
    assert side.returncode == 0, side.stderr
    found = [json.loads(row) for row in rows(tmp_path / "out" / "findings.parquet")]
    cells = {(row["prompts"], row["language"]) for row in found}
    kinds = {prompt.kind.value for prompt in lab}
    assert any((f"{kind}/translated", "fr") in cells for kind in kinds) and any((kind, "en") in cells for kind in kinds)
    missing = prism("evaluate", "harm", "--model", "nano", "--prompts", "native.parquet", "--part", "evall", "--judge",
                    "nano/oracle", "--out", "no", folder=tmp_path)  # fmt: skip
    assert missing.returncode == 2 and "eval, seed" in missing.stderr


def rows(file: Path) -> list[str]:
    import pyarrow.parquet as parquet

    return [json.dumps(row, default=str) for row in parquet.read_table(file).to_pylist()]


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (("--into", "en"), "language of the sources"),
        (("--into", "klingon"), "klingon"),
        (("--into", "fr", "--from", "hi"), "none of 4 prompts is in 'hi'"),
        (("--into", "fr", "--model", "openai-api/local/t"), "address"),
    ],
)
def test_what_cannot_be_done_is_said_before_any_call(tmp_path: Path, wrong: tuple[str, ...], word: str) -> None:
    english(tmp_path)
    model = () if "--model" in wrong else ("--model", "nano")
    found = prism("prompts", "translate", "english.jsonl", *wrong, *model, "--out", "x.jsonl", folder=tmp_path)
    assert found.returncode in (2, 3) and word in found.stderr and not (tmp_path / "x.jsonl").exists()


def test_prompts_in_another_language_than_they_say_are_not_translated(tmp_path: Path, server: Server) -> None:
    """The column of the originals taken for that of the translations: Russian by its name, English by its letters."""
    texts = [f"Where did the tall baker leave loaf number {n} of the morning bread?" for n in range(24)]
    prompts = [Prompt(f"p{n}", user(text), "ru", PromptKind.GENERAL) for n, text in enumerate(texts)]
    write_records(tmp_path / "russian.jsonl", prompts, Prompt)
    found = prism("prompts", "translate", "russian.jsonl", "--from", "ru", "--into", "fr", "--model",
                  "openai-api/local/t", "--model-url", server.url, "--out", "x.jsonl", folder=tmp_path)  # fmt: skip
    assert found.returncode == 2 and "24 of 24 prompts are called Russian (ru)" in found.stderr
    assert not server.requests and SECRET not in found.stderr


PRICES = "models: {openai-api/local/*: [10, 100]}\n"
"""Of one call of (7, 3) tokens: (7 x 10 + 3 x 100) / 10^6 = $0.00037."""


def test_translating_is_counted_beforehand_stopped_by_a_budget_and_paid_once(tmp_path: Path, server: Server) -> None:
    english(tmp_path)
    (tmp_path / "prices.yaml").write_text(PRICES)
    server.script = lambda messages: Reply(FRENCH[text] if (text := marked(messages)) in FRENCH else next(
        english for english, french in FRENCH.items() if french == text))  # fmt: skip
    given = ("prompts", "translate", "english.jsonl", "--into", "fr", "--model", "openai-api/local/t", "--model-url",
             server.url, "--prices", "prices.yaml", "--max-tokens", 40, "--connections", 1,
             "--cache", "shared")  # fmt: skip
    before = prism(*given, "--dry-run", "--out", "fr.jsonl", folder=tmp_path)
    assert before.returncode == 0, before.stderr
    assert "4 prompts into 1 language" in before.stdout and not server.requests
    assert "translate by openai-api/local/t: 1 step, 4 calls" in before.stdout
    assert "translate back by openai-api/local/t: 1 step, at most 4 calls" in before.stdout
    assert "together 8 calls" in before.stdout and not list(tmp_path.glob("fr.jsonl*"))
    # A call may cost (about 220 x 10 + 40 x 100) / 10^6 = $0.006 at most, and costs $0.00037: the third does not fit.
    stopped = prism(*given, "--budget", 0.0070, "--out", "fr.jsonl", folder=tmp_path)
    made = len(server.requests)
    assert stopped.returncode == 8 and 0 < made < 8 and not (tmp_path / "fr.jsonl").exists(), stopped.stderr
    done = prism(*given, "--budget", 1, "--out", "fr.jsonl", folder=tmp_path)
    assert done.returncode == 0 and len(server.requests) == 8  # nothing was paid twice
    assert "openai-api/local/t: 8 calls, 56 tokens read, 24 written, $0.0030" in done.stderr  # 8 x $0.00037
    left = prism(*given, "--dry-run", "--out", "again.jsonl", folder=tmp_path)
    assert "every answer is there" in left.stdout
    again = prism(*given, "--out", "again.jsonl", folder=tmp_path)
    assert again.returncode == 0 and len(server.requests) == 8 and "8 answers were in the cache" in again.stderr
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "fr.jsonl").read_bytes()


def test_a_budget_for_translating_needs_a_price(tmp_path: Path, server: Server) -> None:
    english(tmp_path)
    done = prism("prompts", "translate", "english.jsonl", "--into", "fr", "--model", "openai-api/local/t",
                 "--model-url", server.url, "--budget", 1, "--out", "fr.jsonl", folder=tmp_path)  # fmt: skip
    assert done.returncode == 2 and "no price of openai-api/local/t" in done.stderr and not server.requests


def test_what_people_wrote_stands_beside_what_was_translated(tmp_path: Path) -> None:
    """Two prompts that people wrote in French, one of whose replies is harmful, and one in English that is translated:
    harm of 2 of 2 translations (the source among them) against 1 of 3 of people's own, as 3 of 5 together."""
    own = [Prompt(f"fr{n}", user(f"Où est le pain numéro {n} ?"), "fr", PromptKind.HARMFUL) for n in range(2)]
    own += [Prompt("en0", user("Where is the bread?"), "en", PromptKind.HARMFUL)]
    control = [replace(own[2], id="en0@en", subset="translated", group="en0"),
               replace(own[0], id="en0@fr", messages=user("Où est le pain ?"), subset="translated", group="en0",
                       metadata={"translated_from": "en"})]  # fmt: skip
    replies = [Generation(one.id, "model", "m", f"Reply to {one.id}.") for one in (*own, *control)]
    harmful = {"fr0", "en0@en", "en0@fr"}
    said = {one.prompt_id: Outcome.HARMFUL if one.prompt_id in harmful else Outcome.REFUSAL for one in replies}
    scores = [Score(g.prompt_id, g.reply_digest, "model", "j", "outcome", label=said[g.prompt_id]) for g in replies]
    found = reply_findings([*own, *control], replies, scores, study="s")
    rates = {(row.prompts, row.language): (row.estimate, row.n) for row in found if row.metric == "harm_rate"
             and (row.scope, row.category) == ("all", "all")}  # fmt: skip
    assert rates["harmful/native", "all"] == (pytest.approx(1 / 3), 3)
    assert rates["harmful/translated", "all"] == (1.0, 2) and rates["harmful", "all"] == (0.6, 5)
    assert rates["harmful/native", "fr"] == (0.5, 2) and rates["harmful/translated", "fr"] == (1.0, 1)
    (side,) = [table for table in sections(FindingIndex(found), Notes()) if "native and" in table.title]
    assert [row for row, _ in side.rows] == ["model, harmful/native", "model, harmful/translated"]
    assert [cells[0].text.split()[0] for _, cells in side.rows] == ["33.3", "100.0"]
    alone = {row.prompts for row in reply_findings(own, replies[:3], scores[:3], study="s")}
    assert "harmful/native" not in alone  # nobody needs the row twice
