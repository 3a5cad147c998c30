"""What a study starts from, read before there is a plan: models, pairs, prompts, and what is there already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from alignment_prism.domain import (
    LANGUAGES,
    Comparison,
    Generation,
    InputError,
    Languages,
    Pair,
    PairKind,
    Prompt,
    Score,
    content_digest,
)
from alignment_prism.io import Intake, read_records
from alignment_prism.models.names import ModelRef, resolve
from alignment_prism.models.weights import named_digest
from alignment_prism.scoring.prompt_language import check_prompt_languages
from alignment_prism.studies.arms import ModelArm, RepliesArm
from alignment_prism.studies.spec import NANO, PromptFile, StudySpec
from alignment_prism.training.methods import find_method

if TYPE_CHECKING:
    from alignment_prism.nano import World
    from alignment_prism.studies.synthesis.plan import BuildSources
    from alignment_prism.studies.synthesis.spec import BuildSpec


@dataclass(frozen=True, slots=True)
class Sources:
    """What a study starts from.

    Attributes:
        prompts: what every arm is evaluated on.
        models: name of a model that exists (base among them) -> what its name stands for.
        digests: the same name -> digest of the model.
        replies: name of an arm of stored replies -> the replies, under that name.
        safety: pairs for the safety share of mixtures.
        general: pairs for the rest.
        scores: that are there already.
        comparisons: that are there already.
        world_note: what the nano lab says of itself, empty where it is not used.
        left_out: what was left out knowingly, one line each.
        build: of pairs that the study makes first: its spec, and what it starts from.
        language_notes: what is said of prompts that seem to be in another language than they say.
        misplaced: how many pairs of the general pool say that they are safety pairs.
    """

    prompts: Sequence[Prompt]
    models: Mapping[str, ModelRef] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    replies: Mapping[str, Sequence[Generation]] = field(default_factory=dict)
    safety: Sequence[Pair] = ()
    general: Sequence[Pair] = ()
    scores: Sequence[Score] = ()
    comparisons: Sequence[Comparison] = ()
    world_note: str = ""
    left_out: tuple[str, ...] = ()
    build: tuple[BuildSpec, BuildSources] | None = None
    language_notes: tuple[str, ...] = ()
    misplaced: int = 0


def load_sources(spec: StudySpec) -> Sources:
    """Read everything that the study starts from; trains, generates and fetches nothing but sets of prompts.

    Args:
        spec: of the study.

    Raises:
        InputError: a file is not what it should be, a prompt does not say its kind, two prompts have one id, or stored
            replies do not fit the prompts.
        ModelError: a model is not there, or cannot be had.
    """
    models = {arm.name: _model(spec, arm) for arm in spec.existing if isinstance(arm, ModelArm)}
    world = _world(spec) if spec.uses_nano else None
    safety, general, misplaced = _pairs(spec, world) if spec.needs_pairs else ([], [], 0)
    intake = Intake()
    everything = _prompts(spec, world, intake)
    said = [] if spec.uses_nano_prompts else check_prompt_languages(everything, _languages(spec))
    if spec.translate is not None:
        everything = _tasks(spec, everything)
    asked = limited(_of_kinds(spec, everything), spec.prompt_limit)
    prompts, replies, left_out = _stored(spec, everything, asked)
    scores = [score for file in spec.scores for score in read_records(file, Score)]
    if spec.scores and len(replies) == len(spec.existing) and not spec.trained:
        _check_scores(spec, replies, scores)
    return Sources(
        prompts,
        models,
        {name: named_digest(model) for name, model in models.items()},
        replies,
        safety,
        general,
        scores,
        [one for file in spec.comparisons for one in read_records(file, Comparison)],
        world.describe() if world else "",
        (*_unknown_languages(intake), *left_out),
        _build(spec, prompts) if spec.trained and spec.pairs.build else None,
        tuple(said),
        misplaced,
    )


def _build(spec: StudySpec, prompts: Sequence[Prompt]) -> tuple[BuildSpec, BuildSources]:
    """The build that the study starts from; nothing in it may be near the study's prompts."""
    from alignment_prism.studies.synthesis.loading import load_build
    from alignment_prism.studies.synthesis.plan import load_build_sources

    assert spec.pairs.build is not None
    build = load_build(spec.pairs.build)
    return build, load_build_sources(build, prompts)


def _tasks(spec: StudySpec, sentences: Sequence[Prompt]) -> list[Prompt]:
    """Translation tasks of parallel sentences."""
    from alignment_prism.prompts.translation_tasks import translation_prompts

    assert spec.translate is not None
    return translation_prompts(sentences, spec.translate.pivot, limit=spec.prompt_limit, languages=_languages(spec))


