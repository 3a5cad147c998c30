"""Public sets of safety prompts in the shapes that their makers gave them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from alignment_prism.domain import Languages, Message, Prompt, PromptKind, Role, user
from alignment_prism.io import FieldError, Row, fields
from alignment_prism.prompts.formats import Format, Reading, with_defaults


def parse_xstest(row: Row, reading: Reading) -> Prompt:
    """A prompt of XSTest (arXiv 2308.01263), English unless said otherwise.

    Safe prompts sound like harmful ones and are benign mentions; the unsafe contrasts are harmful. The files with
    completions have no `label`: there a type that begins with `contrast` is unsafe. Translations share `id`, and so a
    group.
    """
    values = with_defaults(row.values, reading)
    label = fields.optional_text(values, "label").strip().casefold()
    kind_of_prompt = (fields.optional_text if label else fields.text)(values, "type").strip()
    if label not in {"safe", "unsafe", ""}:
        raise FieldError("label", values["label"], "unknown label", "write 'safe' or 'unsafe'")
    unsafe = label == "unsafe" if label else kind_of_prompt.startswith("contrast")
    number = fields.optional_text(values, "id").removeprefix("v2-")
    return Prompt(
        id=f"xstest-{number}" if number else "",
        messages=fields.conversation(fields.text(values, "prompt"), "prompt"),
        language=fields.language({"language": values.get("language") or "en"}, reading.languages),
        kind=PromptKind.HARMFUL if unsafe else PromptKind.BENIGN_MENTION,
        subset=kind_of_prompt,
        group=f"xstest-{number}" if number else "",
        source=reading.source,
        metadata=fields.rest(values, ("id", "prompt", "type", "label", "language")),
    )


MULTIJAIL_LANGUAGES = ("en", "zh", "it", "vi", "ar", "ko", "th", "bn", "sw", "jv")


def expand_multijail(row: Row, reading: Reading) -> Iterator[Row]:
    """One part a language that the registry knows; the other languages' columns are no prompts of this study."""
    for code in MULTIJAIL_LANGUAGES:
        if code in row.values and code in reading.languages:
            yield Row(row.file, row.number, row.values, row.line, code)


def unread_multijail(row: Row, reading: Reading) -> Iterator[str]:
    """Languages that the row has a prompt in and the registry does not know."""
    for code in MULTIJAIL_LANGUAGES:
        if code not in reading.languages and not fields.missing(row.values.get(code)):
            yield code


def parse_multijail(row: Row, reading: Reading) -> Prompt:
    """One language of a row of MultiJail (arXiv 2310.06474); translations of one prompt are one group."""
    number = fields.text(row.values, "id")
    code = fields.language({row.part: row.part}, reading.languages, row.part)
    return Prompt(
        id=f"multijail-{number}-{code}",
        messages=fields.conversation(fields.text(row.values, row.part), row.part),
        language=code,
        kind=PromptKind.HARMFUL,
        categories=fields.categories(row.values, "tags", reading.taxonomy),
        group=f"multijail-{number}",
        source=reading.source,
        metadata={"set": fields.optional_text(row.values, "source")},
    )


_XSAFETY_NAME = re.compile(r"^(?P<category>[A-Za-z]+(?:_[A-Za-z]+?)*?)(?:_(?:n|en))?$")
_XSAFETY_SPELLINGS = {"commen_sense": "commonsense", "crimes_and_illegal_activitie": "crimes_and_illegal_activities"}
"""Names of published files (one of Hindi, one of Russian) and the category they are."""
_XSAFETY_FOLDERS = {"sp": "es"}
"""Folders of published languages that are no code, and the code."""


def is_xsafety(path: Path, languages: Languages) -> bool:
    """Whether a file lies as XSafety's do: a folder of a known language, a category as the name."""
    return (
        path.suffix == ".csv" and _xsafety_folder(path) in languages and _xsafety_category(path) in XSAFETY_CATEGORIES
    )


def _xsafety_folder(path: Path) -> str:
    name = path.absolute().parent.name
    return _XSAFETY_FOLDERS.get(name, name)


