"""A folder that `datasets` loads: conversational pairs, one configuration a language, with card and manifest.

    data/hi.parquet     what load_dataset(FOLDER, "hi") reads
    jsonl/hi.jsonl      the same rows, one a line
    README.md           the card: languages, licences, who wrote and judged what, counts, what an X-ray shows
    manifest.json       digests of every file, and of what it was made from

Prompt, chosen and rejected are lists of turns, as TRL's trainers take them.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from alignment_prism.domain import InputError, Pair
from alignment_prism.domain.text import markdown_table
from alignment_prism.io import sha256_of, text_writer, write_text
from alignment_prism.store import write_artifact

KNOWN_LICENCES = {
    "facebook/nllb": "cc-by-nc-4.0",
    "google/madlad400": "apache-2.0",
    "CohereLabs/": "cc-by-nc-4.0",
    "CohereForAI/": "cc-by-nc-4.0",
}
"""How a model's name begins (a provider before it is passed over) -> the licence of its weights, where we know it."""

OURS = ("nano", "nano/", "nano@")
"""The lab's model, its actors and its prompts, which are of this package's licence."""

UNKNOWN = "unknown"
"""In the place of a licence that nobody has said."""

HUB_LICENCES = frozenset(
    "apache-2.0 mit cc0-1.0 cc-by-4.0 cc-by-sa-4.0 cc-by-nc-4.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-nc-nd-4.0 "
    "cc-by-3.0 cc-by-sa-3.0 odc-by odbl pddl openrail gpl-3.0 bsd-3-clause gemma llama3 llama3.1 llama3.2".split()
)
"""Licences that the header of a card may name; the Hub refuses others there, which are then named beside it."""

COLUMNS = (
    "id", "prompt", "chosen", "rejected", "language", "kind", "scope", "categories", "group", "source",
    "chosen_model", "rejected_model", "metadata",
)  # fmt: skip

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def export_pairs(
    pairs: Sequence[Pair],
    out: str | Path,
    *,
    name: str,
    licences: Mapping[str, str] | None = None,
    inputs: Sequence[str | Path] = (),
    flags: Sequence[str] = (),
    replace: bool = False,
) -> dict[str, Any]:
    """Write pairs as a folder that `datasets` loads.

    Args:
        pairs: to write; each with both of its sides.
        out: the folder.
        name: of the data set, for its card.
        licences: source or model -> its licence, over those that are known.
        inputs: files that the pairs came from.
        flags: what an X-ray found, for the card.
        replace: whether a folder that was exported before is replaced.

    Returns:
        Counts by language, and the licence of each source and model.

    Raises:
        InputError: there are no pairs, or one lacks a side or a language.
        StoreError: the folder holds something else, or cannot be written.
    """
    if not pairs:
        raise InputError("no pairs to export", fix="give a file with at least one pair")
    by_language: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        if not pair.chosen or not pair.rejected:
            fix = "export pairs with both sides; single replies are no pairs of a preference data set"
            raise InputError("a pair lacks a side", where=f"pair {pair.id}", fix=fix)
        by_language[pair.language].append(pair)
    found = licences_of(pairs, licences or {})
    counts = {language: len(members) for language, members in sorted(by_language.items())}
    digests = {str(path): sha256_of(path) for path in inputs}
    spec = {"name": name, "pairs": counts, "licences": found}
    with write_artifact(Path(out), kind="dataset", spec=spec, inputs=digests, replace=replace) as folder:
        for language, members in sorted(by_language.items()):
            rows = [_row(pair) for pair in members]
            _write_parquet(folder / "data" / f"{language}.parquet", rows)
            with text_writer(folder / "jsonl" / f"{language}.jsonl") as stream:
                stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_text(folder / "README.md", card(pairs, name, found, flags))
    return {"pairs": counts, "licences": found}


def licences_of(pairs: Sequence[Pair], said: Mapping[str, str]) -> dict[str, str]:
    """Licence of every source and model that the pairs name, `unknown` where neither we nor `said` know it."""
    names = sorted({pair.source for pair in pairs if pair.source} | set(models_of(pairs)) | set(said))
    return {name: said.get(name) or _known(name) for name in names}


