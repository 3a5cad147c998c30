"""What a study starts from: base, pairs and prompts, each with the digest that later steps depend on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignment_prism.domain import InputError, Pair, PairKind, Prompt, content_digest
from alignment_prism.studies.spec import NANO, StudySpec

if TYPE_CHECKING:
    from alignment_prism.nano import World


@dataclass(frozen=True, slots=True)
class Sources:
    """What a study starts from.

    Attributes:
        base: folder or Hub id of the base.
        base_digest: of its weights, or the id of a base on the Hub.
        safety: pairs for the safety share of mixtures.
        general: pairs for the rest.
        prompts: what every arm is evaluated on.
        world_note: what the nano lab says of itself, empty where it is not used.
    """

    base: str
    base_digest: str
    safety: Sequence[Pair]
    general: Sequence[Pair]
    prompts: Sequence[Prompt]
    world_note: str = ""

    @property
    def pairs_digest(self) -> str:
        """Of both pools."""
        return records_digest((*self.safety, *self.general))

    @property
    def prompts_digest(self) -> str:
        """Of the evaluation set."""
        return records_digest(self.prompts)


def load_sources(spec: StudySpec) -> Sources:
    """Read everything that the study starts from; trains and generates nothing.

    Raises:
        InputError: a file is not what it should be, or two prompts have one id.
        ModelError: the base that ships is not there.
    """
    base, base_digest = _base(spec)
    world = _world(spec) if spec.uses_nano else None
    safety, general = _pairs(spec, world)
    return Sources(base, base_digest, safety, general, _prompts(spec, world), world.describe() if world else "")


def records_digest(records: Iterable[Any]) -> str:
    """Of records in their order: SHA-256, 64 hexadecimal digits."""
    digest = sha256()
    for record in records:
        digest.update(content_digest(asdict(record)).encode())
    return digest.hexdigest()


def _base(spec: StudySpec) -> tuple[str, str]:
    from alignment_prism.models.weights import weights_digest

    if spec.base == NANO:
        from alignment_prism.models.shipped import shipped_base

        folder = shipped_base()
    elif Path(spec.base).is_dir():
        folder = Path(spec.base)
    else:
        return spec.base, f"hub:{spec.base}"
    return str(folder), weights_digest(folder)


def _world(spec: StudySpec) -> World:
    from alignment_prism.nano import world

    return world(base=None if spec.world == NANO else Path(spec.world))


def _pairs(spec: StudySpec, world: World | None) -> tuple[list[Pair], list[Pair]]:
    pools: tuple[list[Pair], list[Pair]] = ([], [])
    for pool, kind, files in zip(pools, PairKind, (spec.pairs.safety, spec.pairs.general), strict=True):
        for name in files:
            if name == NANO and world is not None:
                pool.extend(world.pairs()[0 if kind is PairKind.SAFETY else 1])
            else:
                from alignment_prism.preferences import read_pairs

                pool.extend(read_pairs(name, kind=kind))
    return pools


def _prompts(spec: StudySpec, world: World | None) -> list[Prompt]:
    if isinstance(spec.prompts, str):
        assert world is not None  # `uses_nano` is true where prompts are `nano`
        prompts = list(world.evaluation_prompts())
    else:
        from alignment_prism.prompts import read_prompts

        prompts = [
            prompt
            for entry in spec.prompts
            for prompt in read_prompts(
                entry.file, mapping=entry.map or None, defaults=entry.defaults or None, format_name=entry.format
            )
        ]
    seen: dict[str, Prompt] = {}
    for prompt in prompts:
        other = seen.setdefault(prompt.id, prompt)
        if other is not prompt:
            raise InputError(
                f"two prompts have the id {prompt.id!r}",
                where=f"{other.source or 'prompts'} and {prompt.source or 'prompts'}",
                fix="leave one of the files out, or give the prompts ids of their own",
            )
    return limited(prompts, spec.prompt_limit)


def limited(prompts: Sequence[Prompt], limit: int | None) -> list[Prompt]:
    """At most `limit` prompts of each kind, subset, scope and language, picked by their ids' digests."""
    if limit is None:
        return list(prompts)
    kept: set[str] = set()
    counts: dict[tuple[object, ...], int] = {}
    for prompt in sorted(prompts, key=lambda prompt: content_digest(prompt.id)):
        stratum = (prompt.kind, prompt.subset, prompt.scope, prompt.language)
        if counts.get(stratum, 0) < limit:
            counts[stratum] = counts.get(stratum, 0) + 1
            kept.add(prompt.id)
    return [prompt for prompt in prompts if prompt.id in kept]
