"""Work: who gets what, leases and overlap, drafts, answers that are taken back, qualification."""

from __future__ import annotations

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from annotators import TEXTS, add, make_project, replies
from sqlalchemy import select, update

from alignment_prism.annotation import labelling
from alignment_prism.annotation.database import Database, now
from alignment_prism.annotation.exports import answers
from alignment_prism.annotation.held import Work, work_of
from alignment_prism.annotation.history import FINAL, history
from alignment_prism.annotation.people import Person, change_person
from alignment_prism.annotation.projects import Item, Kind, Project, add_items
from alignment_prism.annotation.schema import assignments, items
from alignment_prism.annotation.standing import standing
from alignment_prism.annotation.work import claim, save_draft, skip, submit, withdraw
from alignment_prism.domain import InputError


def take(database: Database, project: Project, person: Person) -> Work | None:
    with database.write() as connection:
        return claim(connection, project, person)


def hand_in(database: Database, work: Work, label: str, comment: str = "") -> bool:
    with database.write() as connection:
        return submit(connection, work, labelling.stored(work, label, comment), 1.0) is not None


def lapse(database: Database, work: Work) -> None:
    """The lease of a work ends now, as if somebody had gone away."""
    with database.write() as connection:
        connection.execute(update(assignments).where(assignments.c.id == work.id).values(leased_until=now() - 1))


def test_eight_labellers_at_once_never_exceed_the_overlap(database: Database) -> None:
    project = make_project(database, replies("ar", 6), overlap=3)
    people = [add(database, f"person {number}", "ar") for number in range(8)]
    start = threading.Barrier(len(people))

    def label(person: Person) -> int:
        start.wait()
        done = 0
        while (work := take(database, project, person)) is not None:
            assert hand_in(database, work, "refusal")
            done += 1
        return done

    with ThreadPoolExecutor(len(people)) as pool:
        counts = list(pool.map(label, people))
    with database.read() as connection:
        by_item = Counter(answer.key for answer in answers(connection, project))
        done = dict(connection.execute(select(items.c.key, items.c.done)).tuples().all())
    # 6 items x 3 people: every item thrice and no item four times, whoever was faster.
    assert set(by_item.values()) == {3} and len(by_item) == 6
    assert sum(counts) == 18 and done == by_item


def test_an_item_on_lease_is_nobody_elses_until_the_lease_lapses(database: Database) -> None:
    project = make_project(database, replies("ru", 1))
    anna, boris = add(database, "anna", "ru"), add(database, "boris", "ru")
    hers = take(database, project, anna)
    assert hers is not None and take(database, project, boris) is None
    with database.read() as connection:
        left = [standing(connection, project, person).left for person in (anna, boris)]
    assert left == [1, 0], "what somebody has is left to them, and to nobody else"
    again = take(database, project, anna)
    assert again is not None and again.token == hers.token, "the same item after a reload"
    with database.write() as connection:
        save_draft(connection, hers, labelling.stored(hers, "", "половина слова"))
    lapse(database, hers)
    his = take(database, project, boris)
    assert his is not None and his.item == hers.item
    # Hers would be a second answer where one is wanted: it is refused, and her words are kept.
    assert not hand_in(database, hers, "harmful", "целое слово")
    assert hand_in(database, his, "refusal")
    with database.read() as connection:
        assert [(one.annotator, one.content["label"]) for one in answers(connection, project)] == [("boris", "refusal")]
        words = [one.content["comment"] for one in history(connection, hers.id)]
    assert words == ["половина слова", "целое слово"]


def test_who_comes_back_to_a_lapsed_item_that_is_still_free_goes_on(database: Database) -> None:
    project = make_project(database, replies("hi", 1))
    anna = add(database, "anna", "hi")
    work = take(database, project, anna)
    assert work is not None
    lapse(database, work)
    assert hand_in(database, work, "safe_help")
    assert take(database, project, anna) is None


def test_everybody_gets_their_languages_and_not_what_they_opted_out_of_or_wrote(database: Database) -> None:
    prompt, reply = TEXTS["sr"]
    anna = add(database, "anna", "sr")
    shown = {"prompt": prompt, "reply": reply}
    project = make_project(
        database,
        [
            Item("other language", "ar", shown),
            Item("unwanted", "sr", shown, categories=("Profanity", "Hate Speech")),
            Item("her own", "sr", shown, author=anna.id),
            Item("hers to do", "sr", shown, categories=("Hate Speech",)),
        ],
    )
    with database.write() as connection:
        anna = change_person(connection, anna, None, opt_outs=["Profanity"])
        assert standing(connection, project, anna).left == 1
    work = take(database, project, anna)
    assert work is not None and hand_in(database, work, "refusal")
    with database.read() as connection:
        assert connection.scalar(select(items.c.key).where(items.c.id == work.item)) == "hers to do"
    assert take(database, project, anna) is None
    with database.write() as connection:
        anna = change_person(connection, anna, None, paused=True, opt_outs=[])
    assert take(database, project, anna) is None


