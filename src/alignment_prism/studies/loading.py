"""Reading a spec: from a file or a preset, every key and every path in it checked before any work starts."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from alignment_prism.domain import InputError
from alignment_prism.io.yaml import YamlDocument, validated
from alignment_prism.models.names import HUB
from alignment_prism.scoring.rubric import load_rubric
from alignment_prism.studies.arms import MergedArm, ModelArm, RepliesArm, TrainedArm
from alignment_prism.studies.judges import CalledSpec, JudgeSpec
from alignment_prism.studies.pair_sources import PairsSource
from alignment_prism.studies.spec import NANO, StudySpec, training_settings
from alignment_prism.studies.steps.score import judge_from
from alignment_prism.training.settings import MethodConfig

C = TypeVar("C", bound=CalledSpec)

PRESETS = (
    *("quickstart", "micro", "nano-paper", "nano-transfer", "nano-methods"),
    *("aya-23-8b", "tiny-aya", "qwen2.5-1.5b"),
)


def load_spec(path: str | Path, **overrides: Any) -> StudySpec:
    """Read a spec and check it.

    Args:
        path: the YAML file, or the name of a preset (`PRESETS`).
        overrides: top-level keys that replace the file's (`seeds=(1,)`).

    Raises:
        InputError: with file, line, key path, value and fix.
    """
    name = str(path)
    if name in PRESETS:
        text = resources.files("alignment_prism.studies").joinpath(f"presets/{name}.yaml").read_text(encoding="utf-8")
        source, folder = YamlDocument(text, f"preset {name}"), Path()
    elif not Path(path).suffix and not Path(path).exists():
        fix = f"use one of {', '.join(PRESETS)}, or the path of a YAML file"
        raise InputError(f"there is neither a preset nor a file {name!r}", fix=fix)
    else:
        source, folder = YamlDocument.from_file(path), Path(path).parent
    content = source.mapping(fix="begin with: name: my-study")
    for key, value in overrides.items():
        source.override((key,), value)
    spec = validated(StudySpec, content, source)
    try:
        settings = list(training_settings(spec))
    except InputError as error:
        raise InputError(error.what, where=source.where(("training",)), fix=error.fix) from error
    for place, overlay in settings:
        validated(MethodConfig, overlay, source, prefix=place)
    return _resolved(spec, source, folder)


def make_spec(**values: Any) -> StudySpec:
    """A spec from values, as a command or a call has them; paths are relative to the working folder.

    Raises:
        InputError: a value is not what it should be, with its key path.
    """
    return validated(StudySpec, values, YamlDocument("", "the study"))


def _resolved(spec: StudySpec, source: YamlDocument, folder: Path) -> StudySpec:
    """The spec with its paths made relative to the working folder, each checked to be there."""
    paths = Paths(source, folder)
    world = spec.world
    if world != NANO:
        if not (folder / world).is_dir():
            fix = "name a folder that `prism nano build` wrote, or nano"
            raise InputError(f"no such folder: {world!r}", where=source.where(("world",)), fix=fix)
        world = str(folder / world)
    prompts = spec.prompts
    if not isinstance(prompts, str):
        if not prompts:
            raise InputError("there are no prompts", where=source.where(("prompts",)), fix="list files, or write nano")
        prompts = tuple(
            entry.model_copy(update={"file": paths.prompts(entry.file, "prompts", at, "file")})
            for at, entry in enumerate(prompts)
        )
    return spec.model_copy(
        update={
            "base": spec.base and paths.arm(spec.base, "base"),
            "world": world,
            "pairs": PairsSource(
                safety=paths.files(spec.pairs.safety, "pairs", "safety"),
                general=paths.files(spec.pairs.general, "pairs", "general"),
                build=spec.pairs.build and paths.build(spec.pairs.build),
            ),
            "arms": tuple(
                paths.arm(arm, "arms", at)
                if isinstance(arm, ModelArm | RepliesArm)
                else _with_judges(arm, source, folder, world, ("arms", at, "on_policy"))
                for at, arm in enumerate(spec.arms)
            ),
            "prompts": prompts,
            "passport": spec.passport
            and spec.passport.model_copy(update={"file": paths.file(spec.passport.file, "passport", "file")}),
            "languages": spec.languages and paths.file(spec.languages, "languages"),
            "scores": paths.files(spec.scores, "scores"),
            "comparisons": paths.files(spec.comparisons, "comparisons"),
            "judge": spec.judge and judge_in(spec.judge, source, folder, world, ("judge",)),
            "compare": spec.compare and in_world(with_rubric(spec.compare, source, folder, ("compare",)), world),
        }
    )


def _with_judges(
    arm: TrainedArm | MergedArm, source: YamlDocument, folder: Path, world: str, place: tuple[str | int, ...]
) -> TrainedArm | MergedArm:
    """An arm with the judges of its rounds found, where it has rounds."""
    if not isinstance(arm, TrainedArm) or (rounds := arm.on_policy) is None:
        return arm
    found: dict[str, Any] = {
        "judges": tuple(
            in_world(with_rubric(judge, source, folder, (*place, "judges", at)), world)
            for at, judge in enumerate(rounds.judges)
        ),
        "outcomes": rounds.outcomes and judge_in(rounds.outcomes, source, folder, world, (*place, "outcomes")),
    }
    return arm.model_copy(update={"on_policy": rounds.model_copy(update=found)})


class Paths:
    """Paths of a spec, which are relative to its folder, and the errors of those that lead nowhere."""

    def __init__(self, source: YamlDocument, folder: Path) -> None:
        self.source = source
        self.folder = folder

    def file(self, name: str, *place: str | int) -> str:
        """A file that must be there."""
        path = self.folder / name
        if not path.is_file():
            fix = f"check the path; it is taken relative to {self.folder.resolve()}"
            raise InputError(f"no such file: {name!r}", where=self.source.where(place), fix=fix)
        return str(path)

    def files(self, names: Sequence[str], *place: str | int) -> tuple[str, ...]:
        """Files that must be there; `nano` is none."""
        return tuple(name if name == NANO else self.file(name, *place, at) for at, name in enumerate(names))

    def build(self, name: str) -> str:
        """The spec of a build, a preset's name as it is."""
        return self.file(name, "pairs", "build") if name.endswith((".yaml", ".yml")) else name

    def prompts(self, name: str, *place: str | int) -> str:
        """A file of prompts, or a set that has a name."""
        from alignment_prism.prompts.sources import is_on_the_hub

        if not (self.folder / name).exists() and is_on_the_hub(name):
            return name
        return self.file(name, *place)

    def arm(self, arm: ModelArm | RepliesArm, *place: str | int) -> ModelArm | RepliesArm:
        """An arm that exists, its file or folder found; an id stays as it is."""
        if isinstance(arm, RepliesArm):
            return arm.model_copy(update={"replies": self.files(arm.replies, *place, "replies")})
        if arm.model == NANO or arm.model.startswith(HUB):
            return arm
        if (self.folder / arm.model).is_dir():
            return arm.model_copy(update={"model": str(self.folder / arm.model)})
        if "/" not in arm.model or arm.model.startswith((".", "/", "~")):
            where = self.source.where(place) if place == ("base",) else self.source.where((*place, "model"))
            fix = "name a model folder, nano, a Hub id such as CohereLabs/aya-23-8B, or an Inspect id"
            raise InputError(f"no such model folder: {arm.model!r}", where=where, fix=fix)
        return arm