def models_of(pairs: Sequence[Pair]) -> dict[str, str]:
    """Every model that wrote, translated or judged something -> what it did."""
    roles = {"chosen_model": "writes", "rejected_model": "writes", "rephrased_by": "rephrases",
             "translated_by": "translates"}  # fmt: skip
    found: dict[str, set[str]] = defaultdict(set)
    for pair in pairs:
        for key, role in roles.items():
            if name := pair.metadata.get(key):
                found[str(name)].add(role)
        judges = pair.metadata.get("judges")
        for judge in judges if isinstance(judges, list | tuple) else ():
            found[str(judge).rpartition(": ")[0]].add("judges")
    return {name: ", ".join(sorted(roles)) for name, roles in sorted(found.items())}


def _known(name: str) -> str:
    if name == OURS[0] or name.startswith(OURS[1:]):
        return "apache-2.0"
    for start, licence in KNOWN_LICENCES.items():
        if name.startswith(start) or f"/{start}" in name:
            return licence
    return UNKNOWN


def _slug(kinds: Sequence[str]) -> str:
    """The name of a licence that the Hub does not know: small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9.]+", "-", kinds[0].casefold()).strip("-") if len(kinds) == 1 else "mixed"


def _row(pair: Pair) -> dict[str, Any]:
    metadata = dict(pair.metadata)
    return {
        "id": pair.id,
        "prompt": [turn.as_dict() for turn in pair.messages],
        "chosen": [{"role": "assistant", "content": pair.chosen}],
        "rejected": [{"role": "assistant", "content": pair.rejected}],
        "language": pair.language,
        "kind": pair.kind.value,
        "scope": pair.scope.value if pair.scope else "",
        "categories": list(pair.categories),
        "group": pair.group,
        "source": pair.source,
        "chosen_model": str(metadata.pop("chosen_model", "")),
        "rejected_model": str(metadata.pop("rejected_model", "")),
        "metadata": json.dumps(metadata, ensure_ascii=False, sort_keys=True, default=str),
    }


def _write_parquet(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(exist_ok=True)
    turns = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    types = {"prompt": turns, "chosen": turns, "rejected": turns, "categories": pa.list_(pa.string())}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS])
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path)


def card(pairs: Sequence[Pair], name: str, licences: Mapping[str, str], flags: Sequence[str]) -> str:
    """The dataset card: a YAML header that the Hub reads, and what a person should know; no text of a pair."""
    counts = Counter(pair.language for pair in pairs)
    kinds = sorted(set(licences.values()))
    one_known = len(kinds) == 1 and kinds[0] in HUB_LICENCES
    size = next((words for most, words in _SIZES if len(pairs) < most), "n>1M")
    header = {
        "pretty_name": name,
        "language": sorted(code for code in counts if code != "und"),
        "license": kinds[0] if one_known else "other",
        **({} if one_known else {"license_name": _slug(kinds), "license_link": "README.md"}),
        "task_categories": ["text-generation"],
        "size_categories": [size],
        "tags": ["preference", "dpo", "safety", "multilingual", "synthetic", "not-for-all-audiences"],
        "configs": [
            {"config_name": code, "data_files": [{"split": "train", "path": f"data/{code}.parquet"}]}
            for code in sorted(counts)
        ],
    }
    models = models_of(pairs)
    restricted = sorted(licence for licence in kinds if "-nc" in licence)
    safety = Counter(pair.language for pair in pairs if pair.kind == "safety")
    lines = [
        "---",
        yaml.safe_dump(header, allow_unicode=True, sort_keys=False).rstrip(),
        "---",
        "",
        f"# {name}",
        "",
        "Preference pairs for aligning language models. Harmful prompts and harmful replies are in it on purpose: the "
        "rejected side is what a model should not say. Not for all audiences.",
        "",
        markdown_table(
            ["language", "pairs", "of them safety"], [[code, counts[code], safety[code]] for code in sorted(counts)]
        ),
        "",
        "`prompt`, `chosen` and `rejected` are lists of turns; `group` is the seed that pairs descend from, and "
        "belongs on one side of any split; `metadata` is a JSON object with how both sides were drawn and who decided.",
        "",
        "## Licences",
        "",
        markdown_table(
            ["source or model", "part", "licence"],
            [[one, models.get(one, "source"), licence] for one, licence in licences.items()],
        ),
        "",
    ]
    if restricted:
        lines += [f"Parts are non-commercial ({', '.join(restricted)}), and so is the whole.", ""]
    if UNKNOWN in kinds:
        lines += ["A licence that is unknown has to be found out before this is shared.", ""]
    lines += ["## What tells the sides apart", "", *(f"- {flag}" for flag in flags or ["nothing is flagged"]), ""]
    return "\n".join(lines)
