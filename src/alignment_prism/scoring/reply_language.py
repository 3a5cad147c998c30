"""Is a reply in the language of its prompt? Script first, then language identification, and doubt counts as yes.

Two tests, both offline:

1. *Script.* Among the letters of the reply, those in a script of the language (and in scripts of no language in
   particular) must make up at least half. A Hindi prompt answered in Latin letters fails here.
2. *Identification.* The probability that py3langid (a naive Bayes over byte n-grams, its model inside the wheel)
   gives to the language and to the languages it cannot be told from (`Language.identified_as`) must not fall below
   one in a hundred. Asked only of replies with at least ten letters.

The rule asks "could this be the language?" and not "which language is likeliest?", because identifiers err on short
text: of the Tatoeba sentences in the eight languages this one rejects fewer than one in a thousand (see the tests).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from alignment_prism.domain.languages import Language
from alignment_prism.domain.scripts import letters_in

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

MIN_LETTERS = 10
"""Fewest letters that an identifier is asked about; below, only the script is looked at."""

MIN_SCRIPT_SHARE = 0.5
"""Smallest share of letters in the language's scripts."""

MIN_PROBABILITY = 0.01
"""Probability of the language below which the reply is taken to be in another."""


@lru_cache(maxsize=1)
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@lru_cache(maxsize=1)
def _identifiable() -> frozenset[str]:
    return frozenset(str(label) for label in _identifier().labels)


def in_language(text: str, language: Language) -> bool:
    """Whether `text` may be in `language`; True where that cannot be told.

    Serbian, Croatian, Bosnian and Serbo-Croatian count as one, in either script. A text without letters (digits, a
    date) is in every language. For a language that the identifier does not know, only the script is looked at.

    Example:
        >>> from alignment_prism.domain import LANGUAGES
        >>> in_language("Извините, я не могу с этим помочь.", LANGUAGES.find("ru"))
        True
        >>> in_language("Lo siento, no puedo ayudarte con eso.", LANGUAGES.find("fr"))
        False
    """
    own, letters = letters_in(text, language.scripts)
    if letters == 0:
        return True
    if own < MIN_SCRIPT_SHARE * letters:
        return False
    accepted = {language.code, *language.identified_as} & _identifiable()
    if letters < MIN_LETTERS or not accepted:
        return True
    return bool(sum(p for code, p in _identifier().rank(text) if code in accepted) >= MIN_PROBABILITY)
