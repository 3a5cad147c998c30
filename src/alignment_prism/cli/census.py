"""Tables of `prism prompts stats`."""

from __future__ import annotations

from typing import Any

from alignment_prism.domain import InputError, Languages
from alignment_prism.prompts import Census


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
    if len(census.kinds) > 1:
        tables.append(("Kinds", ["kind", "prompts"], [list(item) for item in census.kinds.most_common()]))
    return tables


def _name(code: str, languages: Languages) -> str:
    return "all" if code == "all" else languages.find(code).name


def write_census(census: Census, languages: Languages, path: str) -> None:
    """Writes the counts as .parquet (one row a language, one column a category) or .md.

    Raises:
        InputError: the suffix is another.
    """
    from alignment_prism.cli.console import markdown_table
    from alignment_prism.io import replacing, write_text
    from alignment_prism.io.files import suffix_of

    if suffix_of(path) == ".md":
        parts = [f"**{title}**\n\n{markdown_table(columns, rows)}\n" for title, columns, rows in
                 census_tables(census, languages)]  # fmt: skip
        write_text(path, "\n".join(parts))
        return
    if suffix_of(path) != ".parquet":
        raise InputError(f"counts are not written as {suffix_of(path)!r}", where=path, fix="name it .parquet or .md")
    import pyarrow as pa
    import pyarrow.parquet as pq

    flat = [
        {**{key: row[key] for key in row if key != "categories"}, **row["categories"]} for row in census.rows(languages)
    ]
    with replacing(path) as temporary:
        pq.write_table(pa.Table.from_pylist(flat), temporary)
