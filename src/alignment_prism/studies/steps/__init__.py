"""Steps of a study, one file a kind: how a step of it is planned, and how it is done.

A new kind is a file with a function that makes its `Step` and a `StepKind` in `KINDS`.
"""

from alignment_prism.studies.steps.ask import ASK
from alignment_prism.studies.steps.compare import COMPARE
from alignment_prism.studies.steps.complete import COMPLETE
from alignment_prism.studies.steps.direct import DIRECT
from alignment_prism.studies.steps.kind import Context, StepKind
from alignment_prism.studies.steps.merge import MERGE
from alignment_prism.studies.steps.mix import MIX
from alignment_prism.studies.steps.pairs import PAIRS_KIND
from alignment_prism.studies.steps.pools import POOLS
from alignment_prism.studies.steps.rank import RANK
from alignment_prism.studies.steps.rephrase import REPHRASE
from alignment_prism.studies.steps.reply import REPLY
from alignment_prism.studies.steps.score import SCORE
from alignment_prism.studies.steps.seeds import SEEDS
from alignment_prism.studies.steps.step import Step
from alignment_prism.studies.steps.train import TRAIN

BUILDING = (SEEDS, REPHRASE, COMPLETE, RANK, PAIRS_KIND, POOLS)
"""From seed prompts to pairs."""

KINDS: dict[str, StepKind] = {
    kind.name: kind for kind in (*BUILDING, MIX, ASK, TRAIN, MERGE, DIRECT, REPLY, SCORE, COMPARE)
}
"""Every kind of step that an executor can do, by name."""

__all__ = ["KINDS", "Context", "Step", "StepKind"]
