"""Texts made comparable: the same words in other letters, marks, cases or scripts become the same.

Folding is for comparing only; no prompt is ever changed by it.

- Every text: NFKC, lower case, invisible marks and punctuation out, white space to single blanks.
- Latin: accents off (`é` is `e`, `š` is `s`), `đ` is `dj`, since people type without them.
- Arabic: diacritics and tatweel off, letter variants to one letter (`أ إ آ` to `ا`, `ى` to `ي`, `ة` to `ه`), digits
  to 0-9.
- Serbian: Cyrillic to Latin, so that both scripts and the accent-free spelling meet.
- Devanagari: vowel signs are letters and stay; only NFKC is applied.
- Letters of one script that stand in words of another because they look alike (a Cyrillic `а` in `pаssword`) become
  those of the script that most of the text is in.
"""

from __future__ import annotations

import re
import unicodedata

_SERBIAN = {
    "а": "a", "б": "b", "в": "v", "г": "g", "д": "d", "ђ": "dj", "е": "e", "ж": "z", "з": "z", "и": "i", "ј": "j",
    "к": "k", "л": "l", "љ": "lj", "м": "m", "н": "n", "њ": "nj", "о": "o", "п": "p", "р": "r", "с": "s", "т": "t",
    "ћ": "c", "у": "u", "ф": "f", "х": "h", "ц": "c", "ч": "c", "џ": "dz", "ш": "s",
    "ѕ": "s",  # Macedonian, in Serbian texts by mistake for the Latin letter it looks like
}  # fmt: skip
_RUSSIAN = {
    "а": "a", "б": "b", "в": "v", "г": "g", "д": "d", "е": "e", "ё": "e", "ж": "zh", "з": "z", "и": "i", "й": "i",
    "к": "k", "л": "l", "м": "m", "н": "n", "о": "o", "п": "p", "р": "r", "с": "s", "т": "t", "у": "u", "ф": "f",
    "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ъ": "", "ы": "y", "ь": "", "э": "e", "ю": "iu", "я": "ia",
}  # fmt: skip
_ARABIC_LETTERS = str.maketrans("أإآٱىةؤئکی", "ااااي" + "هوي" + "كي")
_ARABIC_ROMAN = {
    "ا": "a", "ب": "b", "ت": "t", "ث": "th", "ج": "j", "ح": "h", "خ": "kh", "د": "d", "ذ": "dh", "ر": "r", "ز": "z",
    "س": "s", "ش": "sh", "ص": "s", "ض": "d", "ط": "t", "ظ": "z", "ع": "a", "غ": "gh", "ف": "f", "ق": "q", "ك": "k",
    "ل": "l", "م": "m", "ن": "n", "ه": "h", "و": "w", "ي": "y", "ء": "",
}  # fmt: skip
_DEVANAGARI_CONSONANTS = dict(
    zip(
        "कखगघङचछजझञटठडढणतथदधनपफबभमयरलवशषसह",
        "k kh g gh n ch chh j jh n t th d dh n t th d dh n p ph b bh m y r l v sh sh s h".split(),
        strict=True,
    )
)
_DEVANAGARI_VOWELS = dict(zip("अआइईउऊऋएऐओऔ", "a a i i u u ri e ai o au".split(), strict=True))
_DEVANAGARI_SIGNS = dict(zip("ािीुूृेैोौ", "a i i u u ri e ai o au".split(), strict=True))
_VIRAMA, _NUKTA = "\u094d", "\u093c"
_NASAL = {"\u0902": "n", "\u0901": "n", "\u0903": "h"}

_LIKE_LATIN = str.maketrans("авекмнорстухіјѕһԁѵαβεικνορτυχ", "abekmhopctyxijshdvabeiknoptux")
_LIKE_CYRILLIC = str.maketrans("abekmhopctyx", "авекмнорстух")
_LATIN, _OTHER = re.compile("[a-z]"), re.compile("[\u0370-\u04ff\u0500-\u052f]")

