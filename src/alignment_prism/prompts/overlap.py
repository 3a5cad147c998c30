"""Near-duplicates and leaks between prompt sets, within and across languages and scripts.

Every prompt is compared under several keys: its own text, folded; its English translations, where the row has them;
and, for texts in other scripts, what they look like in Latin letters. Two prompts match if any key of the one is
similar to any key of the other, or if they share an id or a group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

from alignment_prism.domain import InputError, Prompt
from alignment_prism.domain.progress import Progress
from alignment_prism.prompts.folding import fold, romanise
from alignment_prism.prompts.similarity import SimilarityIndex

TRANSLATIONS = ("literal_translation", "semantic_translation", "english")
"""Keys of the metadata that hold a prompt in English: Aya's columns, and what others are mapped to."""

THRESHOLD = 0.7
"""Least Jaccard similarity of character 5-grams at which two prompts count as near-duplicates."""

CHUNK = 20_000
"""Prompts of the streamed side that are held at a time."""

Key = tuple[str, str]
"""What a prompt is compared by: kind (`text`, `translation`, `romanised`) and folded text."""


@dataclass(frozen=True, slots=True)
class Match:
    """Two prompts that say nearly the same.

    Attributes:
        one: id of the prompt of the first set.
        other: id of the prompt of the second.
        similarity: Jaccard of character n-grams, 1 for a shared id or group.
        how: `text`, `translation`, `text-translation`, `romanised` and so on: which keys met; `id` or `group`.
        languages: of both prompts.
    """

    one: str
    other: str
    similarity: float
    how: str
    languages: tuple[str, str]

    def as_dict(self) -> dict[str, Any]:
        """The match as plain values."""
        return {
            "one": self.one,
            "other": self.other,
            "similarity": round(self.similarity, 4),
            "how": self.how,
            "languages": list(self.languages),
        }


def keys_of(prompt: Prompt) -> list[Key]:
    """The keys of a prompt, each once; none of an empty text."""
    said = " ".join(turn.content for turn in prompt.messages if turn.role != "system")
    text = fold(said, prompt.language)
    keys = {text: "text"}
    for name in TRANSLATIONS:
        translation = prompt.metadata.get(name)
        if isinstance(translation, str) and translation.strip():
            keys.setdefault(fold(translation, "en"), "translation")
    keys.setdefault(romanise(text), "romanised")
    return [(kind, key) for key, kind in keys.items() if key]


class PromptIndex:
    """A set of prompts that others are compared with.

    Args:
        prompts: the set.
        threshold: least similarity of a match.
        n: characters of an n-gram.

    Raises:
        InputError: the threshold is not above 0 and at most 1, or n is below 1.
    """

    def __init__(self, prompts: Iterable[Prompt], *, threshold: float = THRESHOLD, n: int = 5) -> None:
        if not 0 < threshold <= 1:
            raise InputError(f"a threshold of {threshold}", fix="give a number above 0 and at most 1")
        if n < 1:
            raise InputError(f"n-grams of {n} characters", fix="give 1 or more")
        self._ids: list[str] = []
        self._languages: list[str] = []
        self._groups: dict[str, list[int]] = {}
        self._places: dict[str, int] = {}
        owners: list[int] = []
        kinds: list[str] = []

        def texts() -> Iterator[str]:
            for number, prompt in enumerate(prompts):
                self._ids.append(prompt.id)
                self._languages.append(prompt.language)
                self._places[prompt.id] = number
                if prompt.group:
                    self._groups.setdefault(prompt.group, []).append(number)
                for kind, key in keys_of(prompt):
                    owners.append(number)
                    kinds.append(kind)
                    yield key

        self._index = SimilarityIndex(texts(), threshold=threshold, n=n)
        self._owners, self._kinds = owners, kinds

    def __len__(self) -> int:
        return len(self._ids)

    def matches(self, prompts: Iterable[Prompt], begun: Callable[[], None] = lambda: None) -> Iterator[Match]:
        """Every match of prompts with the set, the best way each pair meets, in the order of the prompts.

        Args:
            prompts: to look for.
            begun: called when the next one is looked for.
        """
        iterator = iter(prompts)
        while chunk := list(islice(iterator, CHUNK)):
            yield from self._chunk(chunk, begun)

    def _chunk(self, prompts: Sequence[Prompt], begun: Callable[[], None]) -> Iterator[Match]:
        owners: list[int] = []
        kinds: list[str] = []

        def texts() -> Iterator[str]:
            for number, prompt in enumerate(prompts):
                begun()
                for kind, key in keys_of(prompt):
                    owners.append(number)
                    kinds.append(kind)
                    yield key

        best: dict[tuple[int, int], tuple[float, str]] = {}
        for number, prompt in enumerate(prompts):
            same = self._places.get(prompt.id)
            if same is not None:
                best[number, same] = (1.0, "id")
            for other in self._groups.get(prompt.group, ()) if prompt.group else ():
                best.setdefault((number, other), (1.0, "group"))
        for mine, theirs, similarity in self._index.search(texts()):
            pair = owners[mine], self._owners[theirs]
            known = best.get(pair)
            how = kinds[mine] if kinds[mine] == self._kinds[theirs] else f"{kinds[mine]}-{self._kinds[theirs]}"
            better = known is None or (similarity, how == "text") > (known[0], known[1] == "text")
            if known is None or (better and known[1] not in {"id", "group"}):
                best[pair] = (similarity, how)
        for (number, other), (similarity, how) in sorted(best.items()):
            prompt = prompts[number]
            languages = prompt.language, self._languages[other]
            yield Match(prompt.id, self._ids[other], similarity, how, languages)


