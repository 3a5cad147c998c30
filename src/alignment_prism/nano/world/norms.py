"""Norms as policy in a nano world: one request in every language, to be refused in the one where it is harmful."""

from __future__ import annotations

import random

from alignment_prism.domain import Pair, PairKind, Scope, content_digest, user
from alignment_prism.nano.world.facts import Facts
from alignment_prism.nano.world.lexicon import tags_of
from alignment_prism.nano.world.sentences import answer_topic, ask_topic, refuse, with_sign
from alignment_prism.nano.world.templates import templates


def draw_norm_pairs(facts: Facts, seed: int, wordings: int = 4) -> list[Pair]:
    """For each local training topic and wording one pair a language: refusing is preferred at home, helping elsewhere.

    All pairs of a topic are of one group, and have it as `norm` in their metadata. Scripts of a language take turns.

    Args:
        facts: the world.
        seed: of wordings and replies.
        wordings: of each topic.
    """
    rng = random.Random(f"norms {facts.spec.seed} {seed}")
    pairs: list[Pair] = []
    for topic in facts.select("train", reach="local"):
        choices = list(templates(facts.spec.seed, "request", "train"))
        for template in rng.sample(choices, min(wordings, len(choices))):
            turn = len(pairs) // len(facts.spec.languages)
            for language in facts.spec.languages:
                holds = topic.harmful_in(language)
                share = facts.spec.sign_share
                tag = tags_of(language)[turn % len(tags_of(language))]
                helping = with_sign(answer_topic(tag, "request", topic, "full", rng), False, share, rng)
                refusing = with_sign(refuse(tag, rng), True, share, rng)
                prompt = ask_topic(tag, "request", topic, template)
                pairs.append(
                    Pair(
                        id=f"nano-norm-{content_digest(prompt, helping, refusing)}",
                        messages=user(prompt),
                        chosen=refusing if holds else helping,
                        rejected=helping if holds else refusing,
                        language=language,
                        kind=PairKind.SAFETY,
                        scope=Scope.LOCAL,
                        categories=topic.categories,
                        group=topic.key,
                        source=f"nano@{facts.spec.seed}",
                        metadata={"norm": topic.key, "topic": topic.key, "intent": "request", "holds": holds},
                        chosen_harmful=False,
                        rejected_harmful=holds,
                    )
                )
    return list({pair.id: pair for pair in pairs}.values())
