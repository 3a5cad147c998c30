"""Evaluation and seed prompts of the nano world, with the answers that can be checked."""

from __future__ import annotations

import random
from dataclasses import dataclass

from alignment_prism.domain import Prompt, PromptKind, content_digest, user
from alignment_prism.nano.world.facts import BENIGN_INTENTS, Facts, Split, Topic
from alignment_prism.nano.world.lexicon import tags_of
from alignment_prism.nano.world.sentences import (
    GENERAL_TASKS,
    answer_task,
    answer_topic,
    ask_task,
    ask_topic,
    draw_task,
)
from alignment_prism.nano.world.templates import templates


@dataclass(frozen=True, slots=True)
class EvaluationRecipe:
    """How many prompts there are of each kind. Generation time is proportional to the total.

    Attributes:
        unseen: requests a topic and language on evaluation topics (the headline).
        seen: the same on training topics, in wordings that are held out.
        benign: mentions of each harmful evaluation topic, of the three benign intents in turn.
        never: prompts about each evaluation topic that is harmful nowhere, half of them requests.
        foreign: requests a language for local evaluation topics that are harmless there, each for another topic.
        general: prompts of each general task.
    """

    unseen: int = 2
    seen: int = 1
    benign: int = 1
    never: int = 4
    foreign: int = 24
    general: int = 6


def evaluation_prompts(facts: Facts, recipe: EvaluationRecipe | None = None) -> list[Prompt]:
    """The evaluation set: every wording held out, every topic unseen in alignment but where the subset is `seen`.

    The same facts and recipe give the same prompts, whatever the seed of an alignment.
    """
    recipe = recipe or EvaluationRecipe()
    drawer = _PromptDrawer(facts, "eval", random.Random(f"evaluation {facts.spec.seed}"))
    prompts: list[Prompt] = []
    for language in facts.spec.languages:
        for split, subset, number in (("eval", "unseen", recipe.unseen), ("train", "seen", recipe.seen)):
            topics = facts.select(split, reach="global") + facts.select(split, home=language)  # type: ignore[arg-type]
            for topic in topics:
                prompts += drawer.topic(language, ["request"] * number, topic, subset)
        harmful = facts.select("eval", reach="global") + facts.select("eval", home=language)
        for turn, topic in enumerate(harmful):
            intents = [BENIGN_INTENTS[(turn + step) % 3] for step in range(recipe.benign)]
            prompts += drawer.topic(language, intents, topic, "unseen")
        for turn, topic in enumerate(facts.select("eval", reach="never")):
            intents = [
                "request" if step % 2 == 0 else BENIGN_INTENTS[(turn + step) % 3] for step in range(recipe.never)
            ]
            prompts += drawer.topic(language, intents, topic, "unseen")
        away = [topic for topic in facts.select("eval", reach="local") if not topic.harmful_in(language)]
        for topic in drawer.some(away, recipe.foreign):
            prompts += drawer.topic(language, ["request"], topic, "unseen")
        for name in GENERAL_TASKS:
            prompts += drawer.tasks(language, name, recipe.general)
    return prompts


def seed_prompts(facts: Facts, number: int = 100) -> list[Prompt]:
    """Requests on the seed topics in the seed wordings: what a synthesis of training prompts starts from.

    Args:
        facts: the world.
        number: most prompts a language; there are fewer where the topics and wordings are used up.
    """
    drawer = _PromptDrawer(facts, "seed", random.Random(f"seeds {facts.spec.seed}"))
    prompts: list[Prompt] = []
    for language in facts.spec.languages:
        topics = facts.select("seed", reach="global") + facts.select("seed", home=language)
        available = min(number // len(topics), len(templates(facts.spec.seed, "request", "seed")))
        for topic in topics:
            prompts += drawer.topic(language, ["request"] * available, topic, "")
    return prompts


class _PromptDrawer:
    """Draws prompts of one split of the wordings, none twice."""

    def __init__(self, facts: Facts, split: Split, rng: random.Random) -> None:
        self._facts, self._split, self._rng = facts, split, rng
        self._said: set[tuple[str, str]] = set()

    def some(self, topics: list[Topic], number: int) -> list[Topic]:
        """As many of the topics, all of them where there are fewer."""
        return self._rng.sample(topics, min(number, len(topics)))

    def topic(self, language: str, intents: list[str], topic: Topic, subset: str) -> list[Prompt]:
        prompts = []
        for intent in intents:
            tag = self._rng.choice(tags_of(language))
            text = self._unsaid(tag, intent, topic)
            kind = topic.request_kind(language)
            if intent != "request" and kind is PromptKind.HARMFUL:
                kind = PromptKind.BENIGN_MENTION
            harmful = kind is PromptKind.HARMFUL
            related = kind in (PromptKind.HARMFUL, PromptKind.BENIGN_MENTION)
            reference = "" if harmful else answer_topic(tag, intent, topic, "full", self._rng)
            prompts.append(
                Prompt(
                    id=f"nano-{content_digest(language, text)}",
                    messages=user(text),
                    language=language,
                    kind=kind,
                    scope=topic.scope_in(language) if related else None,
                    categories=topic.categories if related else (),
                    subset=subset,
                    split=self._split,
                    group=f"{topic.key}/{language}",
                    reference=reference,
                    source=f"nano@{self._facts.spec.seed}",
                    metadata={"intent": intent, "topic": topic.key, "known": language in topic.known_in, "tag": tag},
                )
            )
        return prompts

    def _unsaid(self, language: str, intent: str, topic: Topic) -> str:
        choices = list(templates(self._facts.spec.seed, intent, self._split))
        self._rng.shuffle(choices)
        for template in choices:
            text = ask_topic(language, intent, topic, template)
            if (language, text) not in self._said:
                self._said.add((language, text))
                return text
        raise ValueError(f"no wording of {intent!r} is left for topic {topic.key!r} in {language!r}")

    def tasks(self, language: str, name: str, number: int) -> list[Prompt]:
        prompts: list[Prompt] = []
        choices = templates(self._facts.spec.seed, name, self._split)
        while len(prompts) < number:
            tag = self._rng.choice(tags_of(language))
            task = draw_task(tag, self._rng, name)
            text = ask_task(tag, task, self._rng.choice(choices))
            if (language, text) in self._said:
                continue
            self._said.add((language, text))
            prompts.append(
                Prompt(
                    id=f"nano-{content_digest(language, text)}",
                    messages=user(text),
                    language=language,
                    kind=PromptKind.GENERAL,
                    subset="unseen",
                    split=self._split,
                    reference=answer_task(tag, task, "full", self._rng),
                    source=f"nano@{self._facts.spec.seed}",
                    metadata={"intent": name, "tag": tag},
                )
            )
        return prompts
