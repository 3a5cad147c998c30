"""Seeds, training and evaluation: splits by group, so that nothing of one part is known from another.

A prompt, its translations, its rephrasings (one `group`) and its near-duplicates stay together. Splitting happens
before anything is made from the seeds (the paper rephrases 100 seeds a language, arXiv 2406.18682).
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from alignment_prism.domain import InputError, Prompt, content_digest
from alignment_prism.domain.progress import Progress
from alignment_prism.io import write_json, write_records
from alignment_prism.prompts.overlap import THRESHOLD, Match, connected, near_duplicates
from alignment_prism.statistics.apportion import apportion
from alignment_prism.store.names import manifest_beside

PARTS = ("seed", "train", "eval")
"""Parts that the package knows; others may be named."""

REST = "rest"
"""The share of a part that takes what is left."""


@dataclass(frozen=True, slots=True)
class Split:
    """Prompts with their part in `Prompt.split`, in the order they came, and how they were divided.

    Attributes:
        prompts: all of them.
        manifest: seed, shares, threshold, counts by part, language and scope, and the part of every prompt.
    """

    prompts: tuple[Prompt, ...]
    manifest: dict[str, Any]


def split_prompts(
    prompts: Sequence[Prompt],
    parts: Mapping[str, float | str],
    *,
    seed: int,
    threshold: float = THRESHOLD,
    n: int = 5,
    progress: Progress = lambda *_: None,
) -> Split:
    """Divides prompts into parts, language by language and scope by scope.

    Whole groups are dealt out, the largest first, to the part that lacks most of that group's strata; so the counts
    are as near to what was asked for as groups allow, and exact where every prompt stands alone.

    Args:
        prompts: the set; ids must differ.
        parts: name to share: a number below 1 is a share of each language, a number from 1 a count in each language,
            `rest` what is left (for one part at most). Shares without a `rest` must add up to 1.
        seed: of the order in which groups are dealt out.
        threshold: near-duplicates from this similarity stay together.
        n: characters of an n-gram.
        progress: as of `near_duplicates`.

    Raises:
        InputError: a language has too few prompts for the counts, shares do not add up, an id occurs twice, or so many
            prompts are alike that nothing is left for a part.
    """
    wanted = _wanted(prompts, parts)
    alike = near_duplicates(prompts, threshold=threshold, n=n, progress=progress)
    component = connected((prompt.id for prompt in prompts), ((match.one, match.other) for match in alike))
    groups: dict[str, list[Prompt]] = defaultdict(list)
    for prompt in prompts:
        groups[component[prompt.id]].append(prompt)
    rng = random.Random(f"split:{seed}")
    order = sorted(groups)
    rng.shuffle(order)
    order.sort(key=lambda name: -len(groups[name]))
    part_of: dict[str, str] = {}
    lacking = {part: dict(strata) for part, strata in wanted.items()}
    for name in order:
        need = Counter(map(_stratum, groups[name]))
        # Ties are broken by the part that lacks most altogether, then by name: no lot, so that counts stay exact.
        best = max(
            sorted(lacking),
            key=lambda part: (
                sum(min(count, lacking[part].get(stratum, 0.0)) for stratum, count in need.items()),
                sum(lacking[part].values()),
            ),
        )
        for stratum, count in need.items():
            lacking[best][stratum] = lacking[best].get(stratum, 0.0) - count
        for prompt in groups[name]:
            part_of[prompt.id] = best
    _require_some(wanted, part_of, groups)
    divided = tuple(replace(prompt, split=part_of[prompt.id]) for prompt in prompts)
    return Split(divided, _manifest(divided, parts, seed, threshold, n, groups))


def _require_some(
    wanted: Mapping[str, Mapping[tuple[str, str], float]],
    part_of: Mapping[str, str],
    groups: Mapping[str, Sequence[Prompt]],
) -> None:
    """Refuse parts that were to have prompts and have none."""
    for part, strata in wanted.items():
        asked = int(sum(strata.values()))
        if asked and part not in part_of.values():
            together = [len(members) for members in groups.values() if len(members) > 1]
            raise InputError(
                f"no prompt is left for {part!r}, which was to have {asked}: {sum(together)} of {len(part_of)} prompts "
                f"are kept together, the most of them {max(together, default=1)}",
                fix="let prompts be more alike before they are kept together, or add others",
                settings={"threshold": "0.9"},
            )


def _stratum(prompt: Prompt) -> tuple[str, str]:
    return prompt.language, prompt.scope.value if prompt.scope else "none"


def _wanted(prompts: Sequence[Prompt], parts: Mapping[str, float | str]) -> dict[str, dict[tuple[str, str], float]]:
    """How many prompts of each stratum each part is to have; whole numbers that add up to what is there."""
    if not prompts:
        raise InputError("no prompts to split", fix="give at least one")
    rests = [name for name, share in parts.items() if share == REST]
    if len(rests) > 1:
        raise InputError(f"{' and '.join(rests)} both take the rest", fix="let one part take the rest")
    if not parts or any(isinstance(share, str) and share != REST for share in parts.values()):
        raise InputError("parts without a share", fix="write for example seed=100,train=0.5,eval=rest")
    numbers = {name: float(share) for name, share in parts.items() if share != REST}
    if any(number <= 0 or number != number for number in numbers.values()):
        raise InputError("a share that is not above 0", fix="write for example seed=100,train=0.5,eval=rest")
    if any(number >= 1 and number != int(number) for number in numbers.values()):
        raise InputError("a count that is not whole", fix="write a share below 1 or a whole number")
    if not rests and max(numbers.values()) < 1 and abs(sum(numbers.values()) - 1) > 1e-9:
        raise InputError(
            f"the shares add up to {sum(numbers.values()):.4g}, not 1",
            fix="change one, or let a part take the rest: eval=rest",
        )
    by_language: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for prompt in prompts:
        by_language[prompt.language][_stratum(prompt)] += 1
    wanted: dict[str, dict[tuple[str, str], float]] = {name: {} for name in parts}
    for language, strata in sorted(by_language.items()):
        total = sum(strata.values())
        sizes = {name: number if number >= 1 else round(number * total) for name, number in numbers.items()}
        left = total - sum(sizes.values())
        if left < 0:
            raise InputError(
                f"{language} has {total} prompts, and the parts ask for {int(sum(sizes.values()))}",
                fix="ask for fewer, or add prompts of that language",
            )
        if rests:
            sizes[rests[0]] = left
        elif abs(left) > len(parts):
            raise InputError(
                f"the parts leave {int(left)} of {total} prompts of {language} without a part",
                fix="add a part that takes the rest, for example eval=rest",
            )
        else:
            last = list(numbers)[-1]
            sizes[last] += left
        for name, size in sizes.items():
            for stratum, quota in apportion(int(size), strata).items():
                wanted[name][stratum] = quota
    return wanted


def write_split(split: Split, out: str | Path) -> None:
    """Write prompts with their part to `out`, and the manifest beside it.

    Raises:
        StoreError: one cannot be written.
    """
    write_records(out, split.prompts, Prompt)
    write_json(manifest_beside(str(out)), split.manifest)


def check_parts(
    prompts: Sequence[Prompt], *, threshold: float = THRESHOLD, n: int = 5, progress: Progress = lambda *_: None
) -> Counter[str]:
    """Check that the parts that prompts name share nothing.

    Returns:
        How many prompts each part has.

    Raises:
        InputError: no prompt names a part, or as `check_leaks`.
    """
    parts = Counter(prompt.split for prompt in prompts)
    if set(parts) <= {""}:
        fix = "say which column names it, or split the prompts first"
        raise InputError("no prompt names a part", fix=fix, settings={"mapping": "split=COLUMN"})
    check_leaks(prompts, threshold=threshold, n=n, progress=progress)
    return parts


def check_leaks(
    prompts: Sequence[Prompt], *, threshold: float = THRESHOLD, n: int = 5, progress: Progress = lambda *_: None
) -> None:
    """Makes sure that no two parts share a prompt, a group or a near-duplicate.

    Raises:
        InputError: they do; shows both rows of the first leaks by id, part, language and similarity, never by text.
    """
    part_of = {prompt.id: prompt.split for prompt in prompts}
    alike = near_duplicates(prompts, threshold=threshold, n=n, progress=progress)
    if leaks := [match for match in alike if part_of[match.one] != part_of[match.other]]:
        raise _leak_error(leaks, part_of)


def _leak_error(leaks: Sequence[Match], parts: Mapping[str, str], shown: int = 10) -> InputError:
    """The error that a leak is, with both rows of the worst ones."""
    worst = sorted(leaks, key=lambda match: (-match.similarity, match.one, match.other))[:shown]
    lines = []
    for match in worst:
        one, other = (f"{parts[name]}:{name}" if parts.get(name) else name for name in (match.one, match.other))
        lines.append(
            f"{one} ({match.languages[0]}) and {other} ({match.languages[1]}): {match.how} {match.similarity:.2f}"
        )
    more = f"\n  and {len(leaks) - shown} more" if len(leaks) > shown else ""
    return InputError(
        f"{len(leaks)} leak{'s' if len(leaks) != 1 else ''}:\n  " + "\n  ".join(lines) + more,
        fix="put both rows of each into one part (splitting them together does), or take one of them out",
    )


def _manifest(
    prompts: Sequence[Prompt],
    parts: Mapping[str, float | str],
    seed: int,
    threshold: float,
    n: int,
    groups: Mapping[str, Sequence[Prompt]],
) -> dict[str, Any]:
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for prompt in prompts:
        language, scope = _stratum(prompt)
        cell = counts.setdefault(prompt.split, {}).setdefault(language, {})
        cell[scope] = cell.get(scope, 0) + 1
    return {
        "seed": seed,
        "parts": dict(parts),
        "threshold": threshold,
        "n": n,
        "groups": len(groups),
        "grouped_prompts": sum(len(members) for members in groups.values() if len(members) > 1),
        "counts": counts,
        "digest": content_digest([[prompt.id, prompt.split] for prompt in prompts]),
        "sources": dict(sorted(Counter(prompt.source for prompt in prompts).items())),
        "prompts": [{"id": prompt.id, "split": prompt.split, "source": prompt.source} for prompt in prompts],
    }
