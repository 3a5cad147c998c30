"""What trains: trainers of other libraries with our loss in front."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from alignment_prism.domain import TrainingError

if TYPE_CHECKING:
    from alignment_prism.training.stage import Engine


def find_engine(name: str) -> Engine:
    """The engine of a name out of `alignment_prism.training.settings.ENGINES`.

    Raises:
        TrainingError: its library is not installed.
    """
    if name == "trl":
        if find_spec("trl") is None:
            raise TrainingError(
                "the engine trl needs the package trl, which is not installed",
                fix="pip install 'alignment-prism[trl]', or leave the engine out: transformers trains the same",
            )
        from alignment_prism.training.backends.trl.engine import TrlEngine

        return TrlEngine()
    from alignment_prism.training.backends.transformers import TransformersEngine

    return TransformersEngine()
