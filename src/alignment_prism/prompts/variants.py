"""The same prompt in another script, as people type it: Serbian in both, Hindi and Arabic in Latin letters.

By table, so that the same text always gives the same variant, without a model. Romanised Hindi follows everyday
spelling (no marks, the last inherent vowel of a word silent); Arabizi writes 2 3 5 6 7 for letters that Latin lacks.
Both are one spelling among the many in use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from alignment_prism.domain import Message, Prompt
from alignment_prism.domain.scripts import letters_in

VARIANT_OF = "variant_of"
"""Key of the metadata of a variant: the id of the prompt that it is one of."""

_TO_LATIN = dict(zip("абвгдђежзијклмнопрстћуфхцчш", "abvgdđežzijklmnoprstćufhcčš", strict=True)) | {
    "љ": "lj", "њ": "nj", "џ": "dž",
}  # fmt: skip
_TO_CYRILLIC = {latin: cyrillic for cyrillic, latin in _TO_LATIN.items()}
_LATIN_UNITS = re.compile("dž|lj|nj|.", re.IGNORECASE | re.DOTALL)

_CONSONANTS = dict(
    zip(
        "कखगघङचछजझञटठडढणतथदधनपफबभमयरलवशषसह",
        "k kh g gh n ch chh j jh n t th d dh n t th d dh n p ph b bh m y r l v sh sh s h".split(),
        strict=True,
    )
)
_NUKTA = {"क़": "q", "ख़": "kh", "ग़": "g", "ज़": "z", "ड़": "r", "ढ़": "rh", "फ़": "f"}
_VOWELS = dict(zip("अआइईउऊऋएऐओऔ", "a aa i ee u oo ri e ai o au".split(), strict=True))
_MATRAS = dict(zip("ािीुूृेैोौ", "aa i ee u oo ri e ai o au".split(), strict=True)) | {"ॉ": "o", "ॅ": "e"}
_SIGNS = {"ं": "n", "ँ": "n", "ः": "h", "।": ".", "़": ""} | {chr(0x966 + digit): str(digit) for digit in range(10)}
_VIRAMA = "्"

_ARABIZI = {
    "ا": "a", "أ": "2a", "إ": "2i", "آ": "2a", "ء": "2", "ئ": "2", "ؤ": "2", "ب": "b", "ت": "t", "ث": "th", "ج": "j",
    "ح": "7", "خ": "5", "د": "d", "ذ": "dh", "ر": "r", "ز": "z", "س": "s", "ش": "sh", "ص": "s", "ض": "d", "ط": "6",
    "ظ": "z", "ع": "3", "غ": "gh", "ف": "f", "ق": "q", "ك": "k", "ل": "l", "م": "m", "ن": "n", "ه": "h", "ة": "a",
    "و": "w", "ي": "y", "ى": "a", "َ": "a", "ُ": "u", "ِ": "i", "ً": "an", "ٌ": "un", "ٍ": "in", "ْ": "", "ّ": "", "ـ": "",
    "؟": "?", "،": ",", "؛": ";",
}  # fmt: skip


def serbian_latin(text: str) -> str:
    """Serbian Cyrillic in Latin letters.

    Example:
        >>> serbian_latin("Њега, ЉУБАВ и џеп")
        'Njega, LJUBAV i džep'
    """
    found = []
    for place, letter in enumerate(text):
        latin = _TO_LATIN.get(letter.lower(), letter)
        if letter != letter.lower() and latin != letter:
            latin = latin.upper() if text[place + 1 : place + 2].isupper() else latin.capitalize()
        found.append(latin)
    return "".join(found)


def serbian_cyrillic(text: str) -> str:
    """Serbian Latin in Cyrillic letters; words in which n and j are two letters (injekcija) come out as one.

    Example:
        >>> serbian_cyrillic("Njega, LJUBAV i džep")
        'Њега, ЉУБАВ и џеп'
    """
    found = []
    for unit in _LATIN_UNITS.findall(text):
        cyrillic = _TO_CYRILLIC.get(unit.lower(), unit)
        found.append(cyrillic.upper() if unit[0].isupper() and cyrillic != unit else cyrillic)
    return "".join(found)


def romanised_hindi(text: str) -> str:
    """Hindi in Latin letters.

    Example:
        >>> romanised_hindi("नमस्ते, आप कैसे हैं?")
        'namaste, aap kaise hain?'
    """
    found = []
    place = 0
    while place < len(text):
        letter = text[place]
        with_nukta = _NUKTA.get(text[place : place + 2])
        if with_nukta is not None or letter in _CONSONANTS:
            place += 2 if with_nukta is not None else 1
            following = text[place : place + 1]
            ends = following not in _VOWELS and following not in _CONSONANTS and following not in ("ं", "ँ", "ः")
            mute = following in _MATRAS or following == _VIRAMA or ends
            found.append((with_nukta or _CONSONANTS[letter]) + ("" if mute else "a"))
            place += following == _VIRAMA
            continue
        found.append(_VOWELS.get(letter) or _MATRAS.get(letter) or _SIGNS.get(letter, letter))
        place += 1
    return "".join(found)


def arabizi(text: str) -> str:
    """Arabic in Latin letters and digits.

    Example:
        >>> arabizi("مرحبا، كيف حالك؟")
        'mr7ba, kyf 7alk?'
    """
    return "".join(_ARABIZI.get(letter, letter) for letter in text)


VARIANTS: Mapping[str, tuple[tuple[str, str, Callable[[str], str]], ...]] = {
    "sr": (("Cyrl", "Latn", serbian_latin), ("Latn", "Cyrl", serbian_cyrillic)),
    "hi": (("Deva", "Latn", romanised_hindi),),
    "ar": (("Arab", "Latn", arabizi),),
}
"""Language -> from which script into which, and how."""


def with_variants(prompts: Iterable[Prompt]) -> Iterator[Prompt]:
    """The prompts, each followed by its variant in another script if its language has one.

    A variant has the script in its metadata and the group of its source, so that the two are one cluster; a prompt that
    is mostly in no script that is turned into another has none.
    """
    for prompt in prompts:
        yield prompt
        for script, into, turned in VARIANTS.get(prompt.language, ()):
            own, letters = letters_in(prompt.text, (script,))
            if 2 * own > letters:
                yield replace(
                    prompt,
                    id=f"{prompt.id}@{into}",
                    messages=tuple(Message(turn.role, turned(turn.content)) for turn in prompt.messages),
                    group=prompt.cluster,
                    metadata={**prompt.metadata, "script": into, VARIANT_OF: prompt.id},
                )
                break
