"""Steps that are to be made anew under their keys, and a store that has them as they were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from mixture_steps import mixtures

from alignment_prism.domain import Generation, StopReason
from alignment_prism.io import write_records
from alignment_prism.store import write_artifact
from alignment_prism.store.remote import RemoteStore
from alignment_prism.studies.elsewhere import shared_steps
from alignment_prism.studies.executors.local import unfinished
from alignment_prism.studies.executors.work import do_step
from alignment_prism.studies.progress import Silent
from alignment_prism.studies.steps import Context, Step


def test_who_is_stopped_after_gaps_were_filled_does_not_fetch_what_was_made_from_them(tmp_path: Path) -> None:
    out, store = tmp_path / "out", RemoteStore(f"file://{tmp_path}/store")
    (mixture,) = mixtures(out, 0.5)
    replies = Step("reply", "replies", "replies", {}, {}, options={"model": ("folder", "a", "a")})
    with write_artifact(replies.folder(out), kind="reply", inputs=replies.all_inputs, seed=replies.seed) as folder:
        failed = Generation("p", "a", "a", "", stop_reason=StopReason.ERROR, error="busy")
        write_records(folder / "generations.parquet", [failed], Generation)
    mixture = replace(mixture, needs={**mixture.needs, "late": replies})
    do_step(mixture, Context(out, None), lambda *_: None, earlier=False)
    steps = [replies, mixture]
    with shared_steps(store, steps, out, Silent()):
        pass
    assert store.keys() == {step.key for step in steps}
    with pytest.raises(KeyboardInterrupt), shared_steps(store, steps, out, Silent()) as (finished, outdated, whole):
        context = Context(out, None, finished=finished, outdated=outdated, whole=whole)
        assert unfinished(steps, context, fill_gaps=True) == ({mixture.key}, {replies.key})
        raise KeyboardInterrupt
    with shared_steps(store, [mixture], out, Silent()) as (_, _, whole):
        assert not whole and not mixture.is_done(out)
        do_step(mixture, Context(out, None), lambda *_: None, earlier=False)
