"""Are prompts in the language that they claim? A column in another one is found before a call is paid for."""

from __future__ import annotations

from collections.abc import Sequence

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


def check_prompt_languages(prompts: Sequence[Prompt], languages: Languages = LANGUAGES) -> None:
    """Refuse prompts of a source that say one language and are mostly written in another.

    First the script: more than half of the prompts with ten letters or more. Then, within the script, what language
    identification says of at least four in five. A prompt whose metadata has a `script` (`Latn` for romanised Hindi) is
    held against that one, and is not identified.

    Raises:
        InputError: they are, or a script is none.
    """
    groups: dict[tuple[str, str], list[Prompt]] = {}
    for prompt in prompts:
        if prompt.language in languages:
            groups.setdefault((prompt.source, prompt.language), []).append(prompt)
    for (source, code), members in groups.items():
        language = languages.find(code)
        long = [one for one in members if sum(letters_in(one.text, ())[1:]) >= MIN_LETTERS]
        wrong = sum(not _in_script(one, language) for one in long)
        if len(long) >= FEWEST and wrong > MOST_WRONG * len(long):
            _refuse(wrong, long, source, language, f"are not written in {' or '.join(language.scripts)}")
        native = [one for one in long if not one.metadata.get("script")]
        if len(native) >= FEWEST_IDENTIFIED:
            other = sum(not in_language(one.text, language) for one in native)
            if other > MOST_OTHER * len(native):
                _refuse(other, native, source, language, "are in another language")


def _in_script(prompt: Prompt, language: Language) -> bool:
    named = prompt.metadata.get("script")
    own, letters = letters_in(prompt.text, (check_script(str(named)),) if named else language.scripts)
    return own >= MIN_SCRIPT_SHARE * letters


def _refuse(wrong: int, among: Sequence[Prompt], source: str, language: Language, what: str) -> None:
    raise InputError(
        f"{wrong} of {len(among)} prompts are called {language.name} ({language.code}) and {what}",
        where=source or None,
        fix="check the language, and that the column with the prompts is the right one and not that of the originals; "
        "for a romanised set say which script it is in, as in script: Latn",
        settings={"mapping": "prompt=COLUMN,language=COLUMN"},
    )