def _languages(spec: StudySpec) -> Languages:
    """The languages that the spec knows, its own file's included."""
    from alignment_prism.io.languages import read_languages

    return read_languages(spec.languages) if spec.languages else LANGUAGES


def _of_kinds(spec: StudySpec, prompts: Sequence[Prompt]) -> list[Prompt]:
    """The prompts that are asked.

    Raises:
        InputError: none is of the kinds that the spec names.
    """
    kept = [prompt for prompt in prompts if not spec.kinds or prompt.kind in spec.kinds]
    if prompts and not kept:
        there = ", ".join(sorted({prompt.kind.value for prompt in prompts}))
        raise InputError(
            f"none of {len(prompts)} prompts is of the kind {' or '.join(spec.kinds)}; they are {there}",
            fix="give prompts of that kind; where rows do not say theirs, say which it is",
            settings={"mapping": "kind=COLUMN", "kind": spec.kinds[0].value},
        )
    return kept


def fetch_models(sources: Sources) -> Sources:
    """The sources with every model of the Hub in the cache, so that its commit is known and stands in its digest.

    Raises:
        ModelError: the Hub does not give one.
    """
    missing = {name: model for name, model in sources.models.items() if not model.is_fetched}
    for model in missing.values():
        model.folder()
    return replace(
        sources, digests={**sources.digests, **{name: named_digest(model) for name, model in missing.items()}}
    )


def limited(prompts: Sequence[Prompt], limit: int | None) -> list[Prompt]:
    """At most `limit` prompts of each kind, subset, scope and language, picked by their ids' digests.

    The same prompts are picked whatever their order, and those of a smaller limit are among those of a larger one.
    """
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


def _model(spec: StudySpec, arm: ModelArm) -> ModelRef:
    """What an arm's model stands for; a base that is trained runs on this machine, whatever its name."""
    return resolve(arm.model, local=any(spec.base_of(other) is arm for other in spec.trained))


def _world(spec: StudySpec) -> World:
    from alignment_prism.nano import world

    return world(base=None if spec.world == NANO else Path(spec.world))


def _pairs(spec: StudySpec, world: World | None) -> tuple[list[Pair], list[Pair], int]:
    """Both pools, and how many pairs of the general one say that they belong into the other."""
    pools: tuple[list[Pair], list[Pair]] = ([], [])
    misplaced = 0
    drawn = _drawn(spec, world) if world is not None and NANO in (*spec.pairs.safety, *spec.pairs.general) else None
    for pool, kind, files in zip(pools, PairKind, (spec.pairs.safety, spec.pairs.general), strict=True):
        for name in files:
            if name == NANO and drawn is not None:
                pool.extend(drawn[0 if kind is PairKind.SAFETY else 1])
            else:
                from alignment_prism.preferences.pairs import SAYS_SAFETY, read_pairs

                intake = Intake()
                pool.extend(read_pairs(name, kind=kind, intake=intake))
                misplaced += intake.notes[SAYS_SAFETY]
    return *pools, misplaced


def _drawn(spec: StudySpec, world: World) -> tuple[list[Pair], list[Pair]]:
    """The lab's pairs, their prompts in all languages where a method reads them so."""
    from alignment_prism.nano.translations import with_translations

    safety, general = world.pairs()
    stages = (stage for arm in spec.trained for stage in find_method(arm.method).stages)
    if not any(stage.objective.translated_at for stage in stages):
        return safety, general
    return with_translations(safety, world.facts), with_translations(general, world.facts)


def _prompts(spec: StudySpec, world: World | None, intake: Intake) -> list[Prompt]:
    if isinstance(spec.prompts, str):
        assert world is not None  # `uses_nano` is true where prompts are `nano`
        prompts = list(world.evaluation_prompts())
    else:
        from alignment_prism.prompts import load_prompts

        languages = _languages(spec)
        prompts = [
            prompt
            for entry in spec.prompts
            for prompt in _of_part(
                entry,
                load_prompts(
                    entry.file,
                    mapping=entry.map or None,
                    defaults=entry.defaults or None,
                    format_name=entry.format,
                    languages=languages,
                    intake=intake,
                ),
            )
        ]
        if not prompts:
            files = ", ".join(entry.file for entry in spec.prompts)
            raise InputError("no prompts", where=files, fix="check that the file is the right one and not empty")
    seen: dict[str, Prompt] = {}
    for prompt in prompts:
        other = seen.setdefault(prompt.id, prompt)
        if other is not prompt:
            raise InputError(
                f"two prompts have the id {prompt.id!r}",
                where=f"{other.source or 'prompts'} and {prompt.source or 'prompts'}",
                fix="leave one of the files out, or give the prompts ids of their own",
            )
    return prompts


