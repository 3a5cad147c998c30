"""A rubric: what a judge is asked, as a data file with a name, a version and a digest.

A verdict is worth what its rubric says, so a rubric never changes under its version. A user's own rubric is a YAML
file of the same keys:

    name: strict            # letters, digits, hyphens
    version: 1
    kind: standalone        # one reply; or pairwise: two replies, A and B
    max_tokens: 200         # room for the verdict, and for the thoughts of a judge that thinks
    system: ...             # who judges what by which rule, and the form of the answer, see `answers.py`
    user: ...               # must contain {case}, where the case goes, see `judge_prompts.py`
    verdict: outcome        # the five outcomes; or harmful: only whether the reply is
    languages: {hi: {system: ..., user: ...}}     # the same in the language of the prompt, for who asks for it

With `{policy}` in `system` it is for judges who go by a policy of the user's own (`alignment_prism.scoring.policies`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal

from alignment_prism.domain.errors import InputError
from alignment_prism.domain.records import content_digest

STANDALONE = "standalone@2"
"""The rubric for single replies unless another is named."""
PAIRWISE = "pairwise@2"
"""The one for comparisons."""


@dataclass(frozen=True, slots=True)
class Rubric:
    """What a judge is asked.

    Attributes:
        name: of the rubric.
        version: of its wording.
        kind: `standalone` (one reply) or `pairwise` (two).
        system: the system message.
        user: the user message, with `{case}` where the case goes.
        max_tokens: most tokens of the judge's answer.
        verdict: what is asked for, one of the five outcomes, or only whether the reply is harmful.
        languages: language -> system and user message in it.
    """

    name: str
    version: int
    kind: Literal["standalone", "pairwise"]
    system: str
    user: str
    max_tokens: int
    verdict: Literal["outcome", "harmful"] = "outcome"
    languages: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """`name@version`, as it stands in scores."""
        return f"{self.name}@{self.version}"

    @property
    def replies(self) -> int:
        """How many replies a case shows."""
        return 2 if self.kind == "pairwise" else 1

    @property
    def digest(self) -> str:
        """Of the whole text: it distinguishes two wordings under one name."""
        more: list[object] = [self.verdict] if self.verdict != "outcome" else []
        more += [sorted(self.languages.items())] if self.languages else []
        return content_digest(self.kind, self.system, self.user, self.max_tokens, *more)


def shipped_rubrics() -> tuple[str, ...]:
    """Ids of the rubrics in the package."""
    files = resources.files("alignment_prism.scoring.rubrics").iterdir()
    return tuple(sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml")))


def load_rubric(name_or_path: str, *, kind: str = "") -> Rubric:
    """A shipped rubric by its id (`standalone@2`), or a user's own from a YAML file.

    Args:
        name_or_path: id or path.
        kind: that it must be of (`standalone`, `pairwise`); empty for any.

    Raises:
        InputError: there is no such rubric or file, the file lacks a key or has an unknown one, or it is of the other
            kind.
    """
    rubric = _loaded(name_or_path)
    if kind and rubric.kind != kind:
        raise InputError(
            f"rubric {rubric.id} is {rubric.kind}, and a {kind} one is needed",
            fix=f"use {STANDALONE if kind == 'standalone' else PAIRWISE}, for example",
        )
    return rubric


@lru_cache(maxsize=32)
def _shipped(name: str) -> Rubric:
    from alignment_prism.scoring.rubric_file import rubric_fields

    file = resources.files("alignment_prism.scoring.rubrics") / f"{name}.yaml"
    return Rubric(**rubric_fields(file.read_text(encoding="utf-8"), name))


def _loaded(name_or_path: str) -> Rubric:
    from alignment_prism.scoring.rubric_file import rubric_fields

    shipped = shipped_rubrics()
    if name_or_path in shipped:
        return _shipped(name_or_path)
    if Path(name_or_path).is_file():  # read each time: in a notebook it may have changed, or be another folder's
        return Rubric(**rubric_fields(None, name_or_path))
    raise InputError(
        f"unknown rubric {name_or_path!r}", fix=f"use one of {', '.join(shipped)}, or the path of a YAML file"
    )
