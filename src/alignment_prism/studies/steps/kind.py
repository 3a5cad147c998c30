"""What every kind of step has: a function that does one, and what must be known of it before and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from alignment_prism.calls.endpoint import Endpoint
from alignment_prism.calls.journal import Journal
from alignment_prism.domain import Generation, StopReason
from alignment_prism.domain.progress import Progress
from alignment_prism.io import read_records
from alignment_prism.io.parquet import Only
from alignment_prism.studies.steps.step import Step

EARLIER = "earlier"
"""Role of the artifact of the same step that is made again, to fill its gaps or those of the replies it is of."""


@dataclass(frozen=True, slots=True)
class Context:
    """What the steps of a study share; none of it shapes a result.

    Attributes:
        out: the study's folder.
        journal: of the answers of models behind an API; None where no step calls one.
        known: files of earlier scores, which are taken over where they are of the same judge, rubric and reply.
        gpus: of one machine, that a training of a model that does not fit one core is spread over.
        finished: called in the study's process with each step that is done.
        outdated: called before a step that is done is made anew under its key, since what it needs has changed.
        whole: keys of steps whose files this run has held against their digests already.
    """

    out: Path
    journal: Journal | None
    known: tuple[Path, ...] = ()
    gpus: int = 1
    finished: Callable[[Step], None] = lambda step: None
    outdated: Callable[[Step], None] = lambda step: None
    whole: frozenset[str] = frozenset()


Do = Callable[[Step, Mapping[str, Path], Path, Context, Progress], None]
"""`do(step, inputs, folder, context, progress)` leaves the step's files in `folder`; `inputs` has the folder of every
role in `Step.needs`. It depends on nothing else but the step, so that any process can do it."""


def lacks_replies(folder: Path, *names: str) -> bool:
    """Whether a call failed for which files of these names, those that are there, have a reply.

    What the provider's filter stopped lacks none: that call was answered, and nobody would be asked again.
    """
    from alignment_prism.generation.backends.inspect import FILTERED

    failed = Only(("stop_reason", "error"), lambda stop, error: stop == StopReason.ERROR and error != FILTERED)
    files = [folder / name for name in names if (folder / name).exists()]
    return any(read_records(file, Generation, only=failed) for file in files)


@dataclass(frozen=True, slots=True)
class StepKind:
    """A kind of work.

    Attributes:
        name: of the kind, and of the folder that its artifacts are in.
        do: does one step.
        endpoints: models behind an API that a step calls: they are opened before any step is done, so
            that a missing key is found out before hours of training.
        computes_with: folder or Hub id of the model on this machine that a step computes with, as far as its size goes:
            an executor may give the step a process of its own. None where it computes with none.
        has_gaps: whether an artifact lacks answers that could be asked for again.
        makes_folder: whether `do` makes the artifact's folder itself, so that what it reached when it was stopped
            outlives it; otherwise `folder` is a temporary one, which becomes the artifact when `do` returns.
        takes_over: whether `do` takes over from an earlier artifact (`EARLIER`) what is of replies that stayed as they
            were, so that one of which some were asked for again is kept until the step is done again.
    """

    name: str
    do: Do
    endpoints: Callable[[Step], tuple[Endpoint, ...]] = lambda step: ()
    computes_with: Callable[[Step], str | None] = lambda step: None
    has_gaps: Callable[[Path], bool] = lambda folder: False
    makes_folder: bool = False
    takes_over: bool = False
