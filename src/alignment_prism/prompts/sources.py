"""Prompt sets by name: where they lie on the Hub, at which revision, and how their rows are read.

A name reaches for the Hub; a path never does. The revision is resolved to a commit first and that commit is recorded in
`Prompt.source`, so that a set that changes upstream is noticed. Sets known by name are pinned where a commit of theirs
is known; pin the others with `revision=` for a study.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

from alignment_prism.domain import LANGUAGES, InputError, Languages, Prompt
from alignment_prism.io import SUFFIXES, Intake
from alignment_prism.io.files import suffix_of
from alignment_prism.io.hub import load_hub_rows
from alignment_prism.io.identity import Identities
from alignment_prism.io.rejects import Rejects
from alignment_prism.prompts.files import format_named, iter_prompts, prompts_from
from alignment_prism.prompts.formats import Reading, ReadOptions
from alignment_prism.prompts.plain import check_defaults, check_names


@dataclass(frozen=True, slots=True)
class HubSource:
    """A set on the Hub.

    Attributes:
        repo: dataset id.
        splits: its splits; `{language}` stands for the lower-case English name of each language that is read.
        format_name: how its rows are read.
        config: its configuration, where it has several.
        revision: what is read unless another is named: a commit where one is known to be right, else `main`.
        languages: codes of the languages it has, where splits go by language.
        defaults: what its rows do not say: our field to a value.
    """

    repo: str
    splits: tuple[str, ...]
    format_name: str
    config: str | None = None
    revision: str = "main"
    languages: tuple[str, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)


ENGLISH = {"language": "en"}

SOURCES: dict[str, HubSource] = {
    "aya": HubSource(
        "CohereLabs/aya_redteaming",
        ("{language}",),
        "aya",
        revision="5a16fee03c19d681b4f3527b6a750e1ed4d434c7",
        languages=("ar", "en", "fil", "fr", "hi", "ru", "sr", "es"),
    ),
    "dolly": HubSource(
        "CohereLabs/aya_evaluation_suite",
        ("test",),
        "dolly",
        config="dolly_human_edited",
        revision="8a622ea40687244b7849e6cf15c93a8b33fa9575",
    ),
    "dolly-machine": HubSource(
        "CohereLabs/aya_evaluation_suite",
        ("test",),
        "dolly",
        config="dolly_machine_translated",
        revision="8a622ea40687244b7849e6cf15c93a8b33fa9575",
    ),
    "multijail": HubSource("DAMO-NLP-SG/MultiJail", ("train",), "multijail"),
    "pku-saferlhf": HubSource("PKU-Alignment/PKU-SafeRLHF", ("train",), "pku-saferlhf", defaults=ENGLISH),
    "ultrafeedback": HubSource(
        "HuggingFaceH4/ultrafeedback_binarized", ("train_prefs",), "preferences", defaults=ENGLISH
    ),
}
"""Sets known by name."""


class SourceOptions(ReadOptions, total=False):
    """How prompts are read where they may lie on the Hub.

    Attributes:
        revision: branch, tag or commit of a Hub dataset; None is the one in `SOURCES`, else `main`.
        split: of a Hub dataset; None is those in `SOURCES`, else `train`.
        config: configuration of a Hub dataset.
    """

    revision: str | None
    split: str | None
    config: str | None


def load_prompts(name: str | Path, **options: Unpack[SourceOptions]) -> list[Prompt]:
    """All prompts of a file, of a set known by name (`aya`, `dolly`), or of a Hub dataset (`owner/name`).

    Args:
        name: path, name or Hub id.
        options: see `SourceOptions` and `ReadOptions`.

    Raises:
        InputError: as `read_prompts`; or the dataset, its revision or its split cannot be had.
    """
    return list(iter_source(str(name), **options))


def iter_source(
    name: str,
    *,
    revision: str | None = None,
    split: str | None = None,
    config: str | None = None,
    identities: Identities | None = None,
    **options: Unpack[ReadOptions],
) -> Iterator[Prompt]:
    """Prompts of a file, of a set known by name (`aya`), or of a Hub dataset (`owner/name`), one at a time.

    Raises:
        InputError: it is none of these, or as `read_prompts` and `load_hub_rows`.
    """
    identities = identities or Identities()
    check_names(options.get("mapping") or (), "mapping")
    check_defaults(options.get("defaults") or {}, options.get("languages", LANGUAGES))
    known = _on_the_hub(name)
    if known is None:
        hub_only = {"revision": revision, "split": split, "configuration": config}
        given = [what for what, value in hub_only.items() if value]
        if given:
            fix = "leave it out, or name a Hub dataset"
            raise InputError(f"a {given[0]} is of Hub datasets only, and this is a file", where=name, fix=fix)
        yield from iter_prompts(name, identities=identities, **options)
        return
    intake = options.get("intake") or Intake()
    languages = options.get("languages", LANGUAGES)
    defaults = {**known.defaults, **(options.get("defaults") or {})}
    form = format_named(options.get("format_name") or known.format_name or None)
    for part in (split,) if split else _splits(known, languages):
        data = load_hub_rows(known.repo, part, revision or known.revision, config=config or known.config, intake=intake)
        label = options.get("source") or f"{name if name in SOURCES else known.repo.rpartition('/')[2]}@{data.sha[:8]}"
        mapping = options.get("mapping") or {}
        reading = Reading(data.name, languages, options.get("taxonomy"), label, mapping, defaults)
        yield from prompts_from(data.rows, reading, intake, identities, form, "", label)


def iter_sets(names: Iterable[str], rejects: Rejects, **options: Unpack[SourceOptions]) -> Iterator[Prompt]:
    """Prompts of several sets, under ids that are unique over all of them.

    Args:
        names: as in `iter_source`.
        rejects: accounts for their rows.
        options: as in `iter_source`.

    Raises:
        InputError: as `iter_source`.
    """
    identities = Identities()
    for name in names:
        options["intake"] = rejects.intake(name)
        yield from iter_source(name, identities=identities, **options)


def is_on_the_hub(name: str) -> bool:
    """Whether a name stands for a dataset of the Hub, by itself or as one of `SOURCES`; nothing is fetched."""
    try:
        return _on_the_hub(name) is not None
    except InputError:
        return False


_VERSION = re.compile(r"\.\d+")
"""A dot in the name of a Hub dataset (`owner/name-1.5`) is no suffix of a file."""


def _on_the_hub(name: str) -> HubSource | None:
    """The Hub dataset that a name stands for; None for a file, which has a suffix or is there.

    Raises:
        InputError: it can be neither.
    """
    path = Path(name)
    if path.is_file() or (path.suffix and not _VERSION.fullmatch(path.suffix)):
        return None
    if name in SOURCES:
        return SOURCES[name]
    if path.is_dir():
        files = [each.name.lower() for each in path.glob("[!.]*") if suffix_of(each) in SUFFIXES]
        ends = sorted({suffix_of(each) + (".gz" if each.endswith(".gz") else "") for each in files})
        fix = f"name the files in it: {', '.join(f'{name}/*{end}' for end in ends)}" if ends else "name a file"
        raise InputError("a folder where a file is expected", where=name, fix=fix)
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        known = (source for source in SOURCES.values() if source.repo == name and source.config is None)
        return next(known, HubSource(name, ("train",), ""))
    near = difflib.get_close_matches(name, SOURCES, n=1)
    hint = f"did you mean {near[0]!r}? or " if near else ""
    fix = f"{hint}name a file, a Hub dataset (owner/name), or one of: {', '.join(SOURCES)}"
    if "://" in name:
        raise InputError(f"an address where a set is expected: {name}", fix="name a Hub dataset as owner/name")
    raise InputError(f"no file and no known set {name!r}", fix=fix)


def _splits(known: HubSource, languages: Languages) -> tuple[str, ...]:
    if not known.languages:
        return known.splits
    names = [languages.find(code).name.lower() for code in known.languages if code in languages]
    return tuple(split.format(language=name) for split in known.splits for name in names)
