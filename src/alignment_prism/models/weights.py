"""Which weights these are: a digest of a model folder that names its tensors and its architecture.

Anything remembered about a model (its replies, its log-probabilities) is kept under this digest and never under its
name: two checkpoints under one name must not answer for each other.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from alignment_prism.domain.errors import ModelError

_CONFIGS = ("config.json", "adapter_config.json")
_VOLATILE = {"_name_or_path", "base_model_name_or_path", "transformers_version", "torch_dtype", "dtype", "_commit_hash"}


def weights_digest(folder: str | Path) -> str:
    """Sixteen hexadecimal digits over a model folder's safetensors and architecture.

    Entering: the names and bytes of all `*.safetensors` files of the folder, and what `config.json` and
    `adapter_config.json` say, except for what changes without the model changing (the version of transformers that
    wrote them, paths). Tokenizer and chat template do not enter: they are inputs of their own.

    Raises:
        ModelError: the folder is missing or holds no safetensors.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelError(
            "the model folder does not exist", where=str(folder), fix="give a folder that save_pretrained wrote"
        )
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        others = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
        found = f" (found {', '.join(others)})" if others else ""
        raise ModelError(
            f"the model folder holds no safetensors{found}",
            where=str(folder),
            fix="save the model with save_pretrained(..., safe_serialization=True); pickled weights are not loaded",
        )
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.name}={content}\n".encode())
    for name in _CONFIGS:
        path = folder / name
        if path.exists():
            digest.update(f"{name}={_stable_config(path)}\n".encode())
    return digest.hexdigest()[:16]


def _stable_config(path: Path) -> str:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path.name} cannot be read: {error}", where=str(path), fix="save the model anew") from error
    if not isinstance(config, dict):
        raise ModelError(f"{path.name} is not a JSON object", where=str(path), fix="save the model anew")
    return json.dumps({key: value for key, value in config.items() if key not in _VOLATILE}, sort_keys=True)
