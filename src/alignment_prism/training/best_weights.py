"""The weights that a stage had when what is held out was at its best, kept beside its checkpoints."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from alignment_prism.domain import StoreError
from alignment_prism.training.devices import is_sharded, uses_deepspeed


class BestWeights:
    """Files of a stage under way, each with all that is trained as it was after one step, in the precision of training.

    Args:
        folder: of the stage.
        trainer: with its model.
    """

    def __init__(self, folder: Path, trainer: Any) -> None:
        self.folder, self.trainer = folder, trainer

    def keep(self, step: int, *, known: int | None) -> None:
        """Write down the weights as they are after `step`; to be called by all processes at once.

        Args:
            step: that was just taken.
            known: the best step as of the last checkpoint, whose weights a run needs that goes on from there. Those of
                all other steps are removed.
        """
        weights = self._trained()
        if not self.trainer.accelerator.is_main_process:
            return
        from safetensors.torch import save_file

        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / "best.tmp"
        save_file(weights, temporary)
        os.replace(temporary, self._path(step))  # whole or not there
        for path in self.folder.glob(self._path("*").name):
            if path not in (self._path(step), *([] if known is None else [self._path(known)])):
                path.unlink()

    def check(self, step: int) -> None:
        """Find out whether the weights of the best step so far are there, for a run that goes on.

        Raises:
            StoreError: they are not.
        """
        if self.trainer.accelerator.is_main_process and not self._path(step).is_file():
            raise StoreError(
                "the weights of the best step so far are gone",
                where=str(self._path(step)),
                fix="restore the file, or begin anew",
                settings={"resume": "False"},
            )

    def put_back(self, step: int, state: dict[str, Any] | None) -> dict[str, Any] | None:
        """Give the model the weights that it had after `step`, in the first process, which saves it.

        Args:
            step: one that was kept.
            state: of the model, where that is spread over processes, else None.

        Returns:
            The state with these weights in place of its own; None where the model has them itself.
        """
        if not self.trainer.accelerator.is_main_process:
            return state
        from safetensors.torch import load_file
        from torch import no_grad

        best = load_file(self._path(step))
        if state is not None:
            return {**state, **best}
        with no_grad():
            for name, parameter in self._parameters():
                parameter.copy_(best[name])
        return None

    def _trained(self) -> dict[str, Any]:
        """Name -> tensor on the CPU of everything that is trained; whole in the first process."""
        names = [name for name, _ in self._parameters()]
        if is_sharded():
            state = gathered_state(self.trainer)
            return {name: state[name].detach().to("cpu").contiguous() for name in names if name in state}
        return {name: parameter.detach().to("cpu").contiguous() for name, parameter in self._parameters()}

    def _parameters(self) -> list[tuple[str, Any]]:
        model = self.trainer.accelerator.unwrap_model(self.trainer.model, keep_torch_compile=False)
        return [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]

    def _path(self, step: int | str) -> Path:
        return self.folder / f"best-{step}.safetensors"


def gathered_state(trainer: Any) -> dict[str, Any]:
    """The weights that are spread over processes, to be called by all of them; whole in the first one."""
    if uses_deepspeed():
        from alignment_prism.training.backends.zero import gathered

        return gathered(trainer.model_wrapped, keep=trainer.accelerator.is_main_process)
    state: dict[str, Any] = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    return state
