"""Are prompts in the language that they claim? A column in another one is found before a call is paid for."""

from __future__ import annotations

import os.path
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

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
LONGEST_READ, PIECE = 2000, 100
"""Characters of a prompt that are looked at: of a longer one pieces from all over it."""
LONGEST_KEPT = 10_000
"""Characters of a prompt up to which a template is told from the request in it."""
SHARED = 0.05
"""Share of prompts, and `FEWEST` at least, that begin or end alike where a template says so."""
LETTERS_TOGETHER = 100
"""Letters of several requests from which on their language is asked for, without their templates: `in_language` takes
one English request in ten of 15 to 30 letters for Spanish, and none of more than 45 (MultiJail and XSTest)."""

FEWEST_NOTED, MOST_UNNOTED = 3, 0.02
"""Prompts that are otherwise from which on something is said of them, if they are more than such a share: of the real
prompts in fifteen languages that the tests read at most 0.7 % are."""
SHOWN = 5
"""Ids that a note names."""


@dataclass(slots=True)
class _Draw:
    """Prompts of a source and language that are looked at.

    Attributes:
        seen: how many there were.
        read: of those drawn: the id, the text, and the script that it names, empty for none.
    """

    seen: int = 0
    read: list[tuple[str, str, str]] = field(default_factory=list)


class _Otherwise(NamedTuple):
    """Whether a text is in another script, and whether in another language, as all in another script are."""

    script: bool
    language: bool


@dataclass(slots=True)
class _Count:
    """Of the prompts of a source and language that were drawn, those with ten letters or more.

    Attributes:
        source: of them.
        language: that they say.
        seen: from how many they were drawn.
        long: how many they are.
        other_script: those in another script than the language's, or than the one that they name.
        native: those that name no script but one of the language's.
        other_language: those of them in another language.
        otherwise: ids of all that are in another script or language.
    """

    source: str
    language: Language
    seen: int
    long: int = 0
    other_script: int = 0
    native: int = 0
    other_language: int = 0
    otherwise: list[str] = field(default_factory=list)

    def look_at(self, read: Sequence[tuple[str, str, str]]) -> None:
        """Count prompts, each of them in its language if its whole text is or what is left of it without templates."""
        found = {at: each for at, (_, text, script) in enumerate(read) if (each := self._otherwise(text, script))}
        self._look_behind_templates(read, found)
        for at, each in found.items():
            name, _, script = read[at]
            self.long += 1
            self.other_script += each.script
            if self._is_usual(script):
                self.native += 1
                self.other_language += each.language
            if each.language:
                self.otherwise.append(name)

    def _otherwise(self, text: str, script: str) -> _Otherwise | None:
        """What of a text is otherwise, None where it has too few letters to say."""
        text = _excerpt(text)
        own, letters = self._letters(text, script)
        if letters < MIN_LETTERS:
            return None
        foreign = own < MIN_SCRIPT_SHARE * letters
        other = self._is_usual(script) and not in_language(text, self.language)
        return _Otherwise(foreign, foreign or other)

    def _is_usual(self, script: str) -> bool:
        """Whether a prompt names no script, or one that the language is written in: such a text can be identified."""
        return not script or script in self.language.scripts

    def _look_behind_templates(self, read: Sequence[tuple[str, str, str]], found: dict[int, _Otherwise]) -> None:
        """Of prompts that are otherwise as a whole see whether what is left of them without templates is, too.

        The script of each says so; the language is asked of several together, since a few words may be in any.
        """
        doubtful = [at for at, each in found.items() if each.language]
        alone = _without_templates([text for _, text, _ in read]) if doubtful else []
        together: list[int] = []
        text = ""
        for at in doubtful:
            rest, script = _excerpt(alone[at]), read[at][2]
            own, letters = self._letters(rest, script)
            if letters >= (2 if found[at].script else MIN_LETTERS) and own >= MIN_SCRIPT_SHARE * letters:
                found[at] = _Otherwise(False, False)
                if self._is_usual(script):
                    together.append(at)
                    text = f"{text} {rest}"
            last = at == doubtful[-1]
            if together and (last or self._letters(text, "")[1] >= LETTERS_TOGETHER):
                other = not in_language(text, self.language)
                found |= dict.fromkeys(together, _Otherwise(False, other))
                together, text = [], ""

    def _letters(self, text: str, script: str) -> tuple[int, int]:
        return letters_in(text, (script,) if script else self.language.scripts)

    def fault(self) -> InputError | None:
        """That most are in another script or language."""
        if self.long >= FEWEST and self.other_script > MOST_WRONG * self.long:
            what = f"are not written in {' or '.join(self.language.scripts)}"
            return self._fault(self.other_script, self.long, what)
        if self.native >= FEWEST_IDENTIFIED and self.other_language > MOST_OTHER * self.native:
            return self._fault(self.other_language, self.native, "are in another language")
        return None

    def _fault(self, wrong: int, among: int, what: str) -> InputError:
        return InputError(
            f"{self._called(wrong, among)} and {what}",
            where=self.source or None,
            fix="check the language, and that the column with the prompts is the right one and not that of the "
            "originals; for a romanised set say which script it is in, as in script: Latn",
            settings={"mapping": "prompt=COLUMN,language=COLUMN"},
        )

    def note(self) -> str:
        """That some are; empty where there are hardly any."""
        wrong = len(self.otherwise)
        if wrong < FEWEST_NOTED or wrong <= MOST_UNNOTED * self.long:
            return ""
        shown = ", ".join(name[:40] for name in self.otherwise[:SHOWN]) + (", ..." if wrong > SHOWN else "")
        place = f" in {self.source}" if self.source else ""
        return f"{self._called(wrong, self.long)}{place} and seem to be in another language or script ({shown})"

    def _called(self, wrong: int, among: int) -> str:
        drawn = f" drawn from {self.seen:,}" if self.seen > MOST_READ else ""
        return f"{wrong} of {among} prompts{drawn} are called {self.language.name} ({self.language.code})"