def test_a_draft_is_kept_and_restored_and_nothing_is_ever_overwritten(database: Database) -> None:
    project = make_project(database, replies("ar", 2))
    anna = add(database, "anna", "ar")
    work = take(database, project, anna)
    assert work is not None
    with database.write() as connection:
        for words in ("كلمة", "كلمة أخرى", "كلمة أخرى"):
            save_draft(connection, work, labelling.stored(work, "", words), 2.0)
    again = take(database, project, anna)
    assert again is not None and again.content["comment"] == "كلمة أخرى"
    assert hand_in(database, again, "refusal", "كلمة أخرى")
    with database.write() as connection:
        assert withdraw(connection, again)
    assert hand_in(database, again, "harmful")
    with database.read() as connection:
        rounds = [(one.kind, one.content["label"], one.content["comment"]) for one in history(connection, work.id)]
        (answer,) = answers(connection, project)
    # The draft that was sent twice is one revision; the answer that was taken back stays in the history.
    assert rounds == [
        ("draft", "", "كلمة"),
        ("draft", "", "كلمة أخرى"),
        ("final", "refusal", "كلمة أخرى"),
        ("withdrawn", "refusal", "كلمة أخرى"),
        ("final", "harmful", ""),
    ]
    assert answer.content["label"] == "harmful"
    # Two seconds were claimed within a moment of the clock: the clock counts.
    assert 0 <= answer.seconds < 60


def test_a_skip_says_why_leaves_the_item_to_others_and_can_be_taken_back(database: Database) -> None:
    project = make_project(database, replies("ru", 1))
    anna, boris = add(database, "anna", "ru"), add(database, "boris", "ru")
    work = take(database, project, anna)
    assert work is not None
    with database.write() as connection:
        with pytest.raises(InputError, match="no reason"):
            skip(connection, work, "")
        skip(connection, work, "distressing", "не могу")
    assert take(database, project, anna) is None
    with database.write() as connection:
        assert withdraw(connection, work)
        skip(connection, work, "unsure")
    his = take(database, project, boris)
    assert his is not None and hand_in(database, his, "refusal")
    with database.write() as connection:
        assert not withdraw(connection, work), "its one place is taken"
        assert standing(connection, project, anna).skipped == 1


def test_who_skipped_an_item_and_comes_back_makes_no_answer_too_many(database: Database) -> None:
    project = make_project(database, replies("ru", 1))
    anna, boris = add(database, "anna", "ru"), add(database, "boris", "ru")
    work = take(database, project, anna)
    assert work is not None
    with database.write() as connection:
        skip(connection, work, "unsure")
    his = take(database, project, boris)
    assert his is not None
    # Her half hour is not over, and the item is his now: her answer would be the second of one.
    assert not hand_in(database, work, "harmful", "передумала")
    assert hand_in(database, his, "refusal")
    with database.read() as connection:
        assert [one.annotator for one in answers(connection, project)] == ["boris"]
        assert history(connection, work.id)[-1].content["comment"] == "передумала", "and her words are kept"


def test_an_item_of_a_kind_that_somebody_wants_no_more_of_is_not_given_back(database: Database) -> None:
    prompt, reply = TEXTS["sr"]
    shown = {"prompt": prompt, "reply": reply}
    unwanted, other = Item("unwanted", "sr", shown, categories=("Profanity",)), Item("other", "sr", shown)
    project = make_project(database, [unwanted, other])
    anna = add(database, "anna", "sr")
    first = take(database, project, anna)
    assert first is not None
    with database.write() as connection:
        anna = change_person(connection, anna, None, paused=True)
        assert claim(connection, project, anna) is None, "a break is a break from the item at hand too"
        anna = change_person(connection, anna, None, paused=False, opt_outs=["Profanity"])
    second = take(database, project, anna)
    assert second is not None and second.item != first.item


def test_what_is_left_is_what_is_given_out(database: Database) -> None:
    draw = random.Random(7)
    prompt, reply = TEXTS["ar"]
    people = [add(database, f"person {number}", *draw.sample(["ar", "hi", "ru"], 2)) for number in range(4)]
    with database.write() as connection:
        people[3] = change_person(connection, people[3], None, opt_outs=["Profanity"])
    project = make_project(
        database,
        [
            Item(f"item {number}", draw.choice(["ar", "hi", "ru"]), {"prompt": prompt, "reply": reply},
                 categories=draw.choice([(), ("Profanity",)]), author=draw.choice([None, people[0].id]))
            for number in range(30)
        ],
        overlap=2,
    )  # fmt: skip
    for _ in range(25):  # some answer, some skip, some go away and leave a lease behind, which may lapse
        work = take(database, project, draw.choice(people))
        if work is not None:
            what = draw.choice(["answer", "answer", "skip", "leave", "lapse"])
            if what == "answer":
                assert hand_in(database, work, "refusal")
            elif what == "skip":
                with database.write() as connection:
                    skip(connection, work, "unsure")
            elif what == "lapse":
                lapse(database, work)
    for person in people:
        with database.read() as connection:
            promised = standing(connection, project, person).left
        given = 0
        while (work := take(database, project, person)) is not None:
            given += 1
            with database.write() as connection:
                skip(connection, work, "unsure")
        assert given == promised, person.name
        with database.read() as connection:
            assert standing(connection, project, person).left == 0


