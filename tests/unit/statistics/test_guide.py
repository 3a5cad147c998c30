"""What the guide to the statistics names is there, and is reached by a command unless the guide says that it is not."""

from __future__ import annotations

import ast
import functools
import re
from collections import defaultdict
from pathlib import Path

import pytest


class _Uses(ast.NodeVisitor):
    """Notes down the names that definitions use, what lies in a definition being of all around it too."""

    def __init__(self, used: dict[str, set[str]]) -> None:
        self.used = used
        self.around: list[set[str]] = []

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.ClassDef) -> None:
        self.around.append(self.used[node.name])
        self.generic_visit(node)
        self.around.pop()

    visit_ClassDef = visit_FunctionDef

    def visit_Name(self, node: ast.Name) -> None:
        self._note(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._note(node.attr)
        self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self._note(*(alias.name for alias in node.names))

    def _note(self, *names: str) -> None:
        for names_of_one in self.around:
            names_of_one.update(names)


@functools.cache
def definitions(source: Path) -> dict[str, set[str]]:
    """Name of every function, method and class -> the names that it uses, from all files."""
    used: dict[str, set[str]] = defaultdict(set)
    for path in source.rglob("*.py"):
        _Uses(used).visit(ast.parse(path.read_text(encoding="utf-8")))
    return dict(used)


def reached(source: Path) -> set[str]:
    """Names that some command comes to, by names: more than are called, and none of those that nothing names."""
    used = definitions(source)
    found = set[str]().union(*definitions(source / "cli").values())
    new = set(found)
    while new:
        new = set[str]().union(*(used[name] for name in new if name in used)) - found
        found |= new
    return found


@pytest.fixture(scope="module")
def guide(repository: Path) -> str:
    return (repository / "docs" / "statistics.md").read_text(encoding="utf-8")


def named(guide: str) -> set[str]:
    """Functions and classes that the guide names: `module.name` in words, and imports of its examples."""
    words = set(re.findall(r"`(?:statistics\.)?(?:[a-z_]+\.)+([A-Za-z_]+)(?:\(\.\.\.\))?`", guide))
    for names in re.findall(r"^from alignment_prism[\w.]* import ([\w, ]+)$", guide, flags=re.MULTILINE):
        words |= {name.strip() for name in names.split(",")}
    return words - {"csv", "json", "yaml", "parquet", "jsonl", "html", "md", "py"}


def excepted(guide: str) -> set[str]:
    (sentence,) = re.findall(
        r"behind a command, a\s+finding or a report, except (.*?) called directly", guide, re.DOTALL
    )
    return set(re.findall(r"`(\w+)`", sentence))


def test_what_the_guide_names_is_there_and_reached_by_a_command(repository: Path, guide: str) -> None:
    source = repository / "src" / "alignment_prism"
    names, known = named(guide), definitions(source)
    assert len(names) > 20 and {"effective_rows", "PairedDesign", "wilson", "joint_level"} <= names
    assert {name for name in names if name not in known and not name.isupper()} == set(), "named, but not there"
    behind = reached(source)
    assert "effective_rows" in behind and "no_such_function" not in behind
    assert names - behind <= excepted(guide), "no command reaches it, and the guide does not say so"


def test_figures_of_examples_are_marked_as_illustrations(guide: str) -> None:
    start = guide.index("## What may I write in the abstract?")
    section = guide[start : guide.index("\n## ", start + 1)]
    assert re.search(r"\d+ (per cent|%|points)", section) and "illustrations" in section
