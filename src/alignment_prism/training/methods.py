"""The methods: what can be asked for by name, each a sequence of training stages.

`METHODS` is the one table that commands, studies, reports and documentation read. It holds what the files of
`training/objectives` declare, and what files of other packages declare, named under the entry point group
`alignment_prism.objectives`:

    [project.entry-points."alignment_prism.objectives"]
    mine = "my_package.my_loss"

Those of the paper (arXiv 2406.18682) are sft, sft_random, dpo_ift and dpo_sft.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points

from alignment_prism.domain import InputError
from alignment_prism.training.objectives.objective import Objective
from alignment_prism.training.recipe import Recipe

ENTRY_POINTS = "alignment_prism.objectives"
"""Group under which other packages name a module with `METHODS`, as a file of `objectives` is, or a `Method`."""

_FIRST = ("sft", "dpo")
"""Files whose methods come first in every list: those of the paper."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One training of a method.

    Attributes:
        name: of its folder and in the log.
        objective: what it minimises.
        recipe: how it learns unless the settings say otherwise; for models of about 8 B parameters.
        section: of the settings that holds its recipe (`dpo_ift` in `dpo_ift.beta`).
    """

    name: str
    objective: Objective
    recipe: Recipe
    section: str


@dataclass(frozen=True, slots=True)
class Method:
    """An alignment method.

    Attributes:
        name: in files and commands.
        title: in tables.
        summary: in a few words.
        stages: in their order; each starts from the model of the one before, the first from the base.
        control: it does not learn what the pairs prefer, and is there to compare with.
    """

    name: str
    title: str
    summary: str
    stages: tuple[Stage, ...]
    control: bool = False

    @classmethod
    def single(cls, objective: Objective, title: str, summary: str, recipe: Recipe) -> Method:
        """A method of one stage, which starts from the base; stage and section are called as the objective is."""
        return cls(objective.name, title, summary, (Stage(objective.name, objective, recipe, objective.name),))

    @property
    def preceding(self) -> Method | None:
        """The method whose model the last stage of this one starts from (`sft` for `dpo_sft`), if there is one."""
        before = self.stages[:-1]
        return next((method for method in METHODS.values() if before and method.stages == before), None)


class Methods(Mapping[str, Method]):
    """Methods by name. The files and entry points that declare them are read when one is first asked for."""

    def __init__(self) -> None:
        self._methods: dict[str, Method] | None = None
        self._registered: frozenset[str] = frozenset()
        self._of_package: tuple[Objective, ...] = ()

    def register(self, *methods: Method) -> None:
        """Add methods for as long as this process runs; they replace those that were added so before, as when a cell of
        a notebook runs again.

        Raises:
            InputError: there is one of that name or title, its name cannot be one, its recipe is not its objective's,
                or its settings lie in a section that belongs to another recipe.
        """
        names = frozenset(method.name for method in methods)
        known = {name: one for name, one in self._all().items() if name not in names & self._registered}
        _add(known, methods, "METHODS.register")
        self._methods, self._registered = known, self._registered | names

    def code(self, objective: Objective) -> str:
        """`Objective.code` as keys of trainings have it: empty for objectives that this package declares, whose version
        stands for them."""
        self._all()
        return "" if objective in self._of_package else objective.code

    def sections(self) -> dict[str, Recipe]:
        """Section of the settings -> its recipe where the settings say nothing."""
        return _sections(self._all())

    def __getitem__(self, name: str) -> Method:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, Method]:
        if self._methods is None:
            self._methods = {}  # what a file or package reads while it declares its own are those before it
            try:
                _declare_package(self._methods)
                self._of_package = tuple(stage.objective for one in self._methods.values() for stage in one.stages)
                _declare_installed(self._methods)
            except BaseException:
                self._methods = None
                raise
        return self._methods


def _declare_package(found: dict[str, Method]) -> None:
    """Add the methods of the files in `objectives`."""
    package = importlib.import_module("alignment_prism.training.objectives")
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    for name in sorted(names, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST)):
        module = importlib.import_module(f"{package.__name__}.{name}")
        _add(found, getattr(module, "METHODS", ()), str(module.__file__))


def _declare_installed(found: dict[str, Method]) -> None:
    """Add the methods of other packages."""
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        of = "" if entry.dist is None else f" of {entry.dist.name} {entry.dist.version}"
        where = f"entry point {entry.name} = {entry.value}{of}"
        fix = f"repair {'the package' if entry.dist is None else entry.dist.name}, or uninstall it"
        try:
            declared = entry.load()
        except Exception as error:  # another package's code, which may raise anything
            raise InputError(f"a method cannot be loaded: {error}", where=where, fix=fix) from error
        declared = getattr(declared, "METHODS", declared)
        methods = (declared,) if isinstance(declared, Method) else declared
        if not isinstance(methods, tuple | list) or not all(isinstance(one, Method) for one in methods) or not methods:
            what = "neither a module with METHODS nor a Method: a tuple of `Method.single(...)` is what METHODS holds"
            raise InputError(what, where=where, fix=fix)
        _add(found, methods, where)


def _add(known: dict[str, Method], methods: Iterable[Method], where: str) -> None:
    for method in methods:
        for said in (method.name, method.title):
            if any(_folded(said) in (_folded(one.name), _folded(one.title)) for one in known.values()):
                raise InputError(f"there are two methods {said!r}", where=where, fix="give one another name")
        taken = _sections(known)
        for stage in method.stages:
            for name in (method.name, stage.name, stage.section):
                if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):  # it is a folder, and a key of --set
                    raise InputError(
                        f"a method, stage or section cannot be called {name!r}",
                        where=where,
                        fix="begin with a letter, and go on with letters, digits and _",
                    )
            if not isinstance(stage.recipe, stage.objective.recipe):
                raise InputError(
                    f"the recipe of {method.name!r} is a {type(stage.recipe).__name__}, and its objective takes a "
                    f"{stage.objective.recipe.__name__}",
                    where=where,
                    fix=f"give {stage.objective.recipe.__name__}(learning_rate=..., epochs=...)",
                )
            if stage.section == "training" or taken.get(stage.section, stage.recipe) != stage.recipe:
                raise InputError(
                    f"the section {stage.section!r} of the settings, for method {method.name!r}, is taken",
                    where=where,
                    fix="give the stage a section of its own",
                )
        known[method.name] = method


def _sections(methods: Mapping[str, Method]) -> dict[str, Recipe]:
    return {stage.section: stage.recipe for method in methods.values() for stage in method.stages}


METHODS = Methods()
"""The methods there are, by name."""


def find_method(name: str) -> Method:
    """The method called `name`; case, hyphens and the paper's brackets do not matter (`DPO(SFT)`).

    Raises:
        InputError: there is no such method.
    """
    for method in METHODS.values():
        if _folded(name) in (_folded(method.name), _folded(method.title)):
            return method
    known = ", ".join(f"{method.name} ({method.title})" for method in METHODS.values())
    raise InputError(f"unknown method {name!r}", fix=f"use one of: {known}")


def _folded(name: str) -> str:
    return name.strip().casefold().replace("-", "_").replace("(", "_").replace(")", "")
