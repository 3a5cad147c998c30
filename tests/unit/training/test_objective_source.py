"""What the loss of somebody else is written in: one code while it is the same, another when it changes."""

from __future__ import annotations

import linecache
import os
import subprocess
import sys
from copy import deepcopy
from functools import partial
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from method_stages import STAGES

from alignment_prism.training import METHODS, Objective, Recipe
from alignment_prism.training.objectives import both
from alignment_prism.training.objectives.source import code_of


def _cell(name: str, text: str) -> dict[str, Any]:
    """What a cell of a notebook leaves: its text is where Python looks for lines, under a name that no file has."""
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    found: dict[str, Any] = {}
    exec(compile(text, name, "exec"), found)
    return found


CELL = """
from functools import partial

def scale():
    return 2.0

def loss(batch, recipe, by=1.0):
    return by * scale() * (batch.logps[1] - batch.logps[0]), {}

def replies(pair, seed):
    return ()

class Scaled:
    def __init__(self, by):
        self.by = by

    def __call__(self, batch, recipe):
        return loss(batch, recipe, self.by)

class Inherited(Scaled):
    pass

class Held:
    def __init__(self, by):
        self.by = by

    def loss(self, batch, recipe):
        return loss(batch, recipe, self.by)

def closed(by):
    return lambda batch, recipe: loss(batch, recipe, by)
"""


def test_what_a_loss_is_written_in_is_known_whatever_kind_of_function_it_is() -> None:
    def codes(text: str, by: float) -> list[str]:
        cell = _cell(f"<cell {text}>", text)
        written = [
            *(cell["loss"], partial(cell["loss"], by=by), cell["Scaled"](by), cell["closed"](by)),
            *(cell["Inherited"](by), cell["Held"](by).loss),
        ]
        own = Objective("own", Recipe, cell["replies"], STAGES["dpo"].objective.loss)
        return [*(Objective("own", Recipe, both, loss).code for loss in written), own.code]

    first = codes(CELL, 2.0)
    assert all(first) and len(set(first[:6])) == 5  # one that inherits all is the same
    assert codes(CELL, 2.0) == first  # the cell runs again: other objects, which stand elsewhere in memory
    helper = codes(CELL.replace("return 2.0", "return 3.0"), 2.0)
    assert not set(helper) & set(first)
    bound = codes(CELL, 3.0)
    assert [one == other for one, other in zip(bound, first, strict=True)] == [True, *[False] * 5, True]
    assert {METHODS.code(stage.objective) for stage in STAGES.values()} == {
        ""
    }  # those of this package are known by its version


HELD = """
from dataclasses import dataclass
from functools import partial
from alignment_prism.training.objectives.source import code_of

@dataclass(frozen=True)
class Asked:
    languages: frozenset

class Scaled:
    def __init__(self, by):
        self.by = by

def doubled(x):
    return 2 * x

def halved(x):
    return x / 2

def loss(batch, recipe, left_out=None):
    return 1

codes = {"en", "ru", "de", "fr", "sr"}
typed = {}
exec(compile("def loss(batch, recipe):\\n    return batch in {'en', 'ru', 'de', 'fr', 'sr'}", "<stdin>", "exec"), typed)
held = [
    frozenset(codes), [codes], {"a": [codes]}, Asked(frozenset(codes)), {frozenset(codes), frozenset({"a", "b", "c"})},
    {doubled, halved, partial(doubled, 3)}, {Scaled(1), Scaled(2), Scaled(3)}, [doubled], {"by": halved},
]
print(*map(code_of, [*(partial(loss, left_out=one) for one in held), typed["loss"]]))
"""


def _held(folder: Path, seed: str, text: str = HELD) -> list[str]:
    """Codes of losses that hold each of `held` in a script, in a process of its own."""
    (folder / "own.py").write_text(text, encoding="utf-8")
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    return subprocess.check_output([sys.executable, folder / "own.py"], env=environment, text=True).split()


def test_a_loss_that_holds_sets_has_one_code_in_every_process(tmp_path: Path) -> None:
    first = _held(tmp_path, "1")
    assert len(set(first)) == 10
    assert _held(tmp_path, "2") == first and _held(tmp_path, "3") == first


