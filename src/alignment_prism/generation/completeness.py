"""Replies that were generated elsewhere or earlier: do they answer these prompts, all of them, and each once?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from alignment_prism.domain.errors import InputError
from alignment_prism.domain.records import Generation, Prompt

_SHOWN = 5


def check_generations(
    prompts: Sequence[Prompt], generations: Sequence[Generation], *, where: str | None = None
) -> dict[str, int]:
    """Check that every arm answers every prompt with the same number of samples, and nothing else.

    A rate over replies that are only partly there is a rate over other prompts, so nothing is dropped or filled in.

    Args:
        prompts: what was asked; ids must differ.
        generations: what was answered, of one arm or of several.
        where: the file, for errors.

    Returns:
        Number of replies per prompt (k) of each arm.

    Raises:
        InputError: prompts share an id; a reply belongs to no prompt; a prompt has no reply, fewer or more than the
            others; two replies are of the same prompt, arm and sample.
    """
    known = Counter(prompt.id for prompt in prompts)
    _refuse(
        [key for key, count in known.items() if count > 1],
        "prompt id(s) occur more than once",
        where,
        "give every prompt its own id",
    )
    unknown_ids = {generation.prompt_id for generation in generations} - known.keys()
    _refuse(
        sorted(unknown_ids),
        "prompt id(s) of replies are not among the prompts",
        where,
        "give the prompts file that the replies were generated from",
    )
    if not generations:
        raise InputError("there are no replies", where=where, fix="generate replies first: prism generate")
    keys = Counter((generation.arm, generation.prompt_id, generation.sample) for generation in generations)
    twice = [f"{prompt_id} (arm {arm}, sample {sample})" for (arm, prompt_id, sample), n in keys.items() if n > 1]
    _refuse(twice, "repl(ies) occur more than once", where, "keep one reply for each prompt, arm and sample")
    samples: dict[str, int] = {}
    for arm in dict.fromkeys(generation.arm for generation in generations):
        counts = Counter(prompt_id for name, prompt_id, _ in keys if name == arm)
        k = _wanted(counts)
        _refuse(
            [prompt_id for prompt_id, count in counts.items() if count > k],
            f"prompt(s) have more than one reply of arm {arm!r}, where most have one",
            where,
            "take out the rows that are there twice, or leave those prompts out",
            {"keep_going": "True"},
        )
        missing = [prompt.id for prompt in prompts if counts[prompt.id] < k]
        _refuse(
            missing,
            f"prompt(s) lack a reply of arm {arm!r}",
            where,
            f"generate {k} repl{'y' if k == 1 else 'ies'} for every prompt, or leave those prompts out",
            {"keep_going": "True"},
        )
        samples[arm] = k
    return samples


def answered(prompts: Sequence[Prompt], generations: Sequence[Generation]) -> tuple[list[Prompt], list[Generation]]:
    """The prompts to which every arm has all its replies, and those replies; for who leaves the rest out knowingly.

    Every arm is then evaluated on the same prompts, which are fewer than were meant: say how many.
    """
    keys = Counter((generation.arm, generation.prompt_id) for generation in generations)
    arms: dict[str, Counter[str]] = {}
    for (arm, prompt_id), count in keys.items():
        arms.setdefault(arm, Counter())[prompt_id] = count
    samples = {arm: _wanted(counts) for arm, counts in arms.items()}
    kept = [p for p in prompts if all(keys[arm, p.id] == count for arm, count in samples.items())]
    ids = {prompt.id for prompt in kept}
    return kept, [generation for generation in generations if generation.prompt_id in ids]


def _wanted(counts: Counter[str]) -> int:
    """Replies that each prompt should have: one where most have one, since the others are then rows that a table has
    twice, and else as many as any has."""
    ones = sum(count == 1 for count in counts.values())
    return 1 if 2 * ones > len(counts) else max(counts.values())


def _refuse(
    offenders: Sequence[str], what: str, where: str | None, fix: str, settings: Mapping[str, str] | None = None
) -> None:
    if offenders:
        shown = ", ".join(offenders[:_SHOWN]) + (", ..." if len(offenders) > _SHOWN else "")
        raise InputError(f"{len(offenders)} {what}: {shown}", where=where, fix=fix, settings=settings or {})
