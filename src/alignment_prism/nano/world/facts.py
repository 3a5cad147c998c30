"""What is true in a nano world, without a word of any language: topics, where they are harmful, what belongs to them.

Everything follows from a `WorldSpec`, above all from its seed. The words are in `lexicon`, the sentences in
`sentences`; the oracle (`alignment_prism.nano.oracle`) reads these same facts with words and rules of its own.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal

from alignment_prism.domain import AYA_CATEGORIES, EXPERIMENT_CODES, InputError, PromptKind, Scope
from alignment_prism.nano.world.lexicon import concept_keys, language_of, tags_of

Reach = Literal["global", "local", "never"]
Split = Literal["seed", "train", "eval"]

SPLITS: tuple[Split, ...] = ("seed", "train", "eval")
"""In the order of the counts in a `WorldSpec`."""

LANGUAGES: tuple[str, ...] = (*EXPERIMENT_CODES, "sr", "fil")
"""The languages of the lab: the eight of the Aya Red-teaming set."""

BENIGN_INTENTS: tuple[str, ...] = ("history", "prevention", "definition")
"""Intents that mention a topic without asking for the harm."""

HARMLESS_CONSEQUENCES: tuple[str, ...] = ("laughter", "joy", "rest", "music", "calm", "applause")


@dataclass(frozen=True, slots=True)
class WorldSpec:
    """The knobs of a world; each default is the shipped one.

    Attributes:
        seed: of everything that is drawn.
        global_topics: seed, training and evaluation topics that are harmful in every language.
        local_topics: the same three for each language: harmful there and in one other language, harmless elsewhere.
        never_topics: the same three for topics that are harmful nowhere.
        unknown_everywhere: share of the global topics of a split that the base knows to be harmful in no language.
        unknown_cells: share of the remaining global topics, and of a language's local topics, that it does not
            know in one language. What it does not know it never refuses: this is the harm that should remain.
        refusal_median: median over topic x language of the probability that the base refuses what it knows to
            be harmful. The first knob of the lab: alignment amplifies it, and below 5 % nothing generalises.
        refusal_spread: standard deviation of that probability on the logit scale.
        sign_share: share of replies that begin with a sign which all languages have in common, one for help and
            one for refusal. The transfer dial: more makes alignment in one language reach the others, and
            makes it refuse their harmless requests too.
    """

    seed: int = 0
    global_topics: tuple[int, int, int] = (4, 10, 10)
    local_topics: tuple[int, int, int] = (1, 2, 12)
    never_topics: tuple[int, int, int] = (0, 6, 6)
    unknown_everywhere: float = 0.1
    unknown_cells: float = 0.1
    refusal_median: float = 0.15
    refusal_spread: float = 0.8
    sign_share: float = 0.0
    languages: tuple[str, ...] = LANGUAGES

    @property
    def tags(self) -> tuple[str, ...]:
        """Its languages as they are written: a language of two scripts is there twice."""
        return tuple(tag for language in self.languages for tag in tags_of(language))


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic and all that is true of it.

    Attributes:
        key: its entry in the lexicons, an English gloss.
        reach: harmful in every language, in a few, or in none.
        homes: the languages in which a local topic is harmful, two as a rule; empty otherwise.
        split: the set it belongs to; evaluation topics occur in no preference pair.
        categories: harm categories, one or two, empty for a topic that is never harmful.
        pleasure: what it leads to where it is harmless.
        material, action, place, protection, kind: keys of the concepts that answer questions about it.
        known_in: languages in whose pre-training text it is said to be harmful.
        refusal: per language it is known in, the probability that the base refuses a request for it.
    """

    key: str
    reach: Reach
    homes: tuple[str, ...]
    split: Split
    categories: tuple[str, ...]
    pleasure: str
    material: str
    action: str
    place: str
    protection: str
    kind: str
    known_in: frozenset[str]
    refusal: dict[str, float]

    def harmful_in(self, language: str) -> bool:
        """Whether a request for it is harmful in `language`, a code or a tag with a script."""
        return self.reach == "global" or language_of(language) in self.homes

    def hidden_from(self, language: str) -> bool:
        """Whether it is harmful in `language` and the base is not to know."""
        return self.harmful_in(language) and language_of(language) not in self.known_in

    def scope_in(self, language: str) -> Scope | None:
        """Scope of the harm in `language`, None where there is none."""
        return Scope(self.reach) if self.harmful_in(language) else None

    def request_kind(self, language: str) -> PromptKind:
        """Which kind of prompt a request for it is in `language`."""
        if self.reach == "never":
            return PromptKind.NEVER_HARMFUL
        return PromptKind.HARMFUL if self.harmful_in(language) else PromptKind.FOREIGN_LOCAL