def _of_part(entry: PromptFile, prompts: Sequence[Prompt]) -> list[Prompt]:
    """The prompts of the part of a split that an entry names; all where it names none.

    Raises:
        InputError: none is of that part.
    """
    if entry.part is None:
        return list(prompts)
    kept = [prompt for prompt in prompts if prompt.split == entry.part]
    if prompts and not kept:
        there = ", ".join(sorted({prompt.split or "(none)" for prompt in prompts}))
        what = f"no prompt is of the part {entry.part!r}; there are {there}"
        raise InputError(what, where=entry.file, fix="name one of these, or split the prompts: prism prompts split")
    return kept


def _unknown_languages(intake: Intake) -> list[str]:
    """Prompts that a published set has in languages that are not known here."""
    counts = intake.unknown_languages.items()
    return [f"{count} prompts in {code!r}, a language that is not known" for code, count in counts]


def _stored(
    spec: StudySpec, everything: Sequence[Prompt], asked: Sequence[Prompt]
) -> tuple[list[Prompt], dict[str, list[Generation]], tuple[str, ...]]:
    """The prompts that count, the stored replies to them, arm by arm, and what was left out."""
    from alignment_prism.generation import answered, read_generations

    arms = [arm for arm in spec.existing if isinstance(arm, RepliesArm)]
    unknown: dict[str, list[str]] = {}
    stored: dict[str, list[Generation]] = {}
    for arm in arms:
        places: list[str] = []
        found = read_generations(
            arm.replies,
            everything,
            arm=arm.arm or arm.name,
            mapping=arm.map,
            asked=asked,
            left_out=places if spec.keep_going else None,
        )
        unknown[str((arm.replies, arm.map))] = places  # a file of several arms is read for each of them
        stored[arm.name] = [replace(reply, arm=arm.name) for reply in _of_arm(arm, found)]
    prompts = list(asked)
    left_out = []
    if spec.keep_going and arms:
        prompts, kept = answered(asked, [reply for replies in stored.values() for reply in replies])
        stored = {name: [reply for reply in kept if reply.arm == name] for name in stored}
        places = [place for some in unknown.values() for place in some]
        if places:
            shown = ", ".join(places[:5]) + (", ..." if len(places) > 5 else "")
            left_out.append(f"{len(places)} replies to none of the prompts ({shown})")
        if len(prompts) < len(asked):
            left_out.append(f"{len(asked) - len(prompts)} of {len(asked)} prompts, which lack a reply or have too many")
        if not prompts:
            fix = "give the prompts that were answered, or say which column is which"
            raise InputError(
                "no prompt has a reply", where=", ".join(file for arm in arms for file in arm.replies), fix=fix
            )
    return prompts, stored, tuple(left_out)


def _check_scores(spec: StudySpec, replies: Mapping[str, Sequence[Generation]], scores: Sequence[Score]) -> None:
    """Refuse scores none of which is of one of the replies: nothing would be judged, and nobody would know why.

    Raises:
        InputError: they are such.
    """
    digests = {reply.reply_digest for stored in replies.values() for reply in stored}
    if not any(score.reply_digest in digests for score in scores):
        raise InputError(
            f"none of {len(scores)} scores is of one of the {len(digests)} replies",
            where=", ".join(spec.scores),
            fix="give the scores of these replies; a score names prompt and reply by a digest of both",
        )


def _of_arm(arm: RepliesArm, found: Sequence[Generation]) -> list[Generation]:
    """The replies of one arm of a file.

    Raises:
        InputError: the file has several arms and none is named, or not the one that is.
    """
    names = list(dict.fromkeys(reply.arm for reply in found))
    wanted = arm.arm
    if wanted is None:
        if len(names) > 1:
            what = f"there are replies of several arms: {', '.join(names)}"
            raise InputError(
                what, where=", ".join(arm.replies), fix=f"say which are {arm.name}'s, as in: arm: {names[0]}"
            )
        wanted = names[0]
    if wanted not in names:
        what = f"there are no replies of {wanted!r}"
        raise InputError(what, where=", ".join(arm.replies), fix=f"name one of its arms: {', '.join(names)}")
    return [reply for reply in found if reply.arm == wanted]
