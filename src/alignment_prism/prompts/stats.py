"""What a set of prompts consists of, counted as in the paper's tables (arXiv 2406.18682).

Counting is done one prompt at a time, so that a set need not fit into memory. A prompt with several categories
counts in each, so category columns do not add up to totals.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alignment_prism.domain import InputError, Languages, Prompt, Scope
from alignment_prism.domain.text import markdown_table
from alignment_prism.io import replacing, write_text
from alignment_prism.io.files import suffix_of

COLUMNS = ("language", "total", "global", "local", "no_scope")
"""Columns of every row, before those of the categories."""


@dataclass
class Census:
    """Counts of prompts by language, scope, category and kind."""

    totals: Counter[str] = field(default_factory=Counter)
    scopes: Counter[tuple[str, str]] = field(default_factory=Counter)
    categories: Counter[tuple[str, str]] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    characters: Counter[str] = field(default_factory=Counter)

    def add(self, prompt: Prompt) -> None:
        """Counts one prompt."""
        language = prompt.language
        self.totals[language] += 1
        self.scopes[language, prompt.scope.value if prompt.scope else "no_scope"] += 1
        for category in prompt.categories:
            self.categories[language, category] += 1
        self.kinds[prompt.kind.value] += 1
        self.splits[prompt.split or "(none)"] += 1
        self.sources[prompt.source] += 1
        self.characters[language] += len(prompt.text)

    def category_names(self) -> list[str]:
        """Every category that occurs, by name."""
        return sorted({category for _, category in self.categories})

    def rows(self, languages: Languages) -> list[dict[str, Any]]:
        """One row a language, in the registry's order, and one for all."""
        order = [language.code for language in languages if language.code in self.totals]
        names = self.category_names()
        table = [self._row(code, [code], names) for code in order]
        table.append(self._row("all", order, names))
        return table

    def _row(self, name: str, codes: list[str], categories: list[str]) -> dict[str, Any]:
        return {
            "language": name,
            "total": sum(self.totals[code] for code in codes),
            "global": sum(self.scopes[code, Scope.GLOBAL.value] for code in codes),
            "local": sum(self.scopes[code, Scope.LOCAL.value] for code in codes),
            "no_scope": sum(self.scopes[code, "no_scope"] for code in codes),
            "categories": {category: sum(self.categories[code, category] for code in codes) for category in categories},
        }

    def as_dict(self, languages: Languages) -> dict[str, Any]:
        """All counts as plain values."""
        return {
            "languages": self.rows(languages),
            "kinds": dict(self.kinds.most_common()),
            "splits": dict(self.splits.most_common()),
            "sources": dict(self.sources.most_common()),
            "mean_characters": {code: round(self.characters[code] / count, 1) for code, count in self.totals.items()},
        }


def census_tables(census: Census, languages: Languages) -> list[tuple[str, list[str], list[list[Any]]]]:
    """Title, columns and rows: prompts by scope, then categories by language."""
    rows = census.rows(languages)
    names = [_name(row["language"], languages) for row in rows]
    scopes = [
        [name, row["total"], row["global"], row["local"], row["no_scope"]]
        for name, row in zip(names, rows, strict=True)
    ]
    tables = [("Prompts", ["language", "total", "global", "local", "no scope"], scopes)]
    categories = census.category_names()
    if categories:
        body = [[category, *(row["categories"][category] for row in rows)] for category in categories]
        columns = ["category", *(row["language"] for row in rows)]
        tables.append(("Harm categories (a prompt with several counts in each)", columns, body))
    if census.kinds:
        tables.append(("Kinds", ["kind", "prompts"], [list(item) for item in census.kinds.most_common()]))
    return tables


def _name(code: str, languages: Languages) -> str:
    return "all" if code == "all" else languages.find(code).name


def write_census(census: Census, languages: Languages, path: str | Path) -> None:
    """Write the counts as .parquet (one row a language, one column a category) or .md.

    Raises:
        InputError: the suffix is another.
    """
    if suffix_of(path) == ".md":
        parts = [f"**{title}**\n\n{markdown_table(columns, rows)}\n" for title, columns, rows in
                 census_tables(census, languages)]  # fmt: skip
        write_text(path, "\n".join(parts))
        return
    if suffix_of(path) != ".parquet":
        raise InputError(
            f"counts are not written as {suffix_of(path)!r}", where=str(path), fix="name it .parquet or .md"
        )
    import pyarrow as pa
    import pyarrow.parquet as pq

    flat = [
        {**{key: row[key] for key in row if key != "categories"}, **row["categories"]} for row in census.rows(languages)
    ]
    with replacing(path) as temporary:
        pq.write_table(pa.Table.from_pylist(flat), temporary)
