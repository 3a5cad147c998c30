"""Reading a spec: from a file or a preset, every key and every path in it checked before any work starts."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from alignment_prism.domain import InputError
from alignment_prism.io.yaml import YamlDocument, validated
from alignment_prism.scoring.rubric import load_rubric
from alignment_prism.studies.spec import NANO, JudgeSpec, PairsSource, StudySpec, training_settings
from alignment_prism.training.settings import MethodConfig

PRESETS = ("quickstart", "micro")


def load_spec(path: str | Path, **overrides: Any) -> StudySpec:
    """Read a spec and check it.

    Args:
        path: the YAML file, or the name of a preset: `quickstart` or `micro`.
        overrides: top-level keys that replace the file's (`seeds=(1,)`).

    Raises:
        InputError: with file, line, key path, value and fix.
    """
    name = str(path)
    if name in PRESETS:
        text = resources.files("alignment_prism.studies").joinpath(f"presets/{name}.yaml").read_text(encoding="utf-8")
        source, folder = YamlDocument(text, f"preset {name}"), Path()
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


def _resolved(spec: StudySpec, source: YamlDocument, folder: Path) -> StudySpec:
    """The spec with its paths made relative to the working folder, each checked to be there."""

    def file(name: str, *place: str | int) -> str:
        if name == NANO:
            return name
        path = folder / name
        if not path.is_file():
            fix = f"check the path; it is taken relative to {folder.resolve()}"
            raise InputError(f"no such file: {name!r}", where=source.where(place), fix=fix)
        return str(path)

    base = spec.base
    if base != NANO and (folder / base).is_dir():
        base = str(folder / base)
    elif base != NANO and (base.count("/") != 1 or base.startswith((".", "/", "~"))):
        fix = "name a model folder, a Hub id such as CohereLabs/aya-23-8B, or nano"
        raise InputError(f"no such model folder: {base!r}", where=source.where(("base",)), fix=fix)
    world = spec.world
    if world != NANO:
        if not (folder / world).is_dir():
            fix = "name a folder that `prism nano build` wrote, or nano"
            raise InputError(f"no such folder: {world!r}", where=source.where(("world",)), fix=fix)
        world = str(folder / world)
    pairs = PairsSource(
        safety=tuple(file(name, "pairs", "safety", at) for at, name in enumerate(spec.pairs.safety)),
        general=tuple(file(name, "pairs", "general", at) for at, name in enumerate(spec.pairs.general)),
    )
    prompts = spec.prompts
    if not isinstance(prompts, str):
        if not prompts:
            raise InputError("there are no prompts", where=source.where(("prompts",)), fix="list files, or write nano")
        prompts = tuple(
            entry.model_copy(update={"file": file(entry.file, "prompts", at, "file")})
            for at, entry in enumerate(prompts)
        )
    judge = _in_world(_with_rubric(spec.judge, "judge", source, folder), world)
    compare = spec.compare and _in_world(_with_rubric(spec.compare, "compare", source, folder), world)
    spec = spec.model_copy(update={"judge": judge, "compare": compare})
    return spec.model_copy(update={"base": base, "world": world, "pairs": pairs, "prompts": prompts})


def _in_world(judge: JudgeSpec, world: str) -> JudgeSpec:
    """The judge; an actor of the nano lab that names no world judges the study's own."""
    provider, _, name = judge.model.partition("/")
    if provider != NANO or "@" in name or world == NANO:
        return judge
    role, mark, seed = name.partition("#")
    return judge.model_copy(update={"model": f"{provider}/{role}@{Path(world).resolve()}{mark}{seed}"})


def _with_rubric(judge: JudgeSpec, key: str, source: YamlDocument, folder: Path) -> JudgeSpec:
    """The judge with its rubric found, whether it ships or is a file."""
    kind = "standalone" if key == "judge" else "pairwise"
    rubric = str(folder / judge.rubric) if (folder / judge.rubric).is_file() else judge.rubric
    try:
        found = load_rubric(rubric)
    except InputError as error:
        raise InputError(error.what, where=source.where((key, "rubric")), fix=error.fix) from error
    if found.kind != kind:
        fix = f"use {kind}@1, for example"
        raise InputError(
            f"the rubric is {found.kind}, and a {kind} one is needed", where=source.where((key, "rubric")), fix=fix
        )
    return judge.model_copy(update={"rubric": rubric})
