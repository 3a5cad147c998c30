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
LONGEST_READ, PIECE = 2000, 100
"""Characters of a prompt that are looked at: of a longer one pieces from all over it, since many begin with a
template in another language."""


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
        read: of those drawn: the id, the beginning of the text, and the script that it names, empty for none.
    """

    seen: int = 0
    read: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Count:
    """Of the prompts of a source and language that were drawn, those with ten letters or more.

    Attributes:
        source: of them.
        language: that they say.
        seen: from how many they were drawn.
        long: how many they are.
        other_script: those in another script than the language's, or than the one that they name.
        native: those that name no script.
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

    def add(self, name: str, text: str, script: str) -> None:
        """Look at one."""
        own, letters = letters_in(text, (script,) if script else self.language.scripts)
        if letters < MIN_LETTERS:
            return
        foreign = own < MIN_SCRIPT_SHARE * letters
        other = foreign or not (script or in_language(text, self.language))
        self.long += 1
        self.other_script += foreign
        if not script:
            self.native += 1
            self.other_language += other
        if other:
            self.otherwise.append(name)

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


class SaidLanguages:
    """Prompts and the languages that they say they are in, one at a time.

    Of each source and language first the script counts: that of more than half of the prompts with ten letters or more.
    Then, within the script, what language identification says of at least four in five. A prompt whose metadata has a
    `script` (`Latn` for romanised Hindi) is held against that one, and is not identified. Where fewer are otherwise,
    but more than one in fifty, they are named.
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
        read = prompt.id, _excerpt(prompt.text), check_script(script) if script else ""
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
            for read in draw.read:
                counts[-1].add(*read)
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
