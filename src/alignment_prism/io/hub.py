"""Rows of a dataset on the Hugging Face Hub, at a revision that is recorded.

Naming a Hub dataset is the permission to reach for it; nothing else here uses a network. A copy in the cache is used
when the Hub cannot be reached, and `HF_HUB_OFFLINE=1` forbids trying.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alignment_prism.domain import InputError
from alignment_prism.io.problems import Intake, Row

if TYPE_CHECKING:
    from datasets import Dataset

_COMMIT = re.compile("[0-9a-f]{40}")
_PATIENCE = 10  # seconds until the Hub counts as out of reach


@dataclass(frozen=True, slots=True)
class HubRows:
    """A split of a Hub dataset.

    Attributes:
        name: `repo@sha8/split`, or the folder's path where the data are local.
        sha: the commit that the revision stands for; empty for a folder, or where only a cache was at hand that
            does not tell.
        length: number of rows.
        rows: the rows, read as they are taken.
    """

    name: str
    sha: str
    length: int
    rows: Iterator[Row]


def resolve_revision(repo: str, revision: str) -> str:
    """The commit a revision of a dataset stands for: asked from the Hub, or else from the cache.

    Raises:
        InputError: neither knows it.
    """
    import huggingface_hub as hub
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    if _COMMIT.fullmatch(revision):
        return revision
    where = f"dataset {repo!r} at revision {revision!r}"
    reason: Exception | str = "HF_HUB_OFFLINE is set"
    if not constants.HF_HUB_OFFLINE:
        try:
            return str(hub.HfApi().dataset_info(repo, revision=revision, timeout=_PATIENCE).sha)
        except GatedRepoError as error:
            fix = "accept its terms on its page and set HF_TOKEN (prism doctor checks it)"
            raise InputError("the dataset is gated", where=where, fix=fix) from error
        except RevisionNotFoundError as error:
            raise InputError("no such revision", where=where, fix="use a branch, tag or commit of it") from error
        except RepositoryNotFoundError as error:
            raise InputError(
                "no such dataset on the Hub", where=where, fix="check the name, or set HF_TOKEN"
            ) from error
        except (HfHubHTTPError, OSError, ValueError, RuntimeError) as error:
            reason = error
        except Exception as error:
            if not _of_transport(error):  # the cache may still do where nothing can be reached
                raise
            reason = error
    folder = Path(constants.HF_HUB_CACHE) / ("datasets--" + repo.replace("/", "--")) / "refs" / revision
    if folder.is_file():
        return folder.read_text(encoding="utf-8").strip()
    raise InputError(
        f"the Hub cannot be reached and the dataset is not in the cache ({str(reason).splitlines()[0][:120]})",
        where=where,
        fix="go online once, or download it and name the file instead",
    )


def load_hub_rows(
    repo: str, split: str, revision: str = "main", *, config: str | None = None, intake: Intake | None = None
) -> HubRows:
    """Rows of one split of a Hub dataset, or of a local folder with one, through `datasets`.

    Args:
        repo: Hub id (`CohereLabs/aya_redteaming`) or a folder.
        split: its name.
        revision: branch, tag or commit; it is resolved to a commit first, and that commit is loaded.
        config: the dataset's configuration, where it has several.
        intake: counts the rows as read.

    Raises:
        InputError: the dataset, revision, configuration or split does not exist or cannot be reached.
    """
    import datasets

    intake = intake if intake is not None else Intake()
    local = Path(repo).is_dir()
    sha = "" if local else resolve_revision(repo, revision)
    offline = not local and not _is_reachable(repo, sha)
    name = f"{repo}/{split}" if local else f"{repo}@{sha[:8]}/{split}"
    where = f"{name} (configuration {config!r})" if config else name
    try:
        with_progress = datasets.is_progress_bar_enabled()
        datasets.disable_progress_bars()
        with _without_network() if offline else nullcontext():
            data = datasets.load_dataset(
                repo, config, split=split, revision=None if local else sha, trust_remote_code=False
            )
    except ValueError as error:
        first = str(error).splitlines()[0][:200]
        raise InputError(f"cannot load the split: {first}", where=where, fix="check split and configuration") from error
    except (OSError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        first = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        fix = "check name, split and network; a dataset that needs its own code cannot be loaded"
        raise InputError(f"cannot load the dataset: {first}", where=where, fix=fix) from error
    finally:
        if with_progress:
            datasets.enable_progress_bars()
    if not local:
        data = _of_commit(data, sha, split, where)

    def rows() -> Iterator[Row]:
        for number, values in enumerate(data, start=1):
            intake.read()
            yield Row(name, number, values)

    return HubRows(name, sha, len(data), rows())


def _of_transport(error: Exception) -> bool:
    """Whether a client of the Hub failed to reach it: each raises the classes of its own transport."""
    return type(error).__module__.startswith(("httpx", "httpcore", "requests", "urllib3"))


def _is_reachable(repo: str, sha: str) -> bool:
    """Whether the Hub answers at all, whatever it says of the dataset; asked once.

    `datasets` finds out by asking for each file six times with pauses in between: 25 seconds of nothing before the copy
    in the cache is taken.
    """
    import huggingface_hub as hub
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        hub.HfApi().dataset_info(repo, revision=sha, timeout=_PATIENCE)
    except HfHubHTTPError:
        return True
    except Exception as error:
        if not isinstance(error, OSError) and not _of_transport(error):
            raise
        return False
    return True


@contextmanager
def _without_network() -> Iterator[None]:
    """Let the clients of the Hub read their caches only, as they do where `HF_HUB_OFFLINE=1` is set."""
    import datasets
    from huggingface_hub import constants

    before = datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before


def _of_commit(data: Dataset, sha: str, split: str, where: str) -> Dataset:
    """The rows of the commit that was asked for.

    Where the Hub cannot be reached, `datasets` takes whatever commit of the dataset it fetched last; its folder in the
    cache has the commit's name.

    Raises:
        InputError: the cache has another commit only.
    """
    import datasets

    folder = next((Path(each["filename"]).parent for each in data.cache_files), None)
    if folder is None or folder.name == sha or not _COMMIT.fullmatch(folder.name):
        return data
    of_split = re.compile(rf"-{re.escape(split)}(-\d+-of-\d+)?\.arrow")
    files = [path for path in sorted((folder.parent / sha).glob("*.arrow")) if of_split.search(path.name)]
    if not files:
        raise InputError(
            f"the Hub cannot be reached, and the cache has another commit of the dataset ({folder.name[:8]})",
            where=where,
            fix="go online once, or read that commit",
            settings={"revision": folder.name},
        )
    return datasets.concatenate_datasets([datasets.Dataset.from_file(str(path)) for path in files])
