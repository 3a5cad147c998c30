"""What rounds of on-policy training take, before anything is done: upper bounds, reckoned as those of studies."""

from __future__ import annotations

from collections.abc import Callable

from alignment_prism.studies.judges import JudgeSpec
from alignment_prism.studies.prices import Prices
from alignment_prism.studies.reckoning import CHARACTERS, Estimate, computed, in_all_languages, learned, passes
from alignment_prism.studies.sources import Sources
from alignment_prism.studies.steps import KINDS, Step
from alignment_prism.studies.steps.ask import ASK
from alignment_prism.studies.synthesis.estimate import INSTRUCTIONS, VERDICT
from alignment_prism.training.methods import find_method


def of_round(step: Step, sources: Sources, prices: Prices, parameters: Callable[[str], int]) -> list[Estimate] | None:
    """What a step of a round takes, by model; None for every other step.

    Args:
        step: of a study.
        sources: of the study.
        prices: of GPU and tokens.
        parameters: folder or Hub id of a model on this machine -> its parameters, 0 where they are not known.
    """
    pairs = step.needs.get("mixture")
    asked = (pairs if pairs is not None and pairs.kind == "pairs" else step).needs.get("prompts")
    if asked is None or asked.kind != ASK.name:
        return None
    pool = [*sources.safety, *sources.general]
    length = sum(len(turn.content) for pair in pool for turn in pair.messages) // (CHARACTERS * max(len(pool), 1))
    count = asked.settings["prompts"] or asked.needs["mixture"].settings["total"] or len(pool)
    if step.kind == "train" and pairs is not None:
        most = pairs.needs["side:policy"].settings["max_tokens"]
        epochs = float(step.settings["recipe"].get("epochs", 1))
        tokens = count * pairs.settings["per_prompt"] * (length + 2 * most)
        base = str(step.options["base"])
        objective = find_method(step.settings["method"]).stages[-1].objective
        tokens += count * pairs.settings["per_prompt"] * length * (objective.examples_of_pair - 1)
        checkpointing = bool(step.options["training"].get("gradient_checkpointing"))
        work = tokens * passes(objective, epochs, checkpointing=checkpointing) * parameters(base)
        if objective.translated_at is not None:
            compared = count * pairs.settings["per_prompt"] * in_all_languages(pool) // (CHARACTERS * max(len(pool), 1))
            tokens += compared
            work += compared * learned(epochs, checkpointing=checkpointing) * parameters(base)
        return [computed("train in rounds", int(tokens * epochs), 0, work, prices.gpu, prices.gpu.training)]
    if step.kind == "reply":
        from alignment_prism.studies.steps.reply import REPLY

        calls, base = count * step.settings["samples"], REPLY.computes_with(step) or ""
        read, written = calls * length, calls * step.settings["max_tokens"]
        work = 2.0 * (read + written) * parameters(base)
        return [computed("replies of rounds", read, written, work, prices.gpu, prices.gpu.replies)]
    replies = step.needs.get("replies") or step.needs.get("side:policy")
    if step.kind not in ("rank", "score") or replies is None:
        return []
    most = replies.settings["max_tokens"]
    ranks = step.kind == "rank"
    calls = count * (2 * step.settings["couples"] if ranks else replies.settings["samples"])
    read, written = calls * (length + INSTRUCTIONS + (2 if ranks else 1) * most), calls * VERDICT
    if ranks:
        what, judges = "rank", [endpoint.billed_as for endpoint in KINDS["rank"].endpoints(step)]
    else:
        everyone = JudgeSpec.model_validate(step.options["judge"]).everyone
        what, judges = "judge", [one.billed_as for one in everyone]
    found = []
    for judge in judges:
        price = prices.of(judge)
        dollars = None if price is None else (read * price[0] + written * price[1]) / 1e6
        found.append(Estimate(f"{what} rounds by {judge}", 1, calls, read, written, 0.0, dollars, at_most=True))
    return found
