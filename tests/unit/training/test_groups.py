"""Group sums equal what a brute-force pass over all observations gives."""

from __future__ import annotations

import json
import math
import random

from alignment_prism.domain import Pair, Scope, user
from alignment_prism.training import GroupSums, group_of
from alignment_prism.training.groups import sums_from_rows


def test_sums_of_uneven_batches_equal_brute_force() -> None:
    rng = random.Random(0)
    groups = [(rng.choice(["en", "hi"]), rng.choice(["global", "local", "none"])) for _ in range(200)]
    values = [rng.gauss(0, 1) for _ in groups]
    tokens = [float(rng.randint(1, 9)) for _ in groups]
    parts: list[GroupSums] = []
    start = 0
    while start < len(groups):
        stop = start + rng.randint(1, 17)
        part = GroupSums()
        part.add(groups[start:stop], "loss", values[start:stop], tokens[start:stop])
        part.add(groups[start:stop], "margin", values[start:stop])
        parts.append(part)
        start = stop
    total = GroupSums()
    for part in parts:
        total.merge(part)
    for group in set(groups):
        members = [index for index, one in enumerate(groups) if one == group]
        weight = sum(tokens[index] for index in members)
        assert math.isclose(total.mean("loss", group), sum(values[i] for i in members) / weight, rel_tol=1e-9)
        assert total.totals[group]["margin"][1] == len(members)
    # A mean of the parts' means would be another number: that is why sums are kept.
    means = [part.mean("margin") for part in parts]
    assert not math.isclose(total.mean("margin"), sum(means) / len(means), rel_tol=1e-6)
    assert math.isclose(total.mean("margin"), sum(values) / len(values), rel_tol=1e-9)


def test_rows_go_through_json_and_back() -> None:
    sums = GroupSums()
    sums.add([("en", "none"), ("hi", "local")], "loss", [1.5, 2.5])
    assert sums_from_rows(json.loads(json.dumps(sums.rows()))).totals == sums.totals


def test_an_unknown_group_has_no_mean() -> None:
    assert math.isnan(GroupSums().mean("loss")) and math.isnan(GroupSums().mean("loss", ("en", "none")))


def test_pairs_without_language_and_scope_have_a_group_too() -> None:
    assert group_of(Pair("a", user("q"), "c", "r")) == ("und", "none")
    assert group_of(Pair("a", user("q"), "c", "r", language="hi", scope=Scope.LOCAL)) == ("hi", "local")


def test_a_group_whose_loss_is_no_number_is_the_worst_whatever_its_name() -> None:
    for lost in ("bn", "hi", "sr"):
        sums = GroupSums()
        sums.add([(language, "local") for language in ("bn", "hi", "sr")], "loss", [1.0, 2.0, 3.0])
        sums.add([(lost, "local")], "loss", [math.nan])
        assert sums.worst("loss") == (lost, "local")