def test_what_a_loss_holds_in_a_collection_is_known_when_it_changes() -> None:
    """Functions of another file among them, in sets as well, which have no order."""

    def functions(by: float) -> list[Any]:
        return [_cell(f"<helper {name}>", f"def {name}(x):\n    return {by} * x\n")[name] for name in "ab"]

    def codes(one: Any, other: Any) -> list[str]:
        held: list[Any] = [{one, other}, [one, other], {"by": [{one: other}]}, Recipe]
        loss = _cell("<cell>", CELL)["loss"]
        return [Objective("own", Recipe, both, partial(loss, by=each)).code for each in held]

    first = codes(*functions(2.0))
    assert len(set(first)) == 4
    changed = codes(functions(2.0)[0], functions(3.0)[1])
    assert [one == other for one, other in zip(changed, first, strict=True)] == [False, False, False, True]
    turned = codes(*reversed(functions(2.0)))
    assert [one == other for one, other in zip(turned, first, strict=True)] == [True, False, False, True]
    ring: list[Any] = []
    ring.append(ring)
    assert code_of(partial(_cell("<cell>", CELL)["loss"], by=ring))  # a list that holds itself comes to an end


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (torch.tensor([0.12341, 2.0]), torch.tensor([0.12344, 2.0])),  # both print as 0.1234
        (torch.zeros(5000), torch.zeros(5000).index_fill(0, torch.tensor(2500), 1.0)),  # the middle is not printed
        (np.zeros(5000), np.eye(1, 5000, 2500)[0]),
        (np.float32([0.1]), np.float64([0.1])),
        ([np.float64([0.123456789012])], [np.float64([0.123456789013])]),  # in a collection
        ({"weights": torch.tensor(1e-3)}, {"weights": torch.tensor(1e-3 + 1e-9)}),
        (torch.tensor([1.0, 1.25], dtype=torch.bfloat16), torch.tensor([1.0, 1.375], dtype=torch.bfloat16)),
        (np.array([{"a", "b"}]), np.array([{"a", "c"}])),
    ],
)
def test_tensors_and_arrays_that_a_loss_holds_are_known_by_every_digit(one: Any, other: Any) -> None:
    loss = _cell("<cell>", CELL)["loss"]
    codes = [Objective("own", Recipe, both, partial(loss, by=value)).code for value in (one, deepcopy(one), other)]
    assert codes[0] == codes[1] != codes[2]


def test_a_data_frame_that_a_loss_holds_is_known_with_the_names_of_its_rows_and_columns() -> None:
    pandas = pytest.importorskip("pandas")
    loss, zeros = _cell("<cell>", CELL)["loss"], np.zeros((500, 1))
    frames = [
        pandas.DataFrame(zeros, columns=["en"]),
        pandas.DataFrame(np.eye(1, 500, 250).T, columns=["en"]),  # a row that is not printed
        pandas.DataFrame(zeros, columns=["fr"]),
        pandas.DataFrame(zeros, columns=["en"], index=[*range(250), *range(251, 501)]),
        pandas.DataFrame(zeros, columns=["en"])["en"],
    ]
    codes = [code_of(partial(loss, by=frame)) for frame in frames]
    assert len(set(codes)) == 5 and codes == [code_of(partial(loss, by=frame.copy())) for frame in frames]


def test_a_module_that_a_loss_holds_is_the_same_wherever_it_is_installed(tmp_path: Path) -> None:
    """As `import torch.nn.functional as F` within the function that makes the loss."""
    text = "def made(module):\n    return lambda batch, recipe: module.f(batch)\n"

    def code(folder: str, name: str) -> str:
        module = ModuleType(name)
        module.__spec__ = spec_from_file_location(name, tmp_path / folder / f"{name}.py")
        return code_of(_cell("<cell>", text)["made"](module))

    assert code("here", "helper") == code("there", "helper") != code("here", "other")


def test_a_tensor_that_has_no_list_of_values_is_no_error() -> None:
    loss = _cell("<cell>", CELL)["loss"]
    assert code_of(partial(loss, by=torch.eye(2).to_sparse())) and code_of(
        partial(loss, by=torch.eye(2, device="meta"))
    )


def test_a_loss_that_was_typed_where_nothing_keeps_its_lines_is_known_by_what_it_does() -> None:
    def code(text: str) -> str:
        found: dict[str, Any] = {}
        exec(compile(text, "<stdin>", "exec"), found)
        return Objective("own", Recipe, both, found["loss"]).code

    one, other = (f"def loss(batch, recipe):\n    return {by} * batch.logps[0], {{}}\n" for by in (2.0, 3.0))
    assert code(one) == code("\n" + one) and code(one) != code(other)
