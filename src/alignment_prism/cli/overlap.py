"""What `prism prompts overlap` and `split` do with prompts once they are read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click

from alignment_prism.cli.console import Rejects, parse_mapping
from alignment_prism.cli.prompt_options import PromptReader
from alignment_prism.domain import InputError, Prompt
from alignment_prism.io import text_writer, write_json, write_records
from alignment_prism.prompts.overlap import Match, PromptIndex, near_duplicates, summary
from alignment_prism.prompts.splits import REST, check_leaks, split_prompts
from alignment_prism.store.names import manifest_beside

LISTED = 10
"""Matches that are listed in the terminal."""


@dataclass
class Found:
    """The matches of two sets, counted, and the closest of them."""

    counts: dict[str, Any]
    closest: list[Match]
    out: str | None
    within: bool

    def say(self) -> None:
        """Prints the counts and the closest matches, by ids."""
        counts = self.counts
        if self.within:
            near = f"{counts['matches']} pairs of near-duplicates among {counts['first']} prompts"
            click.echo(near)
        else:
            self._say_sides()
        for name in ("how", "languages"):
            if counts[name]:
                click.echo("  by " + name + ": " + ", ".join(f"{key} {count}" for key, count in counts[name].items()))
        for match in self.closest:
            click.echo(
                f"  {match.similarity:.2f}  {match.one}  {match.other}  {'-'.join(match.languages)}  {match.how}"
            )
        if counts["matches"] > len(self.closest):
            click.echo(
                f"  ... {counts['matches'] - len(self.closest)} more" + ("" if self.out else "; --out writes all")
            )
        if self.out:
            click.echo(f"wrote {self.out}")

    def _say_sides(self) -> None:
        counts = self.counts
        click.echo(
            f"{counts['matches']} matches: {counts['prompts_of_the_first']} of {counts['first']} prompts of A, "
            f"{counts['prompts_of_the_second']} of {counts['second']} of B"
        )


def find_matches(
    one: str, other: str, reader: PromptReader, accounts: Rejects, threshold: float, n: int, out: str | None
) -> Found:
    """Compares two sets, or a set with itself, and writes every match to `out` as it is found."""
    sizes: Counter[str] = Counter()

    def counted(side: str, prompts: Iterator[Prompt]) -> Iterator[Prompt]:
        for prompt in prompts:
            sizes[side] += 1
            yield prompt

    closest: list[Match] = []

    def watched(matches: Iterator[Match], stream: Any) -> Iterator[Match]:
        for match in matches:
            if stream is not None:
                stream.write(json.dumps(match.as_dict(), ensure_ascii=False) + "\n")
            closest.append(match)
            if len(closest) > 20 * LISTED:
                closest.sort(key=lambda each: -each.similarity)
                del closest[LISTED:]
            yield match

    def matches() -> Iterator[Match]:
        if one == other:
            prompts = list(counted("first", reader.iter(one, accounts.intake(one))))
            sizes["second"] = len(prompts)
            yield from near_duplicates(prompts, threshold=threshold, n=n)
        else:
            second = counted("second", reader.iter(other, accounts.intake(other)))
            index = PromptIndex(second, threshold=threshold, n=n)
            yield from index.matches(counted("first", reader.iter(one, accounts.intake(one))))
        accounts.demand_none()  # before the file takes its place

    if out:
        with text_writer(out) as stream:
            counts = summary(watched(matches(), stream))
    else:
        counts = summary(watched(matches(), None))
    closest.sort(key=lambda each: -each.similarity)
    sides = {"first": sizes["first"], "second": sizes["second"], "threshold": threshold, "n": n}
    return Found({**counts, **sides}, closest[:LISTED], out, one == other)


def check_parts(prompts: Sequence[Prompt], threshold: float, n: int) -> None:
    """Makes sure that the parts that prompts name share nothing, and says so.

    Raises:
        InputError: no prompt names a part, or there is a leak; shows both rows.
    """
    parts = Counter(prompt.split for prompt in prompts)
    if set(parts) == {""}:
        raise InputError("no prompt names a part", fix="map the column: --map split=COLUMN, or split with --part")
    check_leaks(prompts, threshold=threshold, n=n)
    named = ", ".join(f"{name or '(none)'} {count}" for name, count in parts.most_common())
    click.echo(f"no leak between {named} at similarity {threshold}")


def write_split(
    prompts: Sequence[Prompt], texts: Sequence[str], seed: int, threshold: float, n: int, out: str | None
) -> None:
    """Divides prompts, writes them with their part and the manifest beside them, and prints the counts.

    Raises:
        InputError: no part or no file is named, a size is no number, or as `split_prompts`.
    """
    if not out:
        raise InputError("no file to write to", fix="name it with --out, or only check with --check")
    parts: dict[str, float | str] = {}
    for name, size in parse_mapping(texts, "--part").items():
        try:
            parts[name] = size if size == REST else float(size)
        except ValueError:
            fix = "write --part seed=100 (a count), train=0.5 (a share) or eval=rest"
            raise InputError(f"--part {name}={size} is no size", fix=fix) from None
    split = split_prompts(prompts, parts, seed=seed, threshold=threshold, n=n)
    write_records(out, split.prompts, Prompt)
    write_json(manifest_beside(out), split.manifest)
    for part, languages in sorted(split.manifest["counts"].items()):
        total = sum(sum(scopes.values()) for scopes in languages.values())
        each = ", ".join(f"{language} {sum(scopes.values())}" for language, scopes in sorted(languages.items()))
        click.echo(f"{part}: {total} ({each})")
    together = split.manifest["grouped_prompts"]
    click.echo(f"{together} prompts were kept together with their like; wrote {out} and {manifest_beside(out)}")
