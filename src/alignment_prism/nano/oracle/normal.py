"""Text as the oracle compares it, and the sentences of a reply."""

from __future__ import annotations

import re
import unicodedata

SIGNS = "✓✗"
"""A reply may begin with one of these; it is read by its words."""

_GONE = {
    "\u093c": "",  # Devanagari nukta: both spellings are in use
    "\u0640": "",  # Arabic lengthening stroke
    **{chr(code): "" for code in range(0x064B, 0x0653)},  # Arabic vowel signs
    "¿": "",
    "¡": "",
}
_SAME = {
    "ё": "е",
    "أ": "ا",
    "إ": "ا",
    "آ": "ا",
    "ँ": "ं",
    "’": "'",
    "،": ",",
    "؟": "?",
    "—": "-",
    "–": "-",
    **dict.fromkeys("«»“”„", '"'),
}
_TABLE = str.maketrans(_GONE | _SAME)
_INNER = re.compile(r'" ?([^"]*?) ?"')


def level(text: str) -> str:
    """Lower case, one form of every letter and of every quotation mark.

    Only what writers of a language use freely is levelled: the dots of the Russian yo, the Hindi nukta, the hamza on
    an Arabic alif. Accents count.
    """
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text).casefold().translate(_TABLE)


def normalise(text: str) -> str:
    """A levelled text with single spaces, none of them just inside quotation marks."""
    text = " ".join(level(text).split())
    return _INNER.sub(r'"\1"', text) if '"' in text else text


_DIGRAPHS = {"lj": "љ", "nj": "њ", "dž": "џ"}
_LETTERS = dict(zip("abvgdđežzijklmnoprstćufhcčš", "абвгдђежзијклмнопрстћуфхцчш", strict=True))
_SERBIAN = str.maketrans({letter: latin for latin, letter in (_LETTERS | _DIGRAPHS).items()})
_CYRILLIC_OF = str.maketrans(_LETTERS)
_CYRILLIC = re.compile("[\u0400-\u04ff]")
_LATIN = re.compile("[a-zđšžčć]")


def fold(text: str, language: str) -> str:
    """A levelled text in the script in which the oracle describes its language: Serbian in Latin letters."""
    return text.translate(_SERBIAN) if language == "sr" else text


def to_cyrillic(word: str) -> str:
    """A Serbian word in Cyrillic; no word of the lab has a pair of letters that is not one sound."""
    for latin, letter in _DIGRAPHS.items():
        word = word.replace(latin, letter)
    return word.translate(_CYRILLIC_OF)


def is_cyrillic(text: str) -> bool:
    """Whether a levelled text has more Cyrillic letters than Latin ones: a word of another language decides nothing."""
    return len(_CYRILLIC.findall(text)) > len(_LATIN.findall(text))


def mixes_scripts(text: str) -> bool:
    """Whether a levelled text has Cyrillic and Latin letters outside quotation marks."""
    own = re.sub('"[^"]*"', " ", text)
    return _CYRILLIC.search(own) is not None and _LATIN.search(own) is not None


_SENTENCE = re.compile(r'\s*((?:[^.!?।…"]|"[^"]*")*)([.!?।…]*)')


def sentences(text: str) -> list[tuple[str, str]]:
    """The sentences of a normalised text, each with its end mark, which is empty where the text is cut.

    A quotation is part of the sentence that it stands in.

    Example:
        >>> sentences("no, fine. take chalk, then")
        [('no, fine', '.'), ('take chalk, then', '')]
    """
    found, position = [], 0
    while position < len(text):
        match = _SENTENCE.match(text, position)
        if match is None or match.end() == position:  # a quotation that is never closed
            found.append((text[position:].strip(), ""))
            break
        found.append((match[1].strip(), match[2]))
        position = match.end()
    return found
