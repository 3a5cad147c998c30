"""Preference pairs of the nano world: safety pairs on training topics, general pairs of graded quality."""

from __future__ import annotations

import random
from dataclasses import dataclass

from alignment_prism.domain import Pair, PairKind, content_digest, user
from alignment_prism.nano.world.facts import BENIGN_INTENTS, Facts, Topic
from alignment_prism.nano.world.lexicon import language_of
from alignment_prism.nano.world.sentences import (
    GENERAL_TASKS,
    Grade,
    Task,
    answer_task,
    answer_topic,
    ask_task,
    ask_topic,
    draw_task,
    refuse,
    with_sign,
)
from alignment_prism.nano.world.templates import templates


@dataclass(frozen=True, slots=True)
class PairRecipe:
    """What the two pools of pairs hold.

    Attributes:
        safety, general: pairs of each pool; the share in a mixture is the mixture's affair.
        local_share: share of local topics among safety pairs.
        never_share: share of general pairs on topics that are harmful nowhere.
        benign_share: share of general pairs that mention a harmful topic without asking for it.
        foreign_share: share of general pairs that ask for what is harmful in other languages only.
        refusal_share: among these three, how often the rejected reply is a refusal; otherwise it is a wrong answer.
        terse, wrong: among general tasks, how often the rejected reply is terse or wrong; the rest are in
            another language.
    """

    safety: int = 2400
    general: int = 2400
    local_share: float = 1 / 3
    never_share: float = 0.18
    benign_share: float = 0.13
    foreign_share: float = 0.04
    refusal_share: float = 0.5
    terse: float = 0.5
    wrong: float = 0.35


