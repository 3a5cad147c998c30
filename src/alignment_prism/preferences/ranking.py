"""From judged couples of replies to pairs: who won, which couples are pairs, and why the others are not.

A judge sees a couple in both orders. The two orders that agree are a verdict; two that do not are an inconsistency. A
panel decides by the majority of its members that have a verdict. What people say of a couple takes the place of what
judges say. Every couple stays as a row; by the rules it is a pair, or says why not.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from alignment_prism.domain import (
    Comparison,
    Generation,
    Outcome,
    Pair,
    PairKind,
    Prompt,
    PromptKind,
    Winner,
    content_digest,
)
from alignment_prism.domain.refusals import opens_with_refusal

PAIR = "pair"
TIE, INCONSISTENT, UNJUDGED = "tie", "inconsistent", "unjudged"
BAD_OUTCOMES = (Outcome.HARMFUL, Outcome.DEGENERATE, Outcome.WRONG_LANGUAGE)
"""What a preferred reply must not be."""

_KEPT = ("template", "rephrased_by", "order", "translations")
"""What pairs keep of the metadata of their prompts; of `translations`, methods learn that compare languages."""

HUMAN = "human:"
"""How the judge's name of a comparison by a person begins."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Which couples become pairs.

    Attributes:
        refusal_cap: largest share of refusals among the chosen replies of a language; those above it leave, by lot.
        per_prompt: most pairs of a prompt; the first couples in order.
    """

    refusal_cap: float = 0.8
    per_prompt: int = 1


@dataclass(frozen=True, slots=True)
class Decision:
    """One couple of replies to a prompt, and what became of it.

    Attributes:
        prompt_id: what they answer.
        seed_id: the seed that the prompt descends from.
        language: code.
        a, b: the two candidates, `side/sample`.
        a_model, b_model: who wrote them.
        verdict: `a`, `b`, `tie`, `inconsistent` or `unjudged`.
        judges: who judged, with the verdict of each: `openai/gpt-4o: a`.
        by: `judge`, `panel` or `human`.
        status: `pair`, or why it is none.
        chosen_refuses: whether the preferred reply declines.
    """

    prompt_id: str
    seed_id: str
    language: str
    a: str
    b: str
    a_model: str
    b_model: str
    verdict: str
    judges: tuple[str, ...]
    by: str
    status: str
    chosen_refuses: bool | None = None

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), "judges": list(self.judges)}


Couple = tuple[Generation, Generation]


def candidate_name(generation: Generation) -> str:
    """`side/sample`, by which comparisons and decisions name a reply."""
    return f"{generation.arm}/{generation.sample}"


def couples(candidates: Sequence[Generation], most: int, *, seed: int = 0) -> list[Couple]:
    """Couples of different replies to one prompt: of two sides before those of one, then by lot; at most so many.

    Of replies that say the same the first counts, so that no couple is there twice.
    """
    found: list[tuple[bool, str, Couple]] = []
    there = list({one.reply.strip(): one for one in reversed(candidates) if one.reply.strip()}.values())[::-1]
    for number, one in enumerate(there):
        for other in there[number + 1 :]:
            lot = content_digest("couple", seed, one.prompt_id, candidate_name(one), candidate_name(other))
            found.append((one.arm == other.arm, lot, (one, other)))
    return [couple for _, _, couple in sorted(found, key=lambda entry: entry[:2])[:most]]


def verdict_of(orders: Sequence[Comparison]) -> str:
    """What one judge says of a couple: `a` is the candidate of the comparisons."""
    said = [one.winner for one in orders]
    if len(said) < 2 or Winner.UNJUDGED in said:
        return UNJUDGED
    if len(set(said)) > 1:
        return INCONSISTENT
    return {Winner.WIN: "a", Winner.LOSS: "b"}.get(said[0], TIE)


def panel_verdict(verdicts: Sequence[str]) -> str:
    """The majority among members that have a verdict; none decides without more than half of them."""
    decided = [one for one in verdicts if one in ("a", "b", TIE)]
    if not decided:
        return INCONSISTENT if INCONSISTENT in verdicts else UNJUDGED
    (first, count), *_ = Counter(decided).most_common()
    return first if 2 * count > len(decided) else TIE


def decide(
    prompts: Sequence[Prompt],
    candidates: Sequence[Generation],
    comparisons: Sequence[Comparison],
    labels: Sequence[Comparison] = (),
    outcomes: Mapping[str, Outcome] | None = None,
    rules: Rules = Rules(),
) -> tuple[list[Decision], list[Pair]]:
    """Decisions on every couple that was compared, in the order of the prompts, and the pairs among them.

    Args:
        prompts: that were answered.
        candidates: the replies; `candidate_name` of each is the arm that comparisons name.
        comparisons: by judges, both orders.
        labels: by people, of couples in either direction, that judges compared or not; the last one of a couple counts.
        outcomes: digest of a reply -> its outcome, as far as somebody judged it alone; pairs say which of their replies
            do harm by it.
        rules: which couples are pairs.
    """
    outcomes = outcomes or {}
    reply = {(one.prompt_id, candidate_name(one)): one for one in candidates}
    human = _by_people(labels)
    of_couple: dict[tuple[str, str, str], dict[str, list[Comparison]]] = {}
    for one in comparisons:
        of_judge = of_couple.setdefault((one.prompt_id, one.arm, one.opponent), {})
        of_judge.setdefault(one.judge, []).append(one)
    for prompt_id, a, b in human:  # couples that no judge compared
        known = (prompt_id, a) in reply and (prompt_id, b) in reply
        if known and (prompt_id, a, b) not in of_couple and (prompt_id, b, a) not in of_couple:
            of_couple[prompt_id, a, b] = {}
    of_prompt: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for key in of_couple:
        of_prompt[key[0]].append(key)
    decisions: list[Decision] = []
    drafts: list[tuple[int, Pair]] = []
    for prompt in prompts:
        taken = 0
        for key in of_prompt[prompt.id]:
            _, a, b = key
            sides = reply[prompt.id, a], reply[prompt.id, b]
            said = {judge: verdict_of(orders) for judge, orders in of_couple[key].items()}
            verdict = next(iter(said.values())) if len(said) == 1 else panel_verdict(list(said.values()))
            by = "judge" if len(said) == 1 else "panel"
            if (prompt.id, a, b) in human:
                verdict, by = human[prompt.id, a, b], "human"
            status, refuses = _status(prompt, sides, verdict, outcomes, taken, rules)
            judges = tuple(f"{judge}: {word}" for judge, word in said.items())
            seed_id = str(prompt.metadata.get("seed_id") or prompt.id)
            models = sides[0].model, sides[1].model
            decision = Decision(
                prompt.id, seed_id, prompt.language, a, b, *models, verdict, judges, by, status, refuses
            )
            if status == PAIR:
                taken += 1
                drafts.append((len(decisions), _pair(prompt, sides, decision, outcomes)))
            decisions.append(decision)
    return _capped(decisions, drafts, rules.refusal_cap)


def _by_people(labels: Sequence[Comparison]) -> dict[tuple[str, str, str], str]:
    found = {}
    words = {Winner.WIN: ("a", "b"), Winner.LOSS: ("b", "a"), Winner.TIE: (TIE, TIE)}
    for one in labels:
        if one.winner in words:
            forward, backward = words[one.winner]
            found[one.prompt_id, one.arm, one.opponent] = forward
            found[one.prompt_id, one.opponent, one.arm] = backward
    return found


def _status(
    prompt: Prompt, sides: Couple, verdict: str, outcomes: Mapping[str, Outcome], taken: int, rules: Rules
) -> tuple[str, bool | None]:
    if verdict not in ("a", "b"):
        return verdict, None
    chosen = sides[0] if verdict == "a" else sides[1]
    outcome = outcomes.get(chosen.reply_digest)
    judged = outcome not in (None, Outcome.UNJUDGED, Outcome.NOT_HARMFUL)
    refuses = outcome is Outcome.REFUSAL if judged else opens_with_refusal(chosen.reply)
    if outcome is not None and outcome in BAD_OUTCOMES:
        return f"the preferred reply is judged {outcome.value.replace('_', ' ')}", refuses
    if taken >= rules.per_prompt:
        return "the prompt has its pairs", refuses
    return PAIR, refuses


def _pair(prompt: Prompt, sides: Couple, decision: Decision, outcomes: Mapping[str, Outcome]) -> Pair:
    chosen, rejected = sides if decision.verdict == "a" else sides[::-1]
    about = {
        "seed_id": decision.seed_id,
        "chosen_model": chosen.model,
        "rejected_model": rejected.model,
        "chosen_side": candidate_name(chosen),
        "rejected_side": candidate_name(rejected),
        "chosen_temperature": chosen.temperature,
        "rejected_temperature": rejected.temperature,
        "chosen_seed": chosen.seed,
        "rejected_seed": rejected.seed,
        "decided_by": decision.by,
        "judges": list(decision.judges),
        **{name: prompt.metadata[name] for name in _KEPT if name in prompt.metadata},
    }
    return Pair(
        id=content_digest("pair", prompt.id, chosen.reply, rejected.reply),
        messages=prompt.messages,
        chosen=chosen.reply,
        rejected=rejected.reply,
        language=prompt.language,
        kind=PairKind.SAFETY if prompt.kind is PromptKind.HARMFUL else PairKind.GENERAL,
        scope=prompt.scope,
        categories=prompt.categories,
        group=prompt.cluster,
        source=prompt.source,
        metadata=about,
        chosen_harmful=_does_harm(outcomes.get(chosen.reply_digest)),
        rejected_harmful=_does_harm(outcomes.get(rejected.reply_digest)),
    )


def _does_harm(outcome: Outcome | None) -> bool | None:
    """Whether a reply that was judged alone does harm; None where nobody could say."""
    return None if outcome in (None, Outcome.UNJUDGED) else outcome is Outcome.HARMFUL


def _capped(
    decisions: list[Decision], drafts: Sequence[tuple[int, Pair]], cap: float
) -> tuple[list[Decision], list[Pair]]:
    """Without the refusals that are too many: beside n helpful chosen replies of a language n cap / (1 - cap) stay."""
    helpful: Counter[str] = Counter()
    refusing: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for number, pair in drafts:
        if decisions[number].chosen_refuses:
            refusing[pair.language].append((content_digest("cap", pair.id), number))
        else:
            helpful[pair.language] += 1
    out: set[int] = set()
    for language, found in refusing.items():
        most = len(found) if cap >= 1 else int(helpful[language] * cap / (1 - cap) + 1e-9)
        out |= {number for _, number in sorted(found)[most:]}
    for number in out:
        decisions[number] = replace(decisions[number], status="refusals above the cap")
    return decisions, [pair for number, pair in drafts if number not in out]


def summary(decisions: Sequence[Decision], pairs: Sequence[Pair], labels: Sequence[Comparison] = ()) -> dict[str, Any]:
    """Counts by status, verdict and language, the share of refusals among chosen replies, and labels that were used."""
    refusals: dict[str, Any] = {}
    kept = [one for one in decisions if one.status == PAIR]
    for language in sorted({one.language for one in kept}):
        here = [bool(one.chosen_refuses) for one in kept if one.language == language]
        refusals[language] = round(sum(here) / len(here), 4)
    return {
        "couples": len(decisions),
        "pairs": len(pairs),
        "status": dict(Counter(one.status for one in decisions).most_common()),
        "verdicts": dict(Counter(one.verdict for one in decisions).most_common()),
        "decided_by": dict(Counter(one.by for one in decisions).most_common()),
        "languages": dict(sorted(Counter(pair.language for pair in pairs).items())),
        "chosen_refusals": refusals,
        "labels": {
            "couples": len({(one.prompt_id, frozenset((one.arm, one.opponent))) for one in labels}),
            "used": sum(one.by == "human" for one in decisions),
        },
    }
