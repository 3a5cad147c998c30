"""Are prompts in the language that they claim? A column in another one is found before a call is paid for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

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
"""Prompts of a source and language that are looked at: its first."""


@dataclass(slots=True)
class _Count:
    """Of the prompts of a source and language with ten letters or more: how many, and how many are otherwise.

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
        self._counts: defaultdict[tuple[str, str], _Count] = defaultdict(_Count)

    def add(self, prompt: Prompt) -> None:
        """Looks at one prompt.

        Raises:
            InputError: the script that it names is none.
        """
        if prompt.language not in self._languages:
            return
        count = self._counts[prompt.source, prompt.language]
        if count.long == MOST_READ or sum(letters_in(prompt.text, ())[1:]) < MIN_LETTERS:
            return
        language = self._languages.find(prompt.language)
        count.long += 1
        count.other_script += not _in_script(prompt, language)
        if not prompt.metadata.get("script"):
            count.native += 1
            count.other_language += not in_language(prompt.text, language)

    def fault(self) -> InputError | None:
        """That prompts of a source say one language and are mostly written in another; None where none are."""
        for (source, code), count in self._counts.items():
            language = self._languages.find(code)
            if count.long >= FEWEST and count.other_script > MOST_WRONG * count.long:
                what = f"are not written in {' or '.join(language.scripts)}"
                return _fault(count.other_script, count.long, source, language, what)
            if count.native >= FEWEST_IDENTIFIED and count.other_language > MOST_OTHER * count.native:
                return _fault(count.other_language, count.native, source, language, "are in another language")
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


def _in_script(prompt: Prompt, language: Language) -> bool:
    named = prompt.metadata.get("script")
    own, letters = letters_in(prompt.text, (check_script(str(named)),) if named else language.scripts)
    return own >= MIN_SCRIPT_SHARE * letters


def _fault(wrong: int, among: int, source: str, language: Language, what: str) -> InputError:
    return InputError(
        f"{wrong} of {among} prompts are called {language.name} ({language.code}) and {what}",
        where=source or None,
        fix="check the language, and that the column with the prompts is the right one and not that of the originals; "
        "for a romanised set say which script it is in, as in script: Latn",
        settings={"mapping": "prompt=COLUMN,language=COLUMN"},
    )