def _xsafety_category(path: Path) -> str:
    found = _XSAFETY_NAME.match(path.stem)
    name = (found["category"] if found else path.stem).casefold()
    return _XSAFETY_SPELLINGS.get(name, name)


XSAFETY_CATEGORIES = frozenset(
    {
        "crimes_and_illegal_activities",
        "ethics_and_morality",
        "goal_hijacking",
        "inquiry_with_unsafe_opinion",
        "insult",
        "mental_health",
        "physical_harm",
        "privacy_and_property",
        "prompt_leaking",
        "reverse_exposure",
        "role_play_instruction",
        "unfairness_and_discrimination",
        "unsafe_instruction_topic",
        "commonsense",
    }
)


def parse_xsafety(row: Row, reading: Reading) -> Prompt:
    """A prompt of XSafety (arXiv 2310.00905): one column, no header, folder = language, file name = category.

    Rows of one category are translations of one another, line by line, so they share a group.
    """
    category = _xsafety_category(reading.file)
    folder = reading.defaults.get("language") or _xsafety_folder(reading.file)
    code = fields.language({"language": folder}, reading.languages)
    return Prompt(
        id=f"xsafety-{category}-{row.number}-{code}",
        messages=fields.conversation(fields.text(row.values, "1"), "1"),
        language=code,
        kind=PromptKind.HARMFUL,
        categories=(category,),
        group=f"xsafety-{category}-{row.number}",
        source=reading.source,
    )


def parse_harmbench(row: Row, reading: Reading) -> Prompt:
    """A behaviour of HarmBench (arXiv 2402.04249) or a file like it; the context, if any, comes before it."""
    values = with_defaults(row.values, reading)
    behaviour = fields.text(values, "Behavior")
    context = fields.optional_text(values, "ContextString")
    number = fields.optional_text(values, "BehaviorID")
    return Prompt(
        id=f"harmbench-{number}" if number else "",
        messages=user(f"{context}\n\n---\n\n{behaviour}" if context else behaviour),
        language=fields.language({"language": values.get("language") or "en"}, reading.languages),
        kind=PromptKind.HARMFUL,
        categories=fields.categories(values, "SemanticCategory", reading.taxonomy),
        subset=fields.optional_text(values, "FunctionalCategory"),
        group=f"harmbench-{number}" if number else "",
        source=reading.source,
        metadata=fields.rest(
            values,
            ("Behavior", "ContextString", "BehaviorID", "SemanticCategory", "FunctionalCategory", "language"),
        ),
    )


def parse_dolly(row: Row, reading: Reading) -> Prompt:
    """A prompt of the Aya evaluation suite (arXiv 2402.06619), for instance of its Dolly-200 part."""
    values = with_defaults(row.values, reading)
    number = fields.optional_text(values, "id")
    origin = fields.optional_text(values, "source_id")
    code = fields.language(values, reading.languages)
    return Prompt(
        id=f"aya-eval-{number}-{code}" if number else "",
        messages=fields.conversation(fields.text(values, "inputs"), "inputs"),
        language=code,
        kind=PromptKind.GENERAL,
        group=f"dolly-{origin}" if origin else "",
        reference=fields.optional_text(values, "targets"),
        source=reading.source,
        metadata=fields.rest(values, ("id", "inputs", "targets", "language", "source_id")),
    )


_MT_BENCH_NAME = re.compile(r"[._-]([A-Za-z]{2,3})$")


def parse_mt_bench(row: Row, reading: Reading) -> Prompt:
    """The first turn of an MT-bench question (arXiv 2306.05685); later turns are kept in the metadata.

    The second turn asks about the reply to the first, so a prompt that exists before any reply has the first only.
    The language is that of the row, of the file's name (`question.fr.jsonl`), or English.
    """
    values = with_defaults(row.values, reading)
    turns = values.get("turns")
    if not isinstance(turns, list) or not turns:
        raise FieldError("turns", turns, "not a list of turns", 'write "turns": ["...", "..."]')
    named = _MT_BENCH_NAME.search(reading.file.name.removesuffix(".gz").rpartition(".")[0])
    spelling = values.get("lang") or values.get("language") or (named.group(1) if named else "en")
    code = fields.language({"lang": spelling}, reading.languages, "lang")
    number = fields.optional_text(values, "question_id")
    category = fields.optional_text(values, "category")
    first = fields.written(turns[0], "turns")
    return Prompt(
        id=f"mt-bench-{number}-{code}",
        messages=fields.conversation(first, "turns"),
        language=code,
        kind=PromptKind.GENERAL,
        subset=category,
        group=f"mt-bench-{number}",
        source=reading.source,
        metadata={
            **fields.rest(values, ("question_id", "category", "turns", "lang", "language")),
            "later_turns": [fields.written(turn, "turns") for turn in turns[1:]],
        },
    )


