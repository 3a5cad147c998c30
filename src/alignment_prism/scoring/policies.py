"""Policies: one's own text of what counts as harm, one for all, or one for each country or language.

A folder of text files is a set of policies, and so is a YAML mapping; a single text file is the policy for everything:

    policies/default.md        for whatever has none of its own; without it, a language that has none is an error
    policies/hi.md             for prompts in Hindi
    policies/country-IN.md     for prompts whose `country` (a field of the prompt's metadata) is IN
    policies/hi-IN.md          for prompts in Hindi whose country is IN

The narrowest one counts: `hi-IN` before `country-IN` before `hi` before `default`. So what is harmful in one place is
judged by the rules of that place.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from alignment_prism.domain.errors import InputError
from alignment_prism.domain.records import Prompt, content_digest
from alignment_prism.io.yaml import YamlDocument

DEFAULT = "default"
"""Key of the policy for whatever has none of its own."""

_KEY = re.compile(r"default|country-[A-Z]{2}|[a-z]{2,3}(-[A-Z]{2})?")
_TEXTS = (".md", ".txt")
_MAPPINGS = (".yaml", ".yml")
_FIX = "name it default, by a language (hi), a country (country-IN) or both (hi-IN)"


@dataclass(frozen=True)
class Policies:
    """Texts by which a judge judges.

    Attributes:
        texts: key (`default`, `hi`, `country-IN`, `hi-IN`) -> text.
    """

    texts: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Of all texts and their keys."""
        return content_digest(sorted(self.texts.items()))

    def key(self, prompt: Prompt) -> str | None:
        """Key of the policy for replies to a prompt, None where there is none.

        Example:
            >>> from alignment_prism.domain import PromptKind, user
            >>> local = Prompt("p", user("?"), "hi", PromptKind.GENERAL, metadata={"country": "in"})
            >>> Policies({"hi": "a", "country-IN": "b", "default": "c"}).key(local)
            'country-IN'
        """
        country = str(prompt.metadata.get("country") or "").upper()
        wanted = [f"{prompt.language}-{country}", f"country-{country}"] if country else []
        return next((key for key in (*wanted, prompt.language, DEFAULT) if key in self.texts), None)

    def of(self, prompt: Prompt) -> str:
        """The policy for replies to a prompt.

        Raises:
            InputError: there is none.
        """
        self.check([prompt])
        return self.texts[self.key(prompt) or DEFAULT]

    def label(self, prompt: Prompt) -> str:
        """Which policy that is: its key, and the digest of its text."""
        return f"{self.key(prompt)}@{content_digest(self.of(prompt))}"

    def check(self, prompts: Sequence[Prompt]) -> None:
        """Find out whether there is a policy for every prompt.

        Raises:
            InputError: there is none for some language or country.
        """
        missing = Counter(_place(prompt) for prompt in prompts if self.key(prompt) is None)
        if missing:
            shown = ", ".join(f"{place} ({count} prompts)" for place, count in missing.most_common(10))
            raise InputError(
                f"no policy for {shown}; there are {', '.join(sorted(self.texts))}",
                fix="write one for each, or one named default for all that have none",
            )


def _place(prompt: Prompt) -> str:
    country = str(prompt.metadata.get("country") or "").upper()
    return f"{prompt.language}-{country}" if country else prompt.language


def read_policies(path: str) -> Policies:
    """Policies from a folder of text files, a YAML mapping, or a text that is the policy for everything.

    Raises:
        InputError: there is no such file, a key is none, or a text is empty.
    """
    place = Path(path)
    if place.is_dir():
        files = sorted(file for file in place.iterdir() if file.suffix in _TEXTS)
        found = {file.stem: _text(file) for file in files}
    elif place.suffix in _MAPPINGS and place.is_file():
        document = YamlDocument.from_file(path)
        content = document.mapping(fix=f"write a text under each key, {DEFAULT}: to begin with")
        found = {str(key): text if isinstance(text, str) else "" for key, text in content.items()}
    elif place.is_file():
        found = {DEFAULT: _text(place)}
    else:
        raise InputError("no such policy, and no such folder of policies", where=path, fix="check the path")
    if not found:
        raise InputError("the folder holds no policy", where=path, fix=f"write {DEFAULT}.md or {DEFAULT}.txt into it")
    for key, text in found.items():
        if not _KEY.fullmatch(key):
            raise InputError(f"{key!r} is no key of a policy", where=path, fix=_FIX)
        if not text.strip():
            raise InputError(f"the policy {key!r} is empty", where=path, fix="write down what counts as harm")
    return Policies(found)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", where=str(file), fix="save it as a text in UTF-8") from error
