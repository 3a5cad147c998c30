"""Are prompts in the language that they claim? A column in another one is found before a call is paid for."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from alignment_prism.domain.errors import InputError
from alignment_prism.domain.languages import LANGUAGES, Language, Languages
from alignment_prism.domain.records import Prompt
from alignment_prism.domain.scripts import check_script, letters_in
from alignment_prism.scoring.reply_language import MIN_LETTERS, MIN_SCRIPT_SHARE, in_language

FEWEST = 5
"""Prompts of a source and language below which nothing is said of their script."""
FEWEST_IDENTIFIED = 20
"""Prompts below which nothing is said of another language in the same script, which is told less surely."""
MOST_WRONG, MOST_OTHER = 0.5, 0.8
"""Shares of prompts in a wrong script, or in another language, above which the whole is refused."""
MOST_READ = 2000
"""Prompts of a source and language that are looked at: drawn at random from all, since files are often sorted."""
LONGEST_READ = 1000
"""Characters of a prompt that are looked at."""


@dataclass(slots=True)
class _Draw:
    """Prompts of a source and language that are looked at.

    Attributes:
        seen: how many there were.
        texts: of those drawn: the beginning of each, and the script that it names, empty for none.
    """

    seen: int = 0
    texts: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Count:
    """Of the prompts that were drawn, those with ten letters or more: how many, and how many are otherwise.

    Attributes:
        long: all of them.
        other_script: those in another script than the language's, or than the one that they name.
        native: those that name no script.
        other_language: those of them in another language.
    """

    long: int = 0
    other_script: int = 0
    native: int = 0
    other_language: int = 0


class SaidLanguages:
    """Prompts and the languages that they say they are in, one at a time.

    Of each source and language first the script counts: that of more than half of the prompts with ten letters or more.
    Then, within the script, what language identification says of at least four in five. A prompt whose metadata has a
    `script` (`Latn` for romanised Hindi) is held against that one, and is not identified.
    """

    def __init__(self, languages: Languages = LANGUAGES) -> None:
        self._languages = languages
        self._draws: defaultdict[tuple[str, str], _Draw] = defaultdict(_Draw)
        self._rng = random.Random("languages of prompts")

    def add(self, prompt: Prompt) -> None:
        """Takes one prompt in.

        Raises:
            InputError: the script that it names is none.
        """
        if prompt.language not in self._languages:
            return
        script = str(prompt.metadata.get("script") or "")
        read = prompt.text[:LONGEST_READ], check_script(script) if script else ""
        draw = self._draws[prompt.source, prompt.language]
        place = draw.seen if draw.seen < MOST_READ else self._rng.randrange(draw.seen + 1)
        draw.seen += 1
        if place < MOST_READ:  # so each of those seen is among them with the same probability (Vitter's algorithm R)
            draw.texts[place : place + 1] = [read]

    def fault(self) -> InputError | None:
        """That prompts of a source say one language and are mostly written in another; None where none are."""
        for (source, code), draw in self._draws.items():
            language = self._languages.find(code)
            count = _count(draw.texts, language)
            if count.long >= FEWEST and count.other_script > MOST_WRONG * count.long:
                what = f"are not written in {' or '.join(language.scripts)}"
                return _fault(count.other_script, count.long, draw.seen, source, language, what)
            if count.native >= FEWEST_IDENTIFIED and count.other_language > MOST_OTHER * count.native:
                what = "are in another language"
                return _fault(count.other_language, count.native, draw.seen, source, language, what)
        return None


def check_prompt_languages(prompts: Iterable[Prompt], languages: Languages = LANGUAGES) -> None:
    """Refuse prompts of a source that say one language and are mostly written in another, see `SaidLanguages`.

    Raises:
        InputError: they are, or a script is none.
    """
    said = SaidLanguages(languages)
    for prompt in prompts:
        said.add(prompt)
    if (fault := said.fault()) is not None:
        raise fault


def _count(texts: Iterable[tuple[str, str]], language: Language) -> _Count:
    count = _Count()
    for text, script in texts:
        own, letters = letters_in(text, (script,) if script else language.scripts)
        if letters < MIN_LETTERS:
            continue
        count.long += 1
        count.other_script += own < MIN_SCRIPT_SHARE * letters
        if not script:
            count.native += 1
            count.other_language += not in_language(text, language)
    return count


def _fault(wrong: int, among: int, seen: int, source: str, language: Language, what: str) -> InputError:
    drawn = f" drawn from {seen:,}" if seen > MOST_READ else ""
    return InputError(
        f"{wrong} of {among} prompts{drawn} are called {language.name} ({language.code}) and {what}",
        where=source or None,
        fix="check the language, and that the column with the prompts is the right one and not that of the originals; "
        "for a romanised set say which script it is in, as in script: Latn",
        settings={"mapping": "prompt=COLUMN,language=COLUMN"},
    )