_SENTENCES = re.compile(
    r"^(?:newstest2019-(?:src|ref)(?P<second>-\d)?\.)?"
    r"(?P<language>[a-z]{3}(?P<variant>[_-][A-Za-z]+)?)\.(?P<part>dev|devtest|txt)$"
)


def is_sentences(path: Path, languages: Languages) -> bool:
    """Whether a file is named like FLORES-200 (`hin_Deva.devtest`) or NTREX (`newstest2019-ref.hin.txt`)."""
    found = _SENTENCES.match(path.name)
    if found is None:
        return False
    # `eng-US` is found by its first part, as `Languages.find` does; of a .txt file the name must be a language's.
    return path.suffix != ".txt" or path.name.startswith("newstest") or found["language"] in languages


def parse_sentence(row: Row, reading: Reading) -> Prompt:
    """A sentence of FLORES-200 or NTREX-128: line n of every language is the same sentence, hence one group."""
    found = _SENTENCES.match(reading.file.name)
    spelling = reading.defaults.get("language") or (found["language"] if found else None)
    code = fields.language({"language": spelling}, reading.languages)
    part = found["part"] if found else "txt"
    name = "ntrex" if part == "txt" else f"flores-{part}"
    # NTREX has several files of one language: eng-GB, eng-US, srp-Cyrl, srp-Latn, a second reference for Spanish.
    variant = f"{found['variant'] or ''}{found['second'] or ''}" if found and part == "txt" else ""
    return Prompt(
        id=f"{name}-{row.number}-{code}{variant}",
        messages=(Message(Role.USER, fields.text(row.values, "text")),),
        language=code,
        kind=PromptKind.GENERAL,
        group=f"{name}-{row.number}",
        source=reading.source,
        metadata={"script": script} if (script := _script(found["language"] if found else "")) else {},
    )


def _script(code: str) -> str:
    """The script of a code of FLORES-200 (`srp_Cyrl`) or NTREX (`srp-Latn`), empty where it names none."""
    last = re.split("[_-]", code)[-1]
    return last if len(last) == 4 and last.istitle() else ""


MMLU_CHOICES = ("option_a", "option_b", "option_c", "option_d")
MMLU_QUESTION = "{question}\n\n{options}\n\nAnswer with the letter alone: {letters}."
_LABELS = {"CS": "culturally_sensitive", "CA": "culturally_agnostic"}


def parse_global_mmlu(row: Row, reading: Reading) -> Prompt:
    """A question of Global MMLU (arXiv 2412.03304) with its four options; the letter of the right one is the reference.

    Files have no column for the language, which is that of the row if it has one, of the folder (`fr/test.parquet`) or
    of the file's name (`fr.csv`). Translations of a question share its `sample_id`, and so a group.
    """
    values = with_defaults(row.values, reading)
    file = reading.file
    named = [part for part in (file.name.partition(".")[0], file.parent.name) if part in reading.languages]
    spelling = values.get("language") or values.get("lang") or (named[0] if named else None)
    code = fields.language({"language": spelling}, reading.languages)
    choices = [_choice(values, name) for name in MMLU_CHOICES]
    letters = "ABCD"
    answer = fields.text(values, "answer").strip().upper()
    if answer not in tuple(letters):
        raise FieldError("answer", values["answer"], "no letter of an option", "write A, B, C or D")
    options = "\n".join(f"{letter}. {words}" for letter, words in zip(letters, choices, strict=True))
    asked = MMLU_QUESTION.format(question=fields.text(values, "question"), options=options, letters="A, B, C or D")
    number = fields.optional_text(values, "sample_id").replace("/", "-")
    label = fields.optional_text(values, "cultural_sensitivity_label")
    subject = fields.optional_text(values, "subject_category")
    return Prompt(
        id=f"global-mmlu-{number}-{code}" if number else "",
        messages=user(asked),
        language=code,
        kind=PromptKind.GENERAL,
        categories=(subject,) if subject else (),
        subset=_LABELS.get(label, ""),
        group=f"global-mmlu-{number}" if number else "",
        reference=answer,
        source=reading.source,
        metadata={"choices": choices, "subject": fields.optional_text(values, "subject")},
    )


