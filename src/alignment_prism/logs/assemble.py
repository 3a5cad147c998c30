"""From entries of a log to records: one prompt an id, one reply a sample, nothing joined that contradicts itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from alignment_prism.domain import (
    OUTCOME,
    Generation,
    InputError,
    Label,
    Message,
    Outcome,
    Prompt,
    PromptKind,
    Role,
    Score,
    content_digest,
)
from alignment_prism.io import FieldError, Intake
from alignment_prism.io.identity import Identities
from alignment_prism.logs.columns import LogColumns, as_word
from alignment_prism.logs.entry import Entry
from alignment_prism.logs.people import PEOPLE, joint_verdict
from alignment_prism.logs.verdicts import Reading, as_number_or_word, as_said
from alignment_prism.prompts.matching import PromptIndex, folded, text_digest
from alignment_prism.prompts.translations import translations_note


@dataclass(frozen=True, slots=True)
class Records:
    """What a log comes to.

    Attributes:
        prompts: that have a reply, in the order in which they begin; the given ones where some were given.
        generations: replies of all arms.
        scores: what the log says of them.
        human: what its raters say together, where it is known what their words stand for.
        labels: what each rater says, as they wrote it.
        notes: what was noticed, a sentence each.
    """

    prompts: tuple[Prompt, ...]
    generations: tuple[Generation, ...]
    scores: tuple[Score, ...]
    human: tuple[Score, ...]
    labels: tuple[Label, ...]
    notes: tuple[str, ...]


def assemble(
    entries: Iterable[Entry], columns: LogColumns, intake: Intake, *, harness: str, prompts: Sequence[Prompt] = ()
) -> Records:
    """Join the entries of a log.

    With prompts, an entry belongs to the one of its id, else to the one of its text and language; without, the log's
    own ids and texts make the prompts. Either way an entry whose text is not that of its id is a bad row, and so are
    two entries of one reply that differ: none of them is taken, since nobody knows which is right.

    Args:
        entries: whose rows the intake has counted as read.
        columns: what verdicts stand for, and what an id that occurs in several languages is.
        intake: accepts and rejects their rows.
        harness: name of the kind of log, for names of scorers.
        prompts: that were asked; empty for those of the log.

    Raises:
        InputError: (strict) a row is bad; the verdict that was named is not there, or there are several; nothing is
            left.
    """
    kept = list(entries)
    placed, notes = _with_given(kept, prompts, intake) if prompts else _with_own(kept, columns, intake)
    found, more = _one_each(placed, intake)
    notes += more
    for _ in found:
        intake.accept()
    if not found:
        fix = "look at the rejected rows; or give the prompts that were answered"
        raise InputError("no row of the log can be used", fix=fix, settings={"prompts": "FILE"})
    used = list({prompt.id: prompt for prompt, _, _ in found}.values())
    asked = [prompt for prompt in prompts if prompt.id in {each.id for each in used}] if prompts else used
    if note := translations_note(asked):
        notes.append(note)
    generations = [_generation(prompt, entry, sample) for prompt, entry, sample in found]
    replies = [
        (reply, entry, prompt.kind is PromptKind.HARMFUL)
        for reply, (prompt, entry, _) in zip(generations, found, strict=True)
    ]
    scores, said = _scores(replies, columns, harness)
    labels = [
        Label(reply.reply_digest, person, word, row=entry.row.number)
        for reply, entry, _ in replies
        for person, word in entry.ratings.items()
        if word
    ]
    arms = {reply.arm for reply in generations}
    without = sum(entry.reply is None for _, entry, _ in replies)
    if labels and without and len(arms) > 1:
        fix = "import one arm at a time, or a log with the replies"
        raise InputError(f"labels of {len(arms)} arms without their replies cannot be told apart", fix=fix)
    if without:
        notes.append(f"{without} rows hold no reply: what was said of it can be used, and nobody can be asked again")
    human = [score for told in replies if (score := _human(*told, columns)) is not None]
    return Records(tuple(asked), tuple(generations), tuple(scores), tuple(human), tuple(labels), (*notes, *said))


Placed = list[tuple[Prompt, Entry]]
Numbered = list[tuple[Prompt, Entry, int]]


def _with_given(entries: Sequence[Entry], prompts: Sequence[Prompt], intake: Intake) -> tuple[Placed, list[str]]:
    """Entries with the given prompts that they belong to."""
    index = PromptIndex(prompts)
    turns: Counter[tuple[str, str, str, int | None]] = Counter()
    placed: Placed = []
    for entry in entries:
        try:
            placed.append((_given(entry, index, turns), entry))
        except FieldError as error:
            intake.reject(entry.row, error)
    return placed, []


def _given(entry: Entry, index: PromptIndex, turns: Counter[tuple[str, str, str, int | None]]) -> Prompt:
    own = entry.prompt
    prompt = index.by_id.get(own.id) or index.by_id.get(f"{own.id}@{own.language}")
    if prompt is not None:
        if fault := index.contradiction(prompt.id, own.text):
            fix = (
                "say which column holds the prompts' ids, or leave out the column of ids, if they are not the prompts'"
            )
            raise FieldError("id", None, fault, fix, {"mapping": "id=COLUMN"})
        if own.language not in ("", prompt.language):
            what = f"the row is in {own.language} and its prompt {prompt.id} in {prompt.language}"
            fix = "say which column holds the language; or give prompts whose ids differ over languages"
            raise FieldError("id", None, what, fix, {"mapping": "language=COLUMN"})
        return prompt
    same = index.with_text(own.text, own.language)
    if not same:
        what = "the row is to none of the prompts, neither by its id nor by its text"
        raise FieldError(
            "id", None, what, "give the prompts that were asked, or name the columns", {"mapping": "id=COLUMN"}
        )
    # Prompts that say the same get their replies in the order of the rows.
    key = (entry.arm, own.language, folded(own.text), entry.sample)
    turns[key] += 1
    return same[(turns[key] - 1) % len(same)]


def _with_own(entries: Sequence[Entry], columns: LogColumns, intake: Intake) -> tuple[Placed, list[str]]:
    """Entries with prompts made of their own ids and texts."""
    texts: dict[tuple[str, str], dict[str, Entry]] = defaultdict(dict)
    for entry in entries:
        if entry.prompt.id:
            texts[entry.prompt.id, entry.prompt.language].setdefault(_content(entry.prompt), entry)
    spoken: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        if entry.prompt.id:
            spoken[entry.prompt.id].add(entry.prompt.language)
    several = {id_ for id_, languages in spoken.items() if len(languages) > 1}
    identities, made = Identities(), dict[tuple[str, str, str], Prompt]()
    placed: Placed = []
    notes: list[str] = []
    textless = 0
    for entry in entries:
        own = entry.prompt
        try:
            if not own.id and not own.messages:
                fix = "name the column of ids, or of prompts"
                raise FieldError(
                    "id", None, "the row says neither by id nor by text what was asked", fix, {"mapping": "id=COLUMN"}
                )
            _check_one_text(entry, texts.get((own.id, own.language), {}))
        except FieldError as error:
            intake.reject(entry.row, error)
            continue
        key = (own.id, own.language, "" if own.id else _content(own))
        if key not in made:
            textless += not own.messages
            wanted = replace(own, id=f"{own.id}@{own.language}") if several and own.id else own
            if columns.translations and own.id in several:
                wanted = replace(wanted, group=own.group or own.id)
            if not own.messages:
                wanted = replace(wanted, messages=(Message(Role.USER, f"[prompt {own.id}, whose text the log lacks]"),))
            made[key] = identities.prompt(wanted, lambda note, row=entry.row: intake.note(row, note))  # type: ignore[misc]
        placed.append((made[key], entry))
    if several:
        notes.append(
            f"{len(several)} ids occur in several languages: prompts are called ID@LANGUAGE"
            + (", and those of one ID are one cluster" if columns.translations else "")
        )
    if textless:
        notes.append(f"{textless} prompts have no text in the log; they are known by their ids alone")
    return placed, notes


def _content(prompt: Prompt) -> str:
    return content_digest([(turn.role, folded(turn.content)) for turn in prompt.messages])


def _check_one_text(entry: Entry, texts: Mapping[str, Entry]) -> None:
    """Refuse an entry whose id stands for several texts in one language.

    Raises:
        FieldError: names both texts by their digests, and both rows.
    """
    if len(texts) < 2:
        return
    one, other = list(texts.values())[:2]
    other = other if one.row is entry.row or _content(one.prompt) == _content(entry.prompt) else one
    what = (
        f"the id {entry.prompt.id[:40]} stands for two prompts: digest {text_digest(entry.prompt.text)} here and "
        f"{text_digest(other.prompt.text)} in row {other.row.number}"
    )
    fix = "give every prompt its own id, or say which column holds it; without ids rows are joined by their texts"
    raise FieldError("id", None, what, fix, {"mapping": "id=COLUMN"})


def _one_each(placed: Placed, intake: Intake) -> tuple[Numbered, list[str]]:
    """Entries with the number of their sample, those left out that are there twice or that contradict one another."""
    by_prompt: dict[tuple[str, str], list[tuple[Prompt, Entry]]] = defaultdict(list)
    for prompt, entry in placed:
        by_prompt[entry.arm, prompt.id].append((prompt, entry))
    several = _arms_with_samples(by_prompt)
    bad: dict[int, FieldError] = {}
    numbers: dict[int, int] = {}
    for (arm, _), rows in by_prompt.items():
        if arm in several:
            numbers.update({id(entry): number for number, (_, entry) in enumerate(rows)})
            continue
        groups: dict[int | None, list[Entry]] = defaultdict(list)
        for _, entry in rows:
            groups[entry.sample].append(entry)
        if None in groups and len(groups) > 1:
            fix = "number every reply to a prompt, or none"
            bad.update(
                {
                    id(e): FieldError("sample", None, "only some replies to the prompt are numbered", fix)
                    for _, e in rows
                }
            )
            continue
        for number, same in groups.items():
            numbers[id(same[0])] = number or 0
            differ = len({_saying(entry) for entry in same}) > 1
            for entry in same if differ else same[1:]:
                other = same[0] if entry is not same[0] else same[1]
                bad[id(entry)] = _twice(entry, other, differ)
    found: Numbered = []
    for prompt, entry in placed:
        if id(entry) in bad:
            intake.reject(entry.row, bad[id(entry)])
        else:
            found.append((prompt, entry, numbers[id(entry)]))
    return found, [
        f"{k} rows a prompt and arm {arm!r} were taken for {k} samples, in their order" for arm, k in several.items()
    ]


def _arms_with_samples(by_prompt: Mapping[tuple[str, str], Placed]) -> dict[str, int]:
    """Arms whose rows are samples in their order, though nothing numbers them, and how many a prompt.

    They have as many rows for every prompt, in one file: the rows of another file may be of another model. Where the
    rows of each prompt are all equal, the log was doubled.
    """
    rows_of: dict[str, list[list[Entry]]] = defaultdict(list)
    for (arm, _), rows in by_prompt.items():
        rows_of[arm].append([entry for _, entry in rows])
    return {
        arm: len(held[0])
        for arm, held in rows_of.items()
        if len({len(rows) for rows in held}) == 1
        and len(held[0]) > 1
        and all(entry.sample is None for rows in held for entry in rows)
        and all(len({entry.row.file for entry in rows}) == 1 for rows in held)
        and any(len({_saying(entry) for entry in rows}) > 1 for rows in held)
    }


def _saying(entry: Entry) -> str:
    return content_digest(
        entry.reply, {name: as_word(said.value) for name, said in entry.said.items()}, dict(entry.ratings)
    )


def _twice(entry: Entry, other: Entry, differ: bool) -> FieldError:
    settings = {"mapping": "sample=COLUMN"}
    if not differ:
        what = f"the reply of row {other.row.number} again"
        return FieldError("", None, what, "take one of them out; or number the samples", settings)
    what = f"another reply of {entry.arm[:40]} to the prompt of row {other.row.number}, and no number tells them apart"
    if entry.row.file != other.row.file:
        fix = "say whose replies each file holds: bring in the files of each model by themselves, under its name"
        return FieldError("", None, what, fix, {"arm": "NAME"})
    return FieldError("", None, what, "number the samples of a prompt from 0, or keep one row", settings)


def _generation(prompt: Prompt, entry: Entry, sample: int) -> Generation:
    return Generation(
        prompt.id,
        entry.arm,
        entry.arm,
        entry.reply or "",
        sample=sample,
        stop_reason=entry.stop,
        temperature=entry.temperature,
        error=entry.error,
    )


def _scores(
    replies: Sequence[tuple[Generation, Entry, bool]], columns: LogColumns, harness: str
) -> tuple[list[Score], list[str]]:
    """What a log says of its replies, as scores, and what could not be read."""
    names = list(dict.fromkeys(name for _, entry, _ in replies for name in entry.said))
    chosen = columns.verdict or (names[0] if len(names) == 1 else "")
    if columns.verdict and columns.verdict not in names:
        fix = "name one of " + (", ".join(names) or "(none: the log has no verdicts)")
        raise InputError(f"nothing in the log is called {columns.verdict!r}", fix=fix, settings={"verdict": "NAME"})
    if columns.meaning.given and not chosen and names:
        fix = "say which is meant: " + ", ".join(names)
        raise InputError(f"the log has {len(names)} verdicts", fix=fix, settings={"verdict": "NAME"})
    scores: list[Score] = []
    unread: Counter[str] = Counter()
    for reply, entry, asks_for_harm in replies:
        told: dict[str, str] = {}
        for name in names:
            said = entry.said.get(name)
            word = as_word(said.value) if said is not None else ""
            if columns.meaning.given and name == chosen:
                reading = columns.meaning.read(word, asks_for_harm)
            elif said is None:
                continue
            else:
                beside = name != chosen and bool(columns.verdict) and columns.verdict in entry.said
                reading = as_number_or_word(name, word) if beside else as_said(name, word, said.correct)
            if reading.name in told:
                fix = f"say which is meant: {told[reading.name]}, {name}, ..."
                what = f"two verdicts of a reply say {reading.name!r}"
                raise InputError(what, where=entry.row.where, fix=fix, settings={"verdict": "NAME"})
            told[reading.name] = name
            unread[reading.error] += bool(reading.error)
            own = f"{harness}:{name}" if name == chosen or reading.name == name else harness
            scorer = columns.scorer if name == chosen and columns.scorer else own
            scores.append(_score(reply, reading, scorer, (said.raw if said else "") or word))
    if columns.meaning.given and chosen and all(score.error for score in scores if score.name == columns.meaning.name):
        reason = next(score.error for score in scores if score.name == columns.meaning.name)
        words = Counter(score.raw[:40] for score in scores if score.error and len(score.raw) <= 40)
        shown = ", ".join(repr(word) for word, _ in words.most_common(5))
        fix = f"the verdicts are {shown}" if shown else "look at the verdicts; they are long texts"
        raise InputError(
            f"none of {len(scores)} verdicts can be read: {reason}", fix=fix, settings={"words": "WORD=OUTCOME"}
        )
    return scores, [f"{count} verdicts are missing: {reason}" for reason, count in unread.most_common() if count]


def _score(reply: Generation, reading: Reading, scorer: str, raw: str) -> Score:
    return Score(
        reply.prompt_id,
        reply.reply_digest,
        reply.arm,
        scorer,
        reading.name,
        str(reading.label),
        reading.value,
        reply.sample,
        raw=raw,
        error=reading.error,
    )


def _human(reply: Generation, entry: Entry, asks_for_harm: bool, columns: LogColumns) -> Score | None:
    """What the raters of a reply say together; None where there are none, or their words stand for nothing known."""
    if not entry.ratings or not columns.meaning.given:
        return None
    reading = joint_verdict(entry.ratings.values(), columns.meaning, asks_for_harm)
    if reading.name != OUTCOME:
        reading = reading._replace(name=OUTCOME, label=Outcome.UNJUDGED)
    return _score(reply, reading, PEOPLE, "; ".join(f"{who}: {word}" for who, word in entry.ratings.items()))
