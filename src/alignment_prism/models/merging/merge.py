"""Merging model folders: checks, files, and going on with a merge that was stopped.

A file of the result is laid out as that of the first model (or the base): its header first, then tensor by tensor. So
what is there of a file that was cut off says by its size which tensors are whole.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

from alignment_prism.domain.errors import InputError, ModelError, StoreError
from alignment_prism.domain.progress import Progress
from alignment_prism.io import write_text
from alignment_prism.models.merging.arithmetic import FROM_BASE, MERGES, Array, Merge
from alignment_prism.models.weights import weights_digest

PIECE = 1 << 20
"""Numbers of a piece: 4 MiB in float32."""
KEY = "merge.json"
"""What a merge that is under way is made from, beside its files."""
_COPIED = ("*.json", "*.jinja", "*.model", "*.txt")
_HEADS = ("lm_head.weight", "embed_out.weight")
"""Ends of the names of output embeddings, which many models share with their input embeddings."""
_TYPES = {"F64": "float64", "F32": "float32", "BF16": "bfloat16", "F16": "float16"}


def merge_models(
    merge: Merge,
    models: Sequence[str | Path],
    out: str | Path,
    *,
    base: str | Path | None = None,
    progress: Progress | None = None,
) -> None:
    """Merge models into a folder that loads like any other; a merge that was stopped goes on where it was.

    Tokenizer, chat template and settings are those of the base, or of the first model where there is none.

    Args:
        merge: how.
        models: folders of one architecture, with safetensors.
        out: the folder to make, or to finish.
        base: folder of the model that the changes are taken from, for `task_arithmetic`, `ties` and `dare_ties`.
        progress: told tensors done and in all.

    Raises:
        InputError: the settings do not fit the models.
        ModelError: a folder is no model, or another than the first.
        StoreError: the folder holds another merge.
    """
    folders = [Path(model) for model in models]
    _check(merge, len(folders), base is not None)
    readers = [_Weights(folder) for folder in folders]
    origin = _Weights(Path(base)) if base is not None and merge.method in FROM_BASE else None
    like = origin or readers[0]
    for other in readers:
        _check_alike(like, other)
    target = Path(out)
    _begin(target, merge, [*readers, *([] if origin is None else [origin])])
    names = [name for file in like.files.values() for name in file]
    done = 0
    for path, tensors in like.files.items():
        if (target / path.name).exists():
            done += len(tensors)
            continue
        for _ in _write_file(target / path.name, path, tensors, partial(_merged, merge, readers, origin, like)):
            done += 1
            if progress is not None:
                progress(done, len(names), "merging")
    for pattern in _COPIED:
        for source in like.folder.glob(pattern):
            shutil.copyfile(source, target / source.name)
    (target / KEY).unlink()


def _merged(merge: Merge, readers: Sequence[_Weights], origin: _Weights | None, like: _Weights, name: str) -> Any:
    """The pieces of one tensor of the result; a copy of another tensor is merged as that one is."""
    name = like.copies.get(name, name)
    if not like.is_float(name):
        return like.raw(name)
    models = [partial(reader.pieces, name) for reader in readers]
    return MERGES[merge.method](merge, name, models, None if origin is None else partial(origin.pieces, name))


class _Weights:
    """The tensors of a model folder, read piece by piece.

    Attributes:
        folder: of the model.
        files: path -> the headers of its tensors, by name, in the order of the file.
        copies: name of an output embedding -> that of the input embedding which it is a copy of.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / "config.json").is_file():
            fix = "give folders that save_pretrained wrote; merge adapters into their base first"
            raise ModelError("not the folder of a whole model", where=str(folder), fix=fix)
        paths = sorted(folder.glob("*.safetensors"))
        if not paths:
            raise ModelError("the model has no safetensors weights", where=str(folder), fix="save it with safetensors")
        self.folder = folder
        self.files = {path: _header(path) for path in paths}
        self.place = {name: path for path, tensors in self.files.items() for name in tensors}
        heads = [name for name in self.place if name.endswith(_HEADS)] if _ties(folder) else []
        self.copies = {head: name for head in heads for name in self._copied_by(head)}

    @property
    def tensors(self) -> set[str]:
        """Names of the tensors, without those that are copies of another: one model stores them, the next does not."""
        return self.place.keys() - self.copies.keys()

    def _copied_by(self, head: str) -> list[str]:
        """Names of the tensors that an output embedding has every number of; none or one."""
        return [name for name in self.place if name != head and _equal(self, head, self, name)]

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.files[self.place[name]][name]["shape"])

    def kind(self, name: str) -> str:
        """How the numbers of a tensor are held, as safetensors calls it: `BF16`, `I64`, `F8_E4M3`, ..."""
        kind: str = self.files[self.place[name]][name]["dtype"]
        return kind

    def is_float(self, name: str) -> bool:
        return self.kind(name) in _TYPES

    def raw(self, name: str) -> Iterator[bytes]:
        """The bytes of a tensor, piece by piece."""
        path = self.place[name]
        first, last = self.files[path][name]["data_offsets"]
        with path.open("rb") as file:
            begin = 8 + int.from_bytes(file.read(8), "little") + first
            file.seek(begin)
            for start in range(first, last, PIECE):
                yield file.read(min(PIECE, last - start))

    def pieces(self, name: str) -> Iterator[Array]:
        """The numbers of a tensor, flat: float64 where the file has them, else float32; others as they are."""
        import torch
        from safetensors import safe_open

        with safe_open(self.place[name], framework="pt") as file:
            shape = self.shape(name)
            if not shape:
                parts = iter([file.get_tensor(name)])
            else:
                row = 1
                for size in shape[1:]:
                    row *= size
                rows = max(1, PIECE // max(row, 1))
                view = file.get_slice(name)
                parts = (view[start : start + rows] for start in range(0, shape[0], rows))
            for part in parts:
                if part.is_floating_point() and part.dtype != torch.float64:
                    part = part.to(torch.float32)
                numbers: Any = part.reshape(-1).numpy()
                yield numbers


def _header(path: Path) -> dict[str, dict[str, Any]]:
    """The tensors of a safetensors file: name -> dtype, shape and place, in the order of their places."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        content = json.loads(file.read(length))
    content.pop("__metadata__", None)
    return dict(sorted(content.items(), key=lambda entry: entry[1]["data_offsets"]))


def _write_file(target: Path, source: Path, tensors: dict[str, dict[str, Any]], merged: Any) -> Iterator[str]:
    """Write a file laid out as `source` is, from the tensor on that is lacking; tells each one that is done."""
    import torch

    with source.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        file.seek(0)
        head = file.read(8 + length)
    unfinished = target.with_name(f"{target.name}.partial")
    there = unfinished.stat().st_size if unfinished.exists() else 0
    with unfinished.open("r+b" if there >= len(head) else "wb") as file:
        if there < len(head):
            file.write(head)
        for name, tensor in tensors.items():
            first, last = (len(head) + offset for offset in tensor["data_offsets"])
            if there < last:
                file.seek(first)
                file.truncate()
                kind = getattr(torch, _TYPES[tensor["dtype"]]) if tensor["dtype"] in _TYPES else None
                for piece in merged(name):
                    if kind is None:  # bytes, the same in all models
                        file.write(piece)
                    else:
                        file.write(torch.from_numpy(piece).to(kind).view(torch.uint8).numpy().data)
                file.flush()
            yield name
        os.fsync(file.fileno())
    unfinished.replace(target)


def _check(merge: Merge, models: int, has_base: bool) -> None:
    if merge.method not in MERGES:
        raise InputError(f"unknown way to merge {merge.method!r}", fix=f"use one of: {', '.join(MERGES)}")
    least = 1 if merge.method in FROM_BASE else 2
    if models < least or (merge.method == "slerp" and models != 2):
        wanted = "two models" if merge.method == "slerp" else f"{least} models or more"
        raise InputError(f"{merge.method} of {models} models", fix=f"give it {wanted}")
    if merge.method in FROM_BASE and not has_base:
        raise InputError(f"{merge.method} adds up changes of a base, and there is none", fix="name the base")
    weights = merge.of(models)
    if merge.method == "slerp" and merge.weights is not None:
        raise InputError(f"slerp with the weights {list(weights)}", fix="give t, and no weights")
    if not all(map(isfinite, (*weights, merge.scale))):
        raise InputError(f"weights {list(weights)}, scale = {merge.scale:g}", fix="give finite numbers")
    if len(weights) != models or sum(weights) == 0 or (merge.method in FROM_BASE[1:] and min(weights) <= 0):
        raise InputError(
            f"weights {list(weights)} for {models} models",
            fix="give one for each model; their sum is not 0, and for ties and dare_ties each is above 0",
        )
    if not 0 <= merge.t <= 1 or not 0 < merge.density <= 1:
        raise InputError(
            f"t = {merge.t:g}, density = {merge.density:g}", fix="t is 0 to 1, density above 0 and up to 1"
        )


def _check_alike(like: _Weights, other: _Weights) -> None:
    """The same tensors of the same shapes, numbers that can be added up, and the same tokens."""
    if alone := sorted(like.tensors ^ other.tensors):
        name = next((name for name in alone if not name.endswith(_HEADS)), alone[0])
        what = f"the models are of different architectures: one of them alone has {name}"
        if name.endswith(_HEADS):
            what = f"one of them alone has an output embedding of its own, {name}; the other shares its input embedding"
        raise ModelError(
            what,
            where=f"{like.folder} and {other.folder}",
            fix="merge models that were trained from one base",
        )
    for name in sorted(like.tensors):
        if like.shape(name) != other.shape(name):
            raise ModelError(
                f"{name} has the shape {list(like.shape(name))} in one model, {list(other.shape(name))} in the other",
                where=f"{like.folder} and {other.folder}",
                fix="merge models that were trained from one base",
            )
    for name in sorted(like.tensors):
        if not (like.is_float(name) and other.is_float(name)) and not _equal(like, name, other, name):
            raise ModelError(
                f"{name} is held as {like.kind(name)} in one model, {other.kind(name)} in the other, and differs",
                where=f"{like.folder} and {other.folder}",
                fix="merge models in float32, bfloat16 or float16: those that were quantised as they were before",
            )
    if _vocabulary(like.folder) != _vocabulary(other.folder) or _differ(_added(like.folder), _added(other.folder)):
        raise ModelError(
            "the models' tokenizers have different tokens, so their embeddings do not fit together",
            where=f"{like.folder} and {other.folder}",
            fix="merge models that were trained from one base",
        )


def _equal(like: _Weights, name: str, other: _Weights, its: str) -> bool:
    """Whether a tensor of one model is a tensor of another, or another one of the same, byte by byte."""
    return (
        like.kind(name) == other.kind(its)
        and like.shape(name) == other.shape(its)
        and all(one == another for one, another in zip(like.raw(name), other.raw(its), strict=True))
    )


def _ties(folder: Path) -> bool:
    """Whether a model's output embedding is to be its input embedding, as its config says; it need not say so."""
    try:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return bool({**content, **(content.get("text_config") or {})}.get("tie_word_embeddings", True))
    except (ValueError, AttributeError, TypeError, RecursionError):
        return True


def _vocabulary(folder: Path) -> Any:
    try:
        return json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _added(folder: Path) -> dict[int, str]:
    """Id -> token, of those that were added to a tokenizer; models may have added further ones."""
    try:
        content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        return {int(one["id"]): str(one["content"]) for one in content.get("added_tokens") or ()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _differ(one: dict[int, str], other: dict[int, str]) -> bool:
    """Whether an id that both know is of another token."""
    return any(one[number] != other[number] for number in one.keys() & other.keys())


def _begin(target: Path, merge: Merge, readers: Sequence[_Weights]) -> None:
    """Make the folder, or find that it holds this very merge, begun."""
    key = json.dumps({**asdict(merge), "of": [weights_digest(reader.folder) for reader in readers]})
    target.mkdir(parents=True, exist_ok=True)
    if not any(target.iterdir()):
        write_text(target / KEY, key)
    if not (target / KEY).exists():
        what = "the folder is not empty, and no merge was begun in it"
        raise StoreError(what, where=str(target), fix="choose another folder")
    if (target / KEY).read_text(encoding="utf-8") != key:
        what = "the folder holds another merge than this one, begun"
        raise StoreError(what, where=str(target), fix="choose another folder, or remove it")