def _excerpt(text: str) -> str:
    if len(text) <= LONGEST_READ:
        return text
    pieces = LONGEST_READ // PIECE
    starts = [at * (len(text) - PIECE) // (pieces - 1) for at in range(pieces)]
    return " ".join(text[start : start + PIECE] for start in starts)


def _without_templates(texts: Sequence[str]) -> list[str]:
    """Of each text what is left of it without what several begin or end with; empty where nothing is."""
    backwards = [text[::-1] for text in texts]
    cuts = zip(texts, _shared_beginnings(texts), _shared_beginnings(backwards), strict=True)
    return [text[first : max(first, len(text) - last)] for text, first, last in cuts]


def _shared_beginnings(texts: Sequence[str]) -> list[int]:
    """Of each text how many characters it shares at its beginning with `SHARED` of all, or more."""
    among = max(FEWEST, int(SHARED * len(texts)))
    order = sorted(range(len(texts)), key=texts.__getitem__)
    shared = [0] * len(texts)
    for start in range(len(order) - among + 1):
        near = order[start : start + among]  # sorted: what the first and the last share, those between them do too
        length = len(os.path.commonprefix([texts[near[0]], texts[near[-1]]]))
        for at in near:
            shared[at] = max(shared[at], length)
    return shared


class SaidLanguages:
    """Prompts and the languages that they say they are in, one at a time.

    Of each source and language first the script counts: that of more than half of the prompts with ten letters or more.
    Then, within the script, what language identification says of at least four in five. A prompt whose metadata has a
    `script` is held against that one, and is not identified where the language is not written in it (`Latn` for
    romanised Hindi). Where fewer are otherwise,
    but more than one in fifty, they are named. A request in a template is in its language if either the two together
    or the request alone are: templates are what many prompts of a source begin or end with.
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
        text = prompt.text if len(prompt.text) <= LONGEST_KEPT else _excerpt(prompt.text)
        read = prompt.id, text, check_script(script) if script else ""
        draw = self._draws[prompt.source, prompt.language]
        place = draw.seen if draw.seen < MOST_READ else self._rng.randrange(draw.seen + 1)
        draw.seen += 1
        if place < MOST_READ:  # so each of those seen is among them with the same probability (Vitter's algorithm R)
            draw.read[place : place + 1] = [read]

    def check(self) -> tuple[InputError | None, list[str]]:
        """That prompts of a source say one language and are mostly written in another, None where none are; and what to
        say of sources of which some are."""
        counts = []
        for (source, code), draw in self._draws.items():
            counts.append(_Count(source, self._languages.find(code), draw.seen))
            counts[-1].look_at(draw.read)
        found = [(count.fault(), count) for count in counts]
        fault = next((fault for fault, _ in found if fault is not None), None)
        return fault, [note for fault, count in found if fault is None and (note := count.note())]


def check_prompt_languages(prompts: Iterable[Prompt], languages: Languages = LANGUAGES) -> list[str]:
    """Refuse prompts of a source that say one language and are mostly written in another, see `SaidLanguages`.

    Returns:
        What to say of sources of which some are.

    Raises:
        InputError: most are, or a script is none.
    """
    said = SaidLanguages(languages)
    for prompt in prompts:
        said.add(prompt)
    fault, notes = said.check()
    if fault is not None:
        raise fault
    return notes
