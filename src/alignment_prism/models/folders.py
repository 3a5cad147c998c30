"""Where a model's files are: a folder, or the snapshot of a Hub id."""

from __future__ import annotations

from pathlib import Path

from alignment_prism.domain.errors import ModelError

_FILES = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt"]


def model_folder(model: str | Path, revision: str | None = None) -> Path:
    """The folder of a model; for a Hub id that of its snapshot, which is fetched only if it is not in the local cache.

    Args:
        model: a folder that `save_pretrained` wrote, or a Hub id such as `org/name`.
        revision: of the Hub id: branch, tag or commit; None is the default branch.

    Raises:
        ModelError: there is no such folder, a file of weights in it is cut off, or the Hub does not give the model.
    """
    path, name = Path(model), str(model)
    if path.is_dir():
        check_weights(path)
        return path
    if isinstance(model, Path) or path.exists() or name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise ModelError(
            "the model folder does not exist" if not path.exists() else "the model is a file, not a folder",
            where=name,
            fix="give a folder that save_pretrained wrote, or a Hub id such as org/name",
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    if (snapshot := cached_snapshot(name, revision)) is not None:
        return snapshot
    try:  # the user named a remote model, so it may be fetched
        return Path(snapshot_download(name, revision=revision, allow_patterns=_FILES))
    except LocalEntryNotFoundError as error:
        raise ModelError(
            "no such folder and not in the local cache, and the Hub cannot be reached: this machine is offline, or "
            "there is no such model",
            where=name,
            fix="check the spelling; go online once to fetch it, or give a folder",
        ) from error
    except Exception as error:  # the Hub's client raises many kinds: gated, missing, refused
        raise ModelError(
            f"no such folder, and the Hub does not give the model: {type(error).__name__}",
            where=name,
            fix="check the spelling, the network, and, for a gated model, that you are logged in (hf auth login)",
        ) from error


def cached_snapshot(name: str, revision: str | None = None) -> Path | None:
    """The folder in the local cache that holds a model of the Hub, named by its commit; None if it is not there.

    Raises:
        ModelError: the name cannot be a Hub id.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_FILES, local_files_only=True))
    except HFValidationError as error:
        raise ModelError("neither a model folder nor a Hub id", where=name, fix="check the spelling") from error
    except OSError:
        return None


def check_weights(folder: Path) -> None:
    """Check by their headers that the safetensors files of a folder are whole; no weight is read.

    Raises:
        ModelError: one is cut off, is no safetensors file, or cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="np"):
                pass
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"the model cannot be loaded: the file is cut off, or no safetensors file ({error})",
                where=str(path),
                fix="fetch or save the model again: the file was probably not copied to its end",
            ) from error