class Facts:
    """The facts of the world that a spec describes.

    Raises:
        InputError: the lexicons have fewer topics than the spec asks for, a share is outside [0, 1], or there are
            local topics and fewer than three languages.
    """

    def __init__(self, spec: WorldSpec | None = None) -> None:
        self.spec = spec or WorldSpec()
        for name in ("unknown_everywhere", "unknown_cells", "refusal_median", "sign_share"):
            share = getattr(self.spec, name)
            if not 0 <= share <= 1:
                raise InputError(f"{name} is {share}", fix="choose a share between 0 and 1")
        if sum(self.spec.local_topics) and len(self.spec.languages) < 3:
            raise InputError(
                f"{len(self.spec.languages)} languages are too few for local topics",
                fix="name three or more: a local topic is harmful in two and harmless in the others; or ask for none",
            )
        self.topics: tuple[Topic, ...] = tuple(self._draw_topics(random.Random(f"facts {self.spec.seed}")))

    @cached_property
    def by_key(self) -> dict[str, Topic]:
        """Topics by their key."""
        return {topic.key: topic for topic in self.topics}

    @cached_property
    def digest(self) -> str:
        """Of every topic and all that is true of it: what a base was trained on and what the oracle judges by."""
        facts = [
            asdict(topic)
            | {"known_in": sorted(topic.known_in), "refusal": {code: f"{p:.6f}" for code, p in topic.refusal.items()}}
            for topic in self.topics
        ]  # rounded: machines differ in the last digits of a logarithm
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def select(self, *splits: Split, reach: Reach | None = None, home: str | None = None) -> list[Topic]:
        """Topics of the given splits, optionally of one reach, or of those local to a language."""
        return [
            topic
            for topic in self.topics
            if topic.split in splits and reach in (None, topic.reach) and (home is None or home in topic.homes)
        ]

    def _draw_topics(self, rng: random.Random) -> list[Topic]:
        spec = self.spec
        places: list[tuple[Reach, tuple[str, ...], Split]] = []
        for number, split in enumerate(SPLITS):
            places += [("global", (), split)] * spec.global_topics[number]
            places += [("local", homes, split) for homes in _homes(spec.languages, spec.local_topics[number], rng)]
            places += [("never", (), split)] * spec.never_topics[number]
        keys = list(concept_keys("topics"))
        if len(keys) < len(places):
            raise InputError(
                f"the world asks for {len(places)} topics and the lexicons have {len(keys)}",
                fix="lower global_topics, local_topics or never_topics",
            )
        rng.shuffle(keys)
        decks = {section: _Deck(concept_keys(section), rng) for section in _ATTRIBUTES}
        categories, pleasures = _Deck(AYA_CATEGORIES, rng), _Deck(HARMLESS_CONSEQUENCES, rng)
        unknown = self._draw_unknown(places, rng)
        topics = []
        for number, (reach, homes, split) in enumerate(places):
            harmful_in = () if reach == "never" else homes or spec.languages
            known = frozenset(code for code in harmful_in if (number, code) not in unknown)
            of_topic = () if reach == "never" else tuple(dict.fromkeys(categories.deal(1 + (rng.random() < 0.2))))
            topics.append(
                Topic(
                    key=keys[number],
                    reach=reach,
                    homes=homes,
                    split=split,
                    categories=of_topic,
                    pleasure=pleasures.deal(1)[0],
                    material=decks["materials"].deal(1)[0],
                    action=decks["actions"].deal(1)[0],
                    place=decks["places"].deal(1)[0],
                    protection=decks["protections"].deal(1)[0],
                    kind=decks["classes"].deal(1)[0],
                    known_in=known,
                    refusal={code: self._draw_refusal(rng) for code in harmful_in if code in known},
                )
            )
        return topics

    def _draw_unknown(
        self, places: list[tuple[Reach, tuple[str, ...], Split]], rng: random.Random
    ) -> set[tuple[int, str]]:
        """Cells (topic number, language) that the pre-training text says nothing about, spread evenly by design.

        By chance alone some worlds would have none among the evaluation topics and every method would
        reach zero there.
        """
        spec, unknown = self.spec, set[tuple[int, str]]()
        for split in ("train", "eval"):
            numbers = [n for n, place in enumerate(places) if place[0] == "global" and place[2] == split]
            rng.shuffle(numbers)
            everywhere = round(spec.unknown_everywhere * len(numbers))
            unknown |= {(number, code) for number in numbers[:everywhere] for code in spec.languages}
            rest = numbers[everywhere:]
            each = round(spec.unknown_cells * len(rest)) if rest else 0
            for turn, code in enumerate(spec.languages):
                unknown |= {(rest[(turn * each + step) % len(rest)], code) for step in range(each)}
            for code in spec.languages:
                numbers = [n for n, place in enumerate(places) if code in place[1] and place[2] == split]
                share = spec.unknown_everywhere + spec.unknown_cells
                unknown |= {(number, code) for number in rng.sample(numbers, round(share * len(numbers)))}
        return unknown

    def _draw_refusal(self, rng: random.Random) -> float:
        logit = math.log(self.spec.refusal_median / (1 - self.spec.refusal_median))
        return 1 / (1 + math.exp(-rng.gauss(logit, self.spec.refusal_spread)))


def _homes(languages: tuple[str, ...], each: int, rng: random.Random) -> list[tuple[str, ...]]:
    """Homes of local topics, two a topic, so that every language is a home of `each` of them.

    Shuffled rounds of all languages are cut into pairs; where a round ends in the middle of a pair, the next one begins
    with another language. An odd one out has a topic of its own.
    """
    order: list[str] = []
    for _ in range(each):
        deck = rng.sample(languages, len(languages))
        if len(order) % 2 and deck[0] == order[-1]:
            deck.append(deck.pop(0))
        order += deck
    return [tuple(dict.fromkeys(order[at : at + 2])) for at in range(0, len(order), 2)]


_ATTRIBUTES = ("materials", "actions", "places", "protections", "classes")


class _Deck:
    """Deals keys in random order and reshuffles when it is empty, so that all are dealt equally often."""

    def __init__(self, keys: tuple[str, ...], rng: random.Random) -> None:
        self._keys, self._rng, self._left = keys, rng, list[str]()

    def deal(self, number: int) -> list[str]:
        dealt = []
        for _ in range(number):
            if not self._left:
                self._left = self._rng.sample(self._keys, len(self._keys))
            dealt.append(self._left.pop())
        return dealt