def judge_in(
    judge: JudgeSpec, source: YamlDocument, folder: Path, world: str, place: tuple[str | int, ...]
) -> JudgeSpec:
    """The judge, or every judge of the panel, with its files found."""
    if judge.panel:
        found: dict[str, Any] = {
            "panel": tuple(
                judge_in(one, source, folder, world, (*place, "panel", at)) for at, one in enumerate(judge.panel)
            ),
            "adjudicator": judge.adjudicator
            and judge_in(judge.adjudicator, source, folder, world, (*place, "adjudicator")),
        }
        return judge.model_copy(update=found)
    if judge.policies:
        if not (folder / judge.policies).exists():
            fix = f"check the path; it is taken relative to {folder.resolve()}"
            raise InputError("no such policies", where=source.where((*place, "policies")), fix=fix)
        judge = judge.model_copy(update={"policies": str(folder / judge.policies)})
    if (folder / judge.model).is_dir():
        judge = judge.model_copy(update={"model": str(folder / judge.model)})
    elif "/" not in judge.model and not judge.model.startswith(HUB):
        fix = f"name its provider too, as in openai/{judge.model}, or a model folder"
        raise InputError(f"no provider in {judge.model!r}", where=source.where((*place, "model")), fix=fix)
    return in_world(with_rubric(judge, source, folder, place), world)


def in_world(judge: C, world: str) -> C:
    """The judge; an actor of the nano lab that names no world judges the study's own."""
    provider, _, name = judge.model.partition("/")
    if provider != NANO or "@" in name or world == NANO:
        return judge
    role, mark, seed = name.partition("#")
    return judge.model_copy(update={"model": f"{provider}/{role}@{Path(world).resolve()}{mark}{seed}"})


def with_rubric(judge: C, source: YamlDocument, folder: Path, place: tuple[str | int, ...]) -> C:
    """The judge with its rubric found, whether it ships or is a file."""
    rubric = str(folder / judge.rubric) if (folder / judge.rubric).is_file() else judge.rubric
    judge = judge.model_copy(update={"rubric": rubric})
    try:
        if isinstance(judge, JudgeSpec):
            _ = judge_from(judge).form
        else:
            load_rubric(rubric, kind="pairwise")
    except InputError as error:
        raise InputError(error.what, where=source.where((*place, "rubric")), fix=error.fix) from error
    return judge
