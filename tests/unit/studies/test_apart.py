"""What a node that shares no disk makes of a step: from what the study has now, and not from what it had before."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from mixture_steps import POOLS, mixtures

from alignment_prism import __version__
from alignment_prism.domain import Pair
from alignment_prism.store.remote import RemoteStore
from alignment_prism.studies.executors.apart import do_apart, needed_by
from alignment_prism.studies.executors.ray import do_on_node
from alignment_prism.studies.executors.work import do_step
from alignment_prism.studies.steps import Context, Step
from alignment_prism.studies.steps.mix import GENERAL, SAFETY
from alignment_prism.studies.steps.source import Source


def with_other_replies(step: Step, out: Path) -> None:
    """Make an artifact of pairs again under its key, as where its gaps are filled."""
    shutil.rmtree(step.folder(out))
    other = [[replace(pair, chosen="other") for pair in pairs] for pairs in POOLS.values()]
    Source(step, {SAFETY: (Pair, other[0]), GENERAL: (Pair, other[1])}).write(out)


def test_what_has_its_key_and_was_made_anew_is_fetched_anew(tmp_path: Path) -> None:
    desk, node = tmp_path / "desk", tmp_path / "node"
    (step,) = mixtures(desk, 0.5)
    (pairs,) = step.needs.values()
    store = RemoteStore(f"file://{tmp_path}/store")
    store.make()

    def do() -> bytes:
        """The mixture as the study's process has it from the node, after having sent what that lacks."""
        while (
            told := do_apart(step, Context(node, None), store, needed_by(step, desk, earlier=False), earlier=False)
        ) != ("sent",):
            assert told == ("lacks", [pairs])
            store.send(pairs.key, pairs.folder(desk))
        shutil.rmtree(tmp_path / "fetched", ignore_errors=True)
        store.fetch(step.key, tmp_path / "fetched", step.kind)
        return (tmp_path / "fetched/pairs.parquet").read_bytes()

    first = do()
    with_other_replies(pairs, desk)
    do_step(step, Context(desk, None), lambda *_: None, earlier=False)
    assert do() == (step.folder(desk) / "pairs.parquet").read_bytes() != first


def test_a_study_of_its_own_that_a_node_has_by_that_name_is_not_taken_for_the_one_it_works_for(tmp_path: Path) -> None:
    """As where it has done a shard before."""
    desk, node = tmp_path / "desk", tmp_path / "node"
    (step,) = mixtures(desk, 0.5)
    mixtures(node)
    store = RemoteStore(f"file://{tmp_path}/store")
    store.make()
    needed = needed_by(step, desk, earlier=False)
    for one in step.needs.values():
        store.send(one.key, one.folder(desk))
    told = do_on_node(step, "no place here", str(node), "mark", store.url, needed, (), False, __version__, 0)
    assert told == ("sent",) and store.keys() == {step.key, *needed}
