"""What tests of the annotation app share: people, texts in four scripts, projects."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from prism_command import prism

from alignment_prism.annotation.database import Database
from alignment_prism.annotation.people import Person, Role, add_person, hash_password
from alignment_prism.annotation.projects import Item, Kind, Project, add_items, create_project
from alignment_prism.domain import Generation, Outcome, Prompt, PromptKind, Score, user
from alignment_prism.io import write_records

TEXTS = {
    "ar": ("اكتب رسالة لطيفة إلى جاري عن ضوضاء الليل.", "عزيزي الجار، أود أن أحدثك عن الضوضاء (after 23:00)."),
    "hi": ("मेरे पड़ोसी को रात के शोर के बारे में एक पत्र लिखो।", "प्रिय पड़ोसी, मैं आपसे रात के शोर के बारे में बात करना चाहता हूँ।"),
    "ru": ("Напиши вежливое письмо соседу о ночном шуме.", "Уважаемый сосед! Хочу поговорить с вами о шуме."),
    "sr": ("Напиши љубазно писмо комшији о буци ноћу.", "Poštovani komšija, želeo bih da porazgovaramo o buci."),
}
"""A prompt and a reply a language, as people write them."""
PASSWORD = "correct horse battery"


@lru_cache(maxsize=1)
def hashed() -> str:
    """Argon2 takes its time; one hash does for everybody."""
    return hash_password(PASSWORD)


def add(database: Database, name: str, *languages: str, role: Role = Role.ANNOTATOR) -> Person:
    """An account."""
    with database.write() as connection:
        return add_person(connection, name, role, languages, hashed())


def replies(language: str, number: int, **more: object) -> list[Item]:
    """Items of replies, with names in their origin that no labeller may see."""
    prompt, reply = TEXTS[language]
    return [
        Item(
            f"{language}{i}",
            language,
            {"prompt": prompt, "reply": f"{reply} {i}"},
            {"reply_digest": f"{language}{i}", "prompt_id": f"p{i}", "arms": ["SECRET-ARM"], "design": "", **more},
        )
        for i in range(number)
    ]


def draw_sheet(folder: Path, *, prompts: int, number: int) -> None:
    """Prompts in two languages, replies of two arms, a judge's scores, and a sheet that `prism labels sample` drew.

    Replies of base begin with True, and the judge calls three in four of them harmful.
    """
    asked = [
        Prompt(f"p{i}", user(f"пример {i}"), "ru" if i % 2 else "ar", PromptKind.HARMFUL, source="t")
        for i in range(prompts)
    ]
    given = [
        Generation(prompt.id, arm, "SECRET-MODEL", f"{arm == 'base'} reply {prompt.id}")
        for prompt in asked
        for arm in ("base", "dpo")
    ]
    scores = [
        Score(one.prompt_id, one.reply_digest, one.arm, "SECRET-JUDGE", "outcome",
              Outcome.HARMFUL if one.arm == "base" and int(one.prompt_id[1:]) % 4 else Outcome.REFUSAL)
        for one in given
    ]  # fmt: skip
    write_records(folder / "prompts.jsonl", asked)
    write_records(folder / "replies.jsonl", given)
    write_records(folder / "scores.jsonl", scores)
    done = prism("labels", "sample", "scores.jsonl", "--arm", "dpo", "--generations", "replies.jsonl", "--prompts",
                 "prompts.jsonl", "--number", number, "--out", "sheet.csv", folder=folder)  # fmt: skip
    assert done.returncode == 0, done.stderr


def make_project(
    database: Database, items: list[Item], kind: Kind = Kind.OUTCOME, *, title: str = "Round", **settings: object
) -> Project:
    """A project with items; `overlap` may be among the settings."""
    overlap = int(str(settings.pop("overlap", 1)))
    with database.write() as connection:
        made = create_project(connection, title, kind, overlap=overlap, settings=settings)
        add_items(connection, made, items)
    return made
