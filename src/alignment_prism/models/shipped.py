"""The model that ships with the package: the base of the nano lab, which the name `nano` stands for."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from alignment_prism.domain.errors import ModelError

NANO = "nano"
"""Name of the model that ships, wherever a model is asked for; a folder of that name is ./nano."""


def shipped_base() -> Path:
    """The folder of the base that ships with the package.

    Raises:
        ModelError: the installation has no weights.
    """
    folder = Path(str(resources.files("alignment_prism.nano.base") / "weights"))
    if not (folder / "model.safetensors").is_file():
        raise ModelError(
            "this installation has no nano base",
            where=str(folder),
            fix="reinstall the package, or run: prism nano build",
        )
    return folder
