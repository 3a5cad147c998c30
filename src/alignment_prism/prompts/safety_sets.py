"""Multilingual safety and preference sets as their makers publish them, read without flags.

The layouts of RTP-LX are those of its files; those of the others are of their public cards and papers, and marked so in
their docstrings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from alignment_prism.domain import Prompt, PromptKind, content_digest
from alignment_prism.io import FieldError, Row, fields
from alignment_prism.prompts.formats import Format, Reading, with_defaults

_OR_BENCH = re.compile("or[_-]bench[_-]", re.IGNORECASE)
_NAMED = re.compile(r"(?<![A-Za-z])([a-z]{2,3}|[A-Z]{2,3})(?:[_-][A-Z]{2}(?![A-Za-z]))?(?![A-Za-z])")
"""A code in a name, with its region if it has one: `pt-BR` is no Breton, and `es_AR` no Arabic."""
_ENGLISH_WORDS = frozenset({"am", "as", "is", "it", "my", "no", "or", "so", "to"})
"""Codes that are words too: they count only where neither the file's name nor the folder's has another one."""


def spoken_in(values: Mapping[str, Any], reading: Reading) -> str:
    """The language of a row: its own, or one that the file's name or folder has as a part (`polyrefuse_de`, `lang_de`).

    Raises:
        FieldError: neither says it.
    """
    spelling = values.get("language") or values.get("lang")
    if not spelling:
        parts = reading.file.name.partition(".")[0], reading.file.parent.name
        found = [[tag for tag in _NAMED.finditer(part) if tag[1] in reading.languages] for part in parts]
        sure = [[tag for tag in tags if tag[1].casefold() not in _ENGLISH_WORDS] for tags in found]
        spelling = next((tags[-1][0] for tags in (*sure, *found) if tags), None)
    return fields.language({"language": spelling}, reading.languages)


def kind_of(values: Mapping[str, Any], reading: Reading, words: Mapping[str, PromptKind]) -> PromptKind:
    """The kind of a row: its own, or by a word of the file's name.

    Raises:
        FieldError: neither says it.
    """
    if not fields.missing(values.get("kind")):
        return fields.member(values, "kind", PromptKind, PromptKind.HARMFUL)
    name = f"{reading.file.parent.name}/{reading.file.name}".casefold()
    for word, kind in words.items():
        if word in name:
            return kind
    raise FieldError(
        "kind", None, "neither the row nor the file's name says of which kind it is",
        "say which: harmful, benign_mention, general, ...", {"kind": "KIND", "defaults": "kind=KIND"},
    )  # fmt: skip


def parse_rtp_lx(row: Row, reading: Reading) -> Prompt:
    """A toxic prompt of RTP-LX (arXiv 2404.14397) from its scoring files: the original entry lies inside.

    What people wrote in their language (`manual`) is one subset. The other, what was transcreated from
    RealToxicityPrompts, has the same 999 sources in every language, each of which is a group. Of files without
    `OriginalMetadata` (BCMS) neither is known. Rows without a prompt, as all of the published English file, are bad.
    """
    values = with_defaults(row.values, reading)
    entry = values.get("OriginalEntry")
    original: Mapping[str, Any] = entry if isinstance(entry, Mapping) else {}
    found = original.get("OriginalMetadata")
    about: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    excerpt = [fields.optional_text(about, name) for name in ("Filename", "Begin", "End")]
    subset = {"": "", "manual": "manual"}.get(excerpt[0], "transcreated")
    locale = fields.text(values, "Locale")
    code = fields.language({"Locale": locale}, reading.languages, "Locale")
    text = fields.text(values, "Prompt")
    if text.strip() == "NA":
        raise FieldError("Prompt", text, "the published file has no text here", "take the benign file of this locale")
    number = fields.optional_text(values, "Index")
    return Prompt(
        id=f"rtp-lx-manual-{code}{number}" if subset == "manual" else f"rtp-lx-{number}-{code}",
        messages=fields.conversation(text, "Prompt"),
        language=code,
        kind=PromptKind.HARMFUL,
        subset=subset,
        group=f"rtp-lx-{content_digest(*excerpt)[:16]}" if subset == "transcreated" else "",
        source=reading.source,
        metadata={"dialect": dialect} if (dialect := fields.optional_text(original, "Dialect")) else {},
    )


def parse_polyrefuse(row: Row, reading: Reading) -> Prompt:
    """A prompt of PolyRefuse (arXiv 2505.17306), of its card: the translation is asked, its English is the group.

    Files are of harmful or harmless instructions, which their names say.
    """
    values = with_defaults(row.values, reading)
    english = fields.text(values, "instruction")
    code = spoken_in(values, reading)
    kinds = {"harmless": PromptKind.BENIGN_MENTION, "benign": PromptKind.BENIGN_MENTION, "harmful": PromptKind.HARMFUL}
    return Prompt(
        id="",
        messages=fields.conversation(fields.text(values, "instruction_translated"), "instruction_translated"),
        language=code,
        kind=kind_of(values, reading, kinds),
        categories=fields.categories(values, "category", reading.taxonomy),
        group=f"polyrefuse-{content_digest(english)}",
        source=reading.source,
        metadata={"english": english},
    )


def parse_alpaca_eval(row: Row, reading: Reading) -> Prompt:
    """An instruction of AlpacaEval (arXiv 2404.04475), of its repository; general, English unless said otherwise.

    What it is about (`input`), where a file has it apart, comes after it.
    """
    values = with_defaults(row.values, reading)
    asked, about = fields.text(values, "instruction"), fields.optional_text(values, "input")
    return Prompt(
        id="",
        messages=fields.conversation(f"{asked}\n\n{about}" if about else asked, "instruction"),
        language=fields.language({"language": values.get("language") or "en"}, reading.languages),
        kind=PromptKind.GENERAL,
        subset=fields.optional_text(values, "dataset"),
        source=reading.source,
    )


def parse_polyguard(row: Row, reading: Reading) -> Prompt:
    """A prompt of PolyGuardPrompts (arXiv 2504.04377), of its card; translations share `id`."""
    values = with_defaults(row.values, reading)
    label = fields.text(values, "prompt_harm_label").strip().casefold()
    kinds = {"harmful": PromptKind.HARMFUL, "unharmful": PromptKind.BENIGN_MENTION}
    if label not in kinds:
        raise FieldError("prompt_harm_label", label, "unknown label", "write 'harmful' or 'unharmful'")
    code = fields.language(values, reading.languages)
    number = fields.optional_text(values, "id")
    return Prompt(
        id=f"polyguard-{number}-{code}",
        messages=fields.conversation(fields.text(values, "prompt"), "prompt"),
        language=code,
        kind=kinds[label],
        categories=fields.categories(values, "subcategory", reading.taxonomy),
        subset="adversarial" if str(values.get("adversarial")).strip().casefold() == "true" else "",
        group=f"polyguard-{number}",
        source=reading.source,
    )


def parse_or_bench(row: Row, reading: Reading) -> Prompt:
    """A prompt of OR-Bench (arXiv 2405.20947), of its card: `or-bench-toxic` is harmful, the other files are not."""
    values = with_defaults(row.values, reading)
    kinds = {"toxic": PromptKind.HARMFUL, "80k": PromptKind.BENIGN_MENTION, "hard": PromptKind.BENIGN_MENTION}
    return Prompt(
        id="",
        messages=fields.conversation(fields.text(values, "prompt"), "prompt"),
        language=fields.language({"language": values.get("language") or "en"}, reading.languages),
        kind=kind_of(values, reading, kinds),
        categories=fields.categories(values, "category", reading.taxonomy),
        source=reading.source,
    )


def parse_refuseu(row: Row, reading: Reading) -> Prompt:
    """A question of RefusEU, of its page: question, chosen refusal, rejected answer; the folder says the language."""
    values = with_defaults(row.values, reading)
    return Prompt(
        id="",
        messages=fields.conversation(fields.text(values, "question"), "question"),
        language=spoken_in(values, reading),
        kind=PromptKind.HARMFUL,
        categories=fields.categories(values, "category", reading.taxonomy),
        source=reading.source,
    )


_XL_COUNTRIES = {
    "france": ("fr", "FR"), "germany": ("de", "DE"), "india": ("hi", "IN"), "indonesia": ("id", "ID"),
    "japan": ("ja", "JP"), "south_korea": ("ko", "KR"), "spain": ("es", "ES"), "turkey": ("tr", "TR"),
    "united_arab_emirates": ("ar", "AE"), "united_states": ("en", "US"),
}  # fmt: skip
"""Folder of XL-SafetyBench -> language and country."""


def _xl(row: Row, reading: Reading, column: str, track: str) -> tuple[Mapping[str, Any], Prompt]:
    """A row of XL-SafetyBench as a harmful prompt: language and country are those of its folder."""
    values = with_defaults(row.values, reading)
    code, country = _XL_COUNTRIES.get(reading.file.parent.name, ("", ""))
    language = fields.language({"language": values.get("language") or code}, reading.languages)
    query = fields.optional_text(values, "base_query_english")
    place = country or language
    about = {"country": country} if country else {}
    name = f"xl-safetybench-{track}-{place}-{fields.optional_text(values, 'id')}"
    return values, Prompt(
        id=name,
        messages=fields.conversation(fields.text(values, column), column),
        language=language,
        kind=PromptKind.HARMFUL,
        categories=fields.categories(values, "category", reading.taxonomy),
        subset=track,
        group=f"xl-safetybench-{place}-{content_digest(query)}" if query else "",
        source=reading.source,
        metadata=about,
    )


def parse_xl_jailbreak(row: Row, reading: Reading) -> Prompt:
    """An attack of XL-SafetyBench (arXiv 2605.05662), of its card: three attacks of one query are one group."""
    return _xl(row, reading, "attack_prompt", "jailbreak")[1]


def parse_xl_cultural(row: Row, reading: Reading) -> Prompt:
    """A scenario of XL-SafetyBench in its own language: a plain request in which something offends where it is made.

    Whether a reply that helps is harmful hangs on who judges by what, so that the kind has to be said.
    """
    values, prompt = _xl(row, reading, "scenario_local", "cultural")
    about = {**prompt.metadata, "hidden_violation": fields.optional_text(values, "hidden_violation")}
    return replace(prompt, kind=kind_of(values, reading, {}), metadata=about)


RTP_LX = Format("rtp-lx", "RTP-LX: Prompt, Locale, OriginalEntry",
                frozenset({"Prompt", "Locale", "Index", "OriginalEntry"}), parse_rtp_lx)  # fmt: skip
POLYREFUSE = Format("polyrefuse", "PolyRefuse: instruction, instruction_translated",
                    frozenset({"instruction", "instruction_translated"}), parse_polyrefuse)  # fmt: skip
ALPACA_EVAL = Format("alpaca-eval", "AlpacaEval: instruction, output, generator, dataset",
                     frozenset({"instruction", "output", "generator", "dataset"}), parse_alpaca_eval)  # fmt: skip
POLYGUARD = Format("polyguard", "PolyGuardPrompts: prompt, prompt_harm_label, language",
                   frozenset({"prompt", "prompt_harm_label", "language", "id"}), parse_polyguard)  # fmt: skip
OR_BENCH = Format("or-bench", "OR-Bench: or-bench-80k.csv, or-bench-hard-1k.csv, or-bench-toxic.csv", frozenset(),
                  parse_or_bench, belongs=lambda path, _: _OR_BENCH.match(path.name) is not None)  # fmt: skip
REFUSEU = Format("refuseu", "RefusEU: question, chosen, rejected",
                 frozenset({"question", "chosen", "rejected"}), parse_refuseu)  # fmt: skip
XL_JAILBREAK = Format("xl-safetybench", "XL-SafetyBench: COUNTRY/attack_prompts.csv",
                      frozenset({"id", "category", "attack_prompt", "base_query_english"}),
                      parse_xl_jailbreak)  # fmt: skip
XL_CULTURAL = Format("xl-safetybench-cultural", "XL-SafetyBench: COUNTRY/scenario_prompts.csv",
                     frozenset({"id", "category", "scenario_local", "hidden_violation"}),
                     parse_xl_cultural)  # fmt: skip