def test_nobody_elses_work_is_found(database: Database) -> None:
    project = make_project(database, replies("ar", 1))
    anna, boris = add(database, "anna", "ar"), add(database, "boris", "ar")
    work = take(database, project, anna)
    assert work is not None
    with database.read() as connection:
        assert work_of(connection, work.token, boris) is None
        assert work_of(connection, work.token, anna) is not None


def test_sides_are_drawn_by_the_server_and_answers_do_not_depend_on_them(database: Database) -> None:
    prompt, reply = TEXTS["hi"]
    shown = {"prompt": prompt, "first": "FIRST " + reply, "second": "SECOND " + reply}
    origin = {"prompt_id": "p", "arm": "dpo", "opponent": "base"}
    pairs = [Item(f"pair {i}", "hi", shown, origin) for i in range(40)]
    project = make_project(database, pairs, Kind.PAIRWISE)
    anna = add(database, "anna", "hi")
    lefts = Counter[str]()
    while (work := take(database, project, anna)) is not None:
        texts = labelling.texts_of(work)
        first_is_left = texts["left"].startswith("FIRST")
        lefts["first" if first_is_left else "second"] += 1
        assert {texts["left"][:5], texts["right"][:5]} == {"FIRST", "SECON"}
        assert hand_in(database, work, "left" if first_is_left else "right")
        done = work_of_again(database, work, anna)
        assert labelling.chosen(done) == ("left" if first_is_left else "right")
    # 40 fair draws: both sides occur but with probability 2 / 2^40.
    assert set(lefts) == {"first", "second"}
    with database.read() as connection:
        assert {answer.content["label"] for answer in answers(connection, project)} == {"first"}


def work_of_again(database: Database, work: Work, person: Person) -> Work:
    with database.read() as connection:
        found = work_of(connection, work.token, person)
    assert found is not None and found.final is not None and found.final.kind == FINAL
    return found


def gold(language: str, answers_: list[str]) -> list[Item]:
    prompt, reply = TEXTS[language]
    return [
        Item(f"gold {i}", language, {"prompt": prompt, "reply": f"{reply} {i}"}, gold=answer)
        for i, answer in enumerate(answers_)
    ]


def test_gold_answers_come_first_and_qualify(database: Database) -> None:
    project = make_project(database, [*replies("ar", 1), *gold("ar", ["harmful", "refusal"])], pass_share=0.8)
    good, bad, shy = (add(database, name, "ar") for name in ("good", "bad", "shy"))
    for person, given in ((good, ["harmful", "refusal"]), (bad, ["harmful", "harmful"])):
        for label in given:
            work = take(database, project, person)
            assert work is not None and work.gold
            assert hand_in(database, work, label)
    for _ in range(2):
        work = take(database, project, shy)
        assert work is not None and work.gold
        with database.write() as connection:
            skip(connection, work, "unsure")
    # Two of two right goes on; one of two does not, and neither does who skipped both.
    work = take(database, project, good)
    assert work is not None and not work.gold and hand_in(database, work, "refusal")
    assert take(database, project, bad) is None and take(database, project, shy) is None
    with database.read() as connection:
        assert not standing(connection, project, bad).qualified
        assert [one.annotator for one in answers(connection, project)] == ["good"], "gold answers are no labels"
        assert len(answers(connection, project, gold=True)) == 4


def test_a_project_may_ask_for_the_qualification_of_another(database: Database) -> None:
    first = make_project(database, gold("ru", ["refusal"]), title="Examples")
    second = make_project(database, replies("ru", 1), title="Work", requires="Examples")
    anna = add(database, "anna", "ru")
    assert take(database, second, anna) is None
    with database.read() as connection:
        assert standing(connection, second, anna).waits_for == "Examples"
    work = take(database, first, anna)
    assert work is not None and hand_in(database, work, "refusal")
    assert take(database, second, anna) is not None


def test_items_are_added_once(database: Database) -> None:
    project = make_project(database, replies("ar", 3))
    with database.write() as connection:
        assert add_items(connection, project, replies("ar", 5)) == (2, 3)