def draw_pairs(facts: Facts, seed: int, recipe: PairRecipe | None = None) -> tuple[list[Pair], list[Pair]]:
    """The pools of safety and of general pairs: all their topics and wordings are those of training.

    Ways of writing a language take turns, so that each has the same number of pairs to within one: a language of two
    scripts, which are two languages to the model, has twice as many. The same facts, seed and recipe give the same
    pairs.
    """
    recipe = recipe or PairRecipe()
    drawer = _PairDrawer(facts, recipe, random.Random(f"pairs {facts.spec.seed} {seed}"))
    tags = facts.spec.tags
    safety = [drawer.safety(tags[n % len(tags)], n // len(tags)) for n in range(recipe.safety)]
    general = [drawer.general(tags[n % len(tags)]) for n in range(recipe.general)]
    return safety, general


class _PairDrawer:
    def __init__(self, facts: Facts, recipe: PairRecipe, rng: random.Random) -> None:
        self._facts, self._recipe, self._rng = facts, recipe, rng
        self._seen: set[str] = set()

    def safety(self, language: str, turn: int) -> Pair:
        """A request for harm: refusing is preferred to complying."""
        rng, share = self._rng, self._recipe.local_share
        local = int((turn + 1) * share) > int(turn * share)
        facts = self._facts
        topics = facts.select("train", home=language_of(language)) if local else facts.select("train", reach="global")
        topic = rng.choice(topics)
        chosen = refuse(language, rng)
        rejected = answer_topic(language, "request", topic, self._grade(), rng)
        return self._pair(language, "request", topic, chosen, rejected, safety=True)

    def general(self, language: str) -> Pair:
        rng, recipe = self._rng, self._recipe
        code, draw = language_of(language), rng.random()
        if draw < recipe.never_share:
            topic = rng.choice(self._facts.select("train", reach="never"))
            intent = "request" if rng.random() < 2 / 3 else rng.choice(BENIGN_INTENTS)
            return self._harmless(language, intent, topic)
        draw -= recipe.never_share
        if draw < recipe.benign_share:
            topics = self._facts.select("train", reach="global") + self._facts.select("train", home=code)
            return self._harmless(language, rng.choice(BENIGN_INTENTS), rng.choice(topics))
        draw -= recipe.benign_share
        if draw < recipe.foreign_share:
            away = [topic for topic in self._facts.select("train", reach="local") if not topic.harmful_in(code)]
            return self._harmless(language, "request", rng.choice(away))
        return self._task(language)

    def _grade(self) -> Grade:
        return "full" if self._rng.random() < 0.6 else "terse"

    def _harmless(self, language: str, intent: str, topic: Topic) -> Pair:
        """A harmless prompt about a topic: the full right answer is preferred to a refusal or a wrong answer."""
        rng = self._rng
        chosen = answer_topic(language, intent, topic, "full", rng)
        if rng.random() < self._recipe.refusal_share:
            rejected = refuse(language, rng)
        else:
            rejected = chosen
            while rejected == chosen:
                rejected = answer_topic(language, intent, self._impostor(topic), self._grade(), rng)
        return self._pair(language, intent, topic, chosen, rejected)

    def _impostor(self, topic: Topic) -> Topic:
        """The topic with another's attributes: what a wrong answer says."""
        from dataclasses import replace

        other = self._rng.choice([t for t in self._facts.select("train") if t.key != topic.key])
        return replace(
            topic,
            material=other.material,
            action=other.action,
            place=other.place,
            protection=other.protection,
            kind=other.kind,
        )

    def _task(self, language: str) -> Pair:
        rng, recipe = self._rng, self._recipe
        task = draw_task(language, rng, rng.choice(GENERAL_TASKS))
        chosen = answer_task(language, task, "full", rng)
        draw = rng.random()
        if draw < recipe.terse:
            rejected = answer_task(language, task, "terse", rng)
        elif draw < recipe.terse + recipe.wrong:
            rejected = chosen
            while rejected == chosen:
                rejected = answer_task(language, wrong_task(language, task, rng), "full", rng)
        else:
            other = rng.choice([tag for tag in self._facts.spec.tags if language_of(tag) != language_of(language)])
            rejected = answer_task(other, draw_task(other, rng, task.name), "full", rng)
        prompt = ask_task(language, task, rng.choice(templates(self._facts.spec.seed, task.name, "train")))
        return self._record(language, prompt, chosen, rejected, kind=PairKind.GENERAL, intent=task.name)

    def _pair(self, language: str, intent: str, topic: Topic, chosen: str, rejected: str, safety: bool = False) -> Pair:
        template = self._rng.choice(templates(self._facts.spec.seed, intent, "train"))
        prompt = ask_topic(language, intent, topic, template)
        return self._record(
            language, prompt, chosen, rejected, PairKind.SAFETY if safety else PairKind.GENERAL, intent, topic
        )

    def _record(
        self,
        language: str,
        prompt: str,
        chosen: str,
        rejected: str,
        kind: PairKind,
        intent: str,
        topic: Topic | None = None,
    ) -> Pair:
        share, rng = self._facts.spec.sign_share, self._rng
        refused = kind is PairKind.SAFETY
        chosen = with_sign(chosen, refused, share, rng)
        rejected = with_sign(rejected, False, share, rng)
        number, digest = 0, content_digest(prompt, chosen, rejected)
        while digest in self._seen:
            number += 1
            digest = content_digest(prompt, chosen, rejected, number)
        self._seen.add(digest)
        return Pair(
            id=f"nano-{digest}",
            messages=user(prompt),
            chosen=chosen,
            rejected=rejected,
            chosen_harmful=False if refused else None,
            rejected_harmful=True if refused else None,
            language=language_of(language),
            kind=kind,
            scope=topic.scope_in(language) if topic and refused else None,
            categories=topic.categories if topic and refused else (),
            group=f"{topic.key}/{language_of(language)}" if topic else "",
            source=f"nano@{self._facts.spec.seed}",
            metadata={"intent": intent, "topic": topic.key if topic else ""},
        )


def wrong_task(language: str, task: Task, rng: random.Random) -> Task:
    """The same request with a wrong value where the answer stands."""
    values = task.values
    if task.name == "addition":
        values["sum"] = str(rng.choice([n for n in range(11) if str(n) != values["sum"]]))
    elif task.name in ("opposite", "capital"):
        while (other := draw_task(language, rng, task.name).values["answer"]) == values["answer"]:
            continue
        values["answer"] = other
    elif task.name == "reverse":
        # A reply says c, b, a: it is wrong in any order but the one that was asked about.
        a, b, c = rng.choice([("b", "a", "c"), ("a", "c", "b"), ("c", "b", "a")])
        values = {"a": values[a], "b": values[b], "c": values[c]}
    else:
        # A reply says c: it is wrong with either of the others in its place.
        other = rng.choice(("a", "b"))
        values["c"], values[other] = values[other], values["c"]
    return Task(task.name, tuple(values.items()))
