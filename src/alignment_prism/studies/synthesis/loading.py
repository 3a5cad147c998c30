"""Reading the spec of a build: every key, path, rubric and template in it checked before any work starts."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from alignment_prism.domain import InputError
from alignment_prism.io.yaml import YamlDocument, validated
from alignment_prism.models.names import HUB
from alignment_prism.preferences.templates import load_template
from alignment_prism.studies.judges import CompareSpec
from alignment_prism.studies.loading import Paths, in_world, judge_in, with_rubric
from alignment_prism.studies.spec import NANO
from alignment_prism.studies.synthesis.spec import BuildSpec, SideSpec

PRESETS = ("nano-pairs", "on-policy")
"""Specs that ship."""


def preset_text(name: str) -> str:
    """The YAML of a spec that ships."""
    return resources.files("alignment_prism.studies.synthesis").joinpath(f"presets/{name}.yaml").read_text("utf-8")


def load_build(path: str | Path) -> BuildSpec:
    """Read a spec and check it, with its paths made relative to the working folder.

    Args:
        path: the YAML file, or the name of a preset (`PRESETS`).

    Raises:
        InputError: with file, line, key path, value and fix.
    """
    if str(path) in PRESETS:
        source, folder = YamlDocument(preset_text(str(path)), f"preset {path}"), Path()
    else:
        source, folder = YamlDocument.from_file(path), Path(path).parent
    spec = validated(BuildSpec, source.mapping(fix="begin with: name: my-pairs"), source)
    return _resolved(spec, source, folder)


def _resolved(spec: BuildSpec, source: YamlDocument, folder: Path) -> BuildSpec:
    paths = Paths(source, folder)
    world = spec.world
    if world != NANO:
        if not (folder / world).is_dir():
            fix = "name a folder that `prism nano build` wrote, or nano"
            raise InputError(f"no such folder: {world!r}", where=source.where(("world",)), fix=fix)
        world = str(folder / world)

    def prompts(some: Any, key: str) -> Any:
        if isinstance(some, str):
            return some
        return tuple(
            one.model_copy(update={"file": paths.prompts(one.file, "seeds", key, at, "file")})
            for at, one in enumerate(some)
        )

    def writer(one: Any, *place: str | int) -> Any:
        update: dict[str, Any] = {}
        if one.model != NANO and not one.model.startswith(HUB) and (folder / one.model).is_dir():
            update["model"] = str(folder / one.model)
        elif one.model.startswith(f"{NANO}/"):
            update["model"] = in_world(CompareSpec(model=one.model), world).model
        if one.template and (folder / one.template).is_file():
            update["template"] = str(folder / one.template)
        found = one.model_copy(update=update)
        name, roles = found.asks if isinstance(found, SideSpec) else (found.template, ("instruction",))
        if name:
            try:
                load_template(name, roles)
            except InputError as error:
                where = source.where((*place, "template"))
                raise InputError(error.what, where=where, fix=error.fix) from error
        return found

    rank = spec.rank
    judges = tuple(
        in_world(with_rubric(judge, source, folder, ("rank", "judges", at)), world)
        for at, judge in enumerate(rank.judges)
    )
    outcomes = rank.outcomes and judge_in(rank.outcomes, source, folder, world, ("rank", "outcomes"))
    seeds = spec.seeds.model_copy(
        update={
            "prompts": prompts(spec.seeds.prompts, "prompts"),
            "evaluation": prompts(spec.seeds.evaluation, "evaluation"),
        }
    )
    return spec.model_copy(
        update={
            "world": world,
            "seeds": seeds,
            "rephrase": spec.rephrase and writer(spec.rephrase, "rephrase"),
            "complete": tuple(writer(side, "complete", at) for at, side in enumerate(spec.complete)),
            "rank": rank.model_copy(
                update={"judges": judges, "outcomes": outcomes, "labels": paths.files(rank.labels, "rank", "labels")}
            ),
            "languages": spec.languages and paths.file(spec.languages, "languages"),
        }
    )