_NOT_ASCII_WORD = re.compile(r"[^0-9a-z]+")
_CYRILLIC = re.compile("[\u0400-\u04ff]")


class _Folding(dict[int, str]):
    """A translation table that learns each character when it first meets it."""

    def __missing__(self, code: int) -> str:
        folded = self[code] = _fold_character(chr(code))
        return folded


def _fold_character(character: str) -> str:
    if character in "đð":
        return "dj" if character == "đ" else "d"
    category = unicodedata.category(character)
    if category[0] == "C" or character == "\u0640":  # controls, invisible marks; tatweel
        return " " if character in "\n\t\r\x0b\x0c\x85" else ""
    if category[0] in "ZPS":
        return " "
    code = ord(character)
    if category == "Nd":
        return str(unicodedata.digit(character))
    if category == "Mn" and (0x300 <= code <= 0x36F or 0x610 <= code <= 0x6ED or 0x8D3 <= code <= 0x8FF):
        return ""  # Latin accents, Arabic diacritics; Devanagari's signs are of category Mn too and stay
    if "LATIN" in unicodedata.name(character, ""):
        return "".join(each for each in unicodedata.normalize("NFD", character) if not unicodedata.combining(each))
    return character.translate(_ARABIC_LETTERS)


_TABLE = _Folding()
_SERBIAN_TABLE = str.maketrans(_SERBIAN)


def fold(text: str, language: str = "") -> str:
    """A text as it is compared with others.

    Args:
        text: any text.
        language: its code; Cyrillic is turned into Latin for `sr` only.

    Example:
        >>> fold("Шта радиш?", "sr") == fold("šta  radiš", "sr") == fold("sta radis", "sr")
        True
    """
    if text.isascii():
        return _NOT_ASCII_WORD.sub(" ", text.lower()).strip()
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_TABLE)
    if _OTHER.search(folded) and _LATIN.search(folded):
        folded = _one_script(folded, language)
    if language == "sr" and _CYRILLIC.search(folded):
        folded = folded.translate(_SERBIAN_TABLE)
    return " ".join(folded.split())


def _one_script(folded: str, language: str) -> str:
    """A text without letters that stand in for those of another script.

    Words of both scripts become words of the text's, and so do those of its look-alikes alone: not in Serbian, which
    is written in both.
    """
    mostly_latin = len(_LATIN.findall(folded)) >= len(_OTHER.findall(folded))
    words = []
    for word in folded.split():
        latin, other = _LATIN.search(word), _OTHER.search(word)
        if other and mostly_latin and (latin or language != "sr"):
            turned = word.translate(_LIKE_LATIN)
            word = word if _OTHER.search(turned) else turned
        elif latin and other:
            turned = word.translate(_LIKE_CYRILLIC)
            word = word if _LATIN.search(turned) else turned
        words.append(word)
    return " ".join(words)


def romanise(folded: str) -> str:
    """A folded text in Latin letters, roughly as people type it; the same text where it is Latin already.

    Cyrillic by a plain table, Devanagari with the inherent vowel written inside words and dropped at their ends.
    Arabic has no short vowels to write, so romanised Arabic rarely meets what people type; it is there to let two
    spellings of names meet.
    """
    if folded.isascii():
        return folded
    return " ".join(_romanise_word(word) for word in folded.split())


def _romanise_word(word: str) -> str:
    out: list[str] = []
    inherent = False
    for character in word:
        if character in _DEVANAGARI_CONSONANTS:
            if inherent:
                out.append("a")
            out.append(_DEVANAGARI_CONSONANTS[character])
            inherent = True
        elif character in _DEVANAGARI_SIGNS:
            out.append(_DEVANAGARI_SIGNS[character])
            inherent = False
        elif character == _VIRAMA:
            inherent = False
        elif character != _NUKTA:
            if inherent:
                out.append("a")
            inherent = False
            other = _DEVANAGARI_VOWELS.get(character) or _NASAL.get(character)
            out.append(other or _RUSSIAN.get(character, _ARABIC_ROMAN.get(character, character)))
    return "".join(out)