def _choice(values: Mapping[str, Any], name: str) -> str:
    """An option; a spreadsheet makes a number of one."""
    value = values.get(name)
    return str(value) if isinstance(value, int | float) and not fields.missing(value) else fields.text(values, name)


def parse_flores_plus(row: Row, reading: Reading) -> Prompt:
    """A sentence of FLORES+, of its card: the row says language and script; `id` is of one sentence in all languages.

    The folder or the file's name says whether it is of `dev` or of `devtest`.
    """
    code = f"{fields.text(row.values, 'iso_639_3')}_{fields.text(row.values, 'iso_15924')}"
    language = fields.language({"iso_639_3": code}, reading.languages, "iso_639_3")
    named = f"{reading.file.parent.name}/{reading.file.name}"
    part = next((part for part in ("devtest", "dev") if part in named), "all")
    number = f"{part}-{fields.optional_text(row.values, 'id')}"
    return Prompt(
        id=f"flores-plus-{number}-{code}",
        messages=(Message(Role.USER, fields.text(row.values, "text")),),
        language=language,
        kind=PromptKind.GENERAL,
        group=f"flores-plus-{number}",
        source=reading.source,
        metadata={"script": _script(code)},
    )


FLORES_PLUS = Format(
    "flores-plus",
    "FLORES+: id, iso_639_3, iso_15924, text",
    frozenset({"id", "iso_639_3", "iso_15924", "text"}),
    parse_flores_plus,
)
GLOBAL_MMLU = Format(
    "global-mmlu",
    "Global MMLU: question, option_a to option_d, answer",
    frozenset({"question", *MMLU_CHOICES, "answer"}),
    parse_global_mmlu,
)
XSTEST = Format("xstest", "XSTest: prompt, type, label, focus", frozenset({"prompt", "type", "focus"}), parse_xstest)
XSTEST_UNTYPED = Format("xstest-untyped", "XSTest without types", frozenset({"prompt", "label", "focus"}), parse_xstest)
XSTEST_COMPLETIONS = Format(
    "xstest-completions", "XSTest with completions", frozenset({"id", "type", "prompt", "final_label"}), parse_xstest
)
MULTIJAIL = Format(
    "multijail",
    "MultiJail: a column a language",
    frozenset({"id", "tags", "en", "bn"}),
    parse_multijail,
    expand_multijail,
    unread_multijail,
)
XSAFETY = Format(
    "xsafety",
    "XSafety: LANGUAGE/CATEGORY.csv without a header",
    frozenset(),
    parse_xsafety,
    header=False,
    belongs=is_xsafety,
)
HARMBENCH = Format(
    "harmbench",
    "HarmBench: Behavior, SemanticCategory",
    frozenset({"Behavior", "SemanticCategory"}),
    parse_harmbench,
)
DOLLY = Format(
    "dolly",
    "Aya evaluation suite: inputs, targets, language",
    frozenset({"inputs", "targets", "language"}),
    parse_dolly,
)
MT_BENCH = Format(
    "mt-bench",
    "MT-bench: question_id, category, turns",
    frozenset({"question_id", "category", "turns"}),
    parse_mt_bench,
)
SENTENCES = Format(
    "flores",
    "FLORES-200 and NTREX: a sentence a line",
    frozenset(),
    parse_sentence,
    as_lines=True,
    belongs=is_sentences,
)
