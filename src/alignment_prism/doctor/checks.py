"""Checks of a machine and of what a study names: each says what it found and, where something is amiss, what to do.

Nothing here loads a model or imports a framework: versions come from package metadata, devices from `nvidia-smi`,
models from their small files. A network is used only for a model or judge that the user names.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from alignment_prism.domain import InputError, PrismError, StoreError
from alignment_prism.scoring.rules.spbleu import model_path, require_model
from alignment_prism.store import check_within

Status = Literal["ok", "note", "bad"]

PACKAGES = (
    "torch",
    "transformers",
    "accelerate",
    "peft",
    "inspect-ai",
    "datasets",
    "pyarrow",
    "vllm",
)
"""Packages whose versions are listed."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: of the thing.
        status: `ok`, `note` (works, but worth knowing) or `bad` (will not work).
        what: what was found.
        fix: what to do, empty where nothing needs doing.
    """

    name: str
    status: Status
    what: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU: its name, and its memory in bytes, all of it and what is free."""

    name: str
    total: float
    free: float


def versions() -> list[Check]:
    """Python and the packages that matter."""
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            if package != "vllm":
                found.append(f"{package} MISSING")
    missing = [entry.split()[0] for entry in found if entry.endswith("MISSING")]
    python = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    checks = [Check("python", "ok" if sys.version_info >= (3, 11) else "bad", python)]
    if missing:
        fix = "pip install -c constraints.txt -e ."
        return [*checks, Check("packages", "bad", "missing: " + ", ".join(missing), fix)]
    return [*checks, Check("packages", "ok", ", ".join(found))]


def gpus(command: tuple[str, ...] = ("nvidia-smi",)) -> list[Gpu]:
    """GPUs that `nvidia-smi` knows; none where it is absent or fails."""
    query = ("--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits")
    try:
        done = subprocess.run([*command, *query], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    found = []
    for line in done.stdout.splitlines():
        parts = [part.strip() for part in line.split(",")]
        try:
            name, total, free = parts
            found.append(Gpu(name, float(total) * 2**20, float(free) * 2**20))
        except ValueError:
            continue
    return found


def devices(found: list[Gpu]) -> list[Check]:
    """Processor, memory, GPUs, and whether the installed torch can use them."""
    cores = os.cpu_count() or 1
    checks = [Check("processor", "ok", f"{cores} cores, {memory_of_machine() / 1e9:.0f} GB of memory")]
    try:
        build = metadata.version("torch").partition("+")[2]
    except metadata.PackageNotFoundError:
        build = ""
    if not found:
        return [*checks, Check("gpu", "note", "none; nano and small models run on the processor")]
    for gpu in found:
        checks.append(Check("gpu", "ok", f"{gpu.name}, {gpu.total / 1e9:.0f} GB, {gpu.free / 1e9:.0f} GB free"))
    if build == "cpu":
        fix = "install the CUDA build of the same torch version"
        checks.append(Check("torch", "bad", "a build for the processor only, beside a GPU", fix))
    return checks


def memory_of_machine() -> float:
    """Memory of the machine in bytes; 0 where the system does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError, AttributeError):
        return 0.0


def disk(folder: Path, needed: float = 0.0) -> Check:
    """Room where results go, and whether they may be written there."""
    place = folder.resolve()
    while not place.exists():
        place = place.parent
    try:
        check_within(folder)
    except StoreError as error:
        return Check("disk", "bad", f"{folder}: {error.what}", "name another folder for results")
    free = shutil.disk_usage(place).free
    what = f"{free / 1e9:.0f} GB free at {place}"
    if needed > free:
        fix = "name another folder for results, or set training.save_precision: bf16 and training.save_every: 0"
        return Check("disk", "bad", f"{what}, {needed / 1e9:.0f} GB needed", fix)
    return Check("disk", "ok", what + (f", {needed / 1e9:.1f} GB needed" if needed else ""))


def four_bits(*, elsewhere: bool) -> Check:
    """Whether weights can be held in four bits here; where the training runs elsewhere, that is only worth knowing."""
    from alignment_prism.training.backends.quantised import check_quantised

    try:
        check_quantised(4)
    except PrismError as error:
        return Check("four bits", "note" if elsewhere else "bad", error.what, error.fix or "")
    return Check("four bits", "ok", "bitsandbytes is here; we have run it on CPUs, and not on a GPU yet")


def hub_token() -> Check:
    """Whether a Hub token is at hand; gated models and data sets need one."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    if os.environ.get("HF_HUB_OFFLINE", "0") not in {"", "0"}:
        return Check("hub", "note", "HF_HUB_OFFLINE is set: only what is in the cache can be used")
    if os.environ.get("HF_TOKEN") or (home / "token").is_file():
        return Check("hub", "ok", "a token is at hand")
    fix = "set HF_TOKEN, after accepting the terms on the page of what is gated"
    return Check("hub", "note", "no token: gated models (Aya 23 among them) cannot be loaded", fix)


def spbleu() -> Check:
    """The SentencePiece model that spBLEU on FLORES-200 needs; nothing here fetches it."""
    try:
        require_model()
    except InputError as error:
        if model_path().is_file():
            return Check("spbleu", "bad", error.what, error.fix or "")
        return Check("spbleu", "note", f"{error.what}: translations are scored by chrF++ alone", error.fix or "")
    return Check("spbleu", "ok", f"its model is at {model_path()}")


def chat_template(files: Mapping[str, str]) -> Check:
    """Whether a model's small files have a chat template.

    Args:
        files: content of `tokenizer_config.json` and `chat_template.jinja`, as far as the model has them.
    """
    if files.get("chat_template.jinja", "").strip():
        return Check("chat template", "ok", "chat_template.jinja")
    try:
        config = json.loads(files.get("tokenizer_config.json", "{}"))
    except ValueError:
        return Check("chat template", "bad", "tokenizer_config.json is not JSON", "fetch the model again")
    if config.get("chat_template"):
        return Check("chat template", "ok", "in tokenizer_config.json")
    fix = "use the instruction-tuned model, or put its chat_template.jinja beside the tokenizer"
    return Check("chat template", "bad", "none: prompts cannot be put into the model's form", fix)