def near_duplicates(
    prompts: Sequence[Prompt], *, threshold: float = THRESHOLD, n: int = 5, progress: Progress = lambda *_: None
) -> Iterator[Match]:
    """Every pair of different prompts of one set that match, each pair once.

    Args:
        prompts: the set.
        threshold: least similarity of a match.
        n: characters of an n-gram.
        progress: told of every prompt twice: as it is indexed, and as it is looked for.

    Raises:
        InputError: two prompts have the same id.
    """
    place: dict[str, int] = {}
    for number, prompt in enumerate(prompts):
        if place.setdefault(prompt.id, number) != number:
            raise InputError(f"the id {prompt.id[:40]!r} occurs twice", fix="give every prompt its own id")
    done = count(1)

    def tick() -> None:
        progress(next(done), 2 * len(prompts))

    def indexed() -> Iterator[Prompt]:
        for prompt in prompts:
            tick()
            yield prompt

    for match in PromptIndex(indexed(), threshold=threshold, n=n).matches(prompts, tick):
        if place[match.one] < place[match.other]:
            yield match


def summary(matches: Iterable[Match]) -> dict[str, Any]:
    """Counts of matches by how they met and by languages, and how many prompts of either side are concerned."""
    how: Counter[str] = Counter()
    languages: Counter[str] = Counter()
    ones, others = set(), set()
    total = 0
    for match in matches:
        total += 1
        how[match.how] += 1
        languages["-".join(match.languages)] += 1
        ones.add(match.one)
        others.add(match.other)
    return {
        "matches": total,
        "prompts_of_the_first": len(ones),
        "prompts_of_the_second": len(others),
        "how": dict(how.most_common()),
        "languages": dict(languages.most_common()),
    }


@dataclass(frozen=True, slots=True)
class Overlap:
    """What two sets share, or the near-duplicates within one.

    Attributes:
        counts: see `summary`; and `first`, `second` (prompts of either set), `threshold`, `n`.
        closest: the most similar matches.
        within: whether one set was compared with itself.
    """

    counts: dict[str, Any]
    closest: tuple[Match, ...]
    within: bool


def find_overlap(
    first: Iterable[Prompt],
    second: Iterable[Prompt] | None,
    *,
    threshold: float = THRESHOLD,
    n: int = 5,
    on_match: Callable[[Match], None] | None = None,
    keep: int = 10,
) -> Overlap:
    """Compare two sets, or a set with itself.

    Args:
        first: one set; streamed past the second.
        second: the other, held in memory; None compares the first with itself, each pair once.
        threshold: least similarity of a match.
        n: characters of an n-gram.
        on_match: called with every match, as it is found.
        keep: how many of the closest matches are kept.

    Raises:
        InputError: as `PromptIndex`; or a set that is compared with itself has an id twice.
    """
    sizes: Counter[str] = Counter()
    closest: list[Match] = []

    def counted(side: str, prompts: Iterable[Prompt]) -> Iterator[Prompt]:
        for prompt in prompts:
            sizes[side] += 1
            yield prompt

    def watched(matches: Iterable[Match]) -> Iterator[Match]:
        for match in matches:
            if on_match is not None:
                on_match(match)
            closest.append(match)
            if len(closest) > 20 * keep:
                closest.sort(key=_closeness)
                del closest[keep:]
            yield match

    if second is None:
        prompts = list(counted("first", first))
        sizes["second"] = len(prompts)
        counts = summary(watched(near_duplicates(prompts, threshold=threshold, n=n)))
    else:
        index = PromptIndex(counted("second", second), threshold=threshold, n=n)
        counts = summary(watched(index.matches(counted("first", first))))
    sides = {"first": sizes["first"], "second": sizes["second"], "threshold": threshold, "n": n}
    return Overlap({**counts, **sides}, tuple(sorted(closest, key=_closeness)[:keep]), second is None)


def _closeness(match: Match) -> float:
    return -match.similarity


def connected(ids: Iterable[str], edges: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """For every id the smallest id of its connected component (union-find)."""
    parent = {each: each for each in ids}

    def root(each: str) -> str:
        while parent[each] != each:
            parent[each] = parent[parent[each]]
            each = parent[each]
        return each

    for one, other in edges:
        small, large = sorted((root(one), root(other)))
        parent[large] = small
    return {each: root(each) for each in parent}
