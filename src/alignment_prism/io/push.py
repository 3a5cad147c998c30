"""A folder with a card onto the Hugging Face Hub: what would be sent, and sending it; private unless it is said.

Naming a repository is the permission to reach for it; nothing else here writes to a network. What is sent is a model of
safetensors or a data set of plain rows: any other file, a link, a folder without a card and harmful texts whose card
does not say so are refused before anything is asked of the Hub.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from alignment_prism.domain import InputError
from alignment_prism.domain.errors import reason
from alignment_prism.io.yaml import YamlDocument

Kind = Literal["model", "dataset"]

CARD, MARK = "README.md", "not-for-all-audiences"
MODEL_FILES = (".safetensors", ".json", ".jinja", ".model", ".txt", ".md", ".yaml")
DATA_FILES = (".parquet", ".jsonl", ".json", ".csv", ".txt", ".md", ".yaml")
"""What a model and a data set are made of. Pickles run code where they are loaded; keys, journals and data bases hold
what nobody means to send."""

HARMFUL_COLUMNS = {"rejected", "harm_category", "global_or_local", "kind", "scope", "outcome"}
"""A data set with one of these holds prompts that are harmful, or replies that are."""

_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, slots=True)
class Push:
    """A folder that can be sent.

    Attributes:
        folder: where it lies.
        repo: `who/name` on the Hub.
        kind: `model` or `dataset`.
        public: whether everybody may read it.
        files: path within the folder and bytes of each file that is sent, in their order.
        hidden: hidden files, which are not sent.
    """

    folder: Path
    repo: str
    kind: Kind
    public: bool
    files: tuple[tuple[str, int], ...]
    hidden: tuple[str, ...] = ()

    @property
    def visibility(self) -> str:
        """`public` or `private`."""
        return "public" if self.public else "private"

    @property
    def size(self) -> int:
        """Of all files, in bytes."""
        return sum(size for _, size in self.files)


def read_push(folder: str | Path, repo: str, *, kind: Kind | None = None, public: bool = False) -> Push:
    """What would be sent of a folder; asks nobody.

    Args:
        folder: of a model (`runs/x/model`) or a data set (`prism preferences export`), with its card.
        repo: `who/name` on the Hub.
        kind: told from the files where it is None.
        public: whether everybody may read it.

    Raises:
        InputError: the folder has no card, or one whose header cannot be read; it holds what is not sent, or harmful
            texts without the mark in the card; its kind cannot be told; the name is none.
    """
    place = Path(folder)
    if not _REPO.fullmatch(repo):
        raise InputError(f"{repo!r} is no repository", fix="name it WHO/NAME, as on the Hub")
    if not place.is_dir():
        raise InputError("no such folder", where=str(folder), fix="check the path")
    if not (place / CARD).is_file():
        inside = f"; its model is in {place / 'model'}" if (place / "model" / CARD).is_file() else ""
        what = f"the folder has no card, so it is not sent{inside}"
        raise InputError(what, where=str(place), fix=f"name a folder with a {CARD} whose header says what it is")
    paths = sorted(path for path in place.rglob("*") if not path.is_dir() or path.is_symlink())
    names = {path.relative_to(place).as_posix(): path for path in paths}
    hidden = [name for name in names if any(part.startswith(".") for part in name.split("/"))]
    sent = {name: path for name, path in names.items() if name not in hidden}
    found = kind or _kind(place, sent)
    allowed = MODEL_FILES if found == "model" else DATA_FILES
    for name, path in sent.items():
        if path.is_symlink():
            raise InputError("a link is not sent: it may lead anywhere", where=str(path), fix="put the file there")
        if path.suffix.lower() not in allowed:
            what = f"{name} is not sent: a {found} is made of {', '.join(allowed)}"
            raise InputError(what, where=str(path), fix="take it out of the folder")
    tags = _tags(place / CARD)
    if found == "dataset" and MARK not in tags:
        for name, path in sent.items():
            if harmful := sorted(HARMFUL_COLUMNS & set(_columns(path))):
                what = f"{name} has the column {harmful[0]}, so it holds harmful texts, and the card does not say so"
                raise InputError(what, where=str(place / CARD), fix=f"add the tag {MARK} to the card's header")
    files = tuple((name, path.stat().st_size) for name, path in sent.items())
    return Push(place, repo, found, public, files, tuple(hidden))


def push(what: Push) -> str:
    """Send a folder as one commit; the repository is made if it is not there.

    Files of the repository that the folder does not have stay; those that it has are replaced.

    Returns:
        The address of the commit.

    Raises:
        InputError: there is no token, or one that may not write there; the Hub cannot be reached; the repository is
            there with another visibility.
    """
    import huggingface_hub as hub
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    token = hub.get_token()
    where = f"{what.kind} {what.repo} at {constants.ENDPOINT}"
    if constants.HF_HUB_OFFLINE:
        raise InputError("HF_HUB_OFFLINE is set, so nothing is sent", where=where, fix="unset it")
    if token is None:
        raise InputError("there is no token for the Hub", where=where, fix="set HF_TOKEN to one that may write")
    api = hub.HfApi(token=token)
    try:
        try:
            private = bool(api.repo_info(what.repo, repo_type=what.kind).private)
        except RepositoryNotFoundError:
            api.create_repo(what.repo, repo_type=what.kind, private=not what.public)
            private = not what.public
        if private == what.public:
            now, other = ("private", "public") if private else ("public", "private")
            raise InputError(
                f"the repository is {now} already, and was to be {other}", where=where,
                fix="change that on its page, or say what it is", settings={"public": str(not private)},
            )  # fmt: skip
        added = [hub.CommitOperationAdd(name, what.folder / name) for name, _ in what.files]
        made = api.create_commit(
            what.repo, added, commit_message=f"Add {what.folder.resolve().name}", repo_type=what.kind
        )
    except InputError:
        raise
    except (HfHubHTTPError, OSError, ValueError, RuntimeError) as error:
        status = getattr(getattr(error, "response", None), "status_code", 0)
        fix = "set HF_TOKEN to one that may write there" if status in (401, 403) else "try again; what is there stays"
        raise InputError(f"the Hub did not take it: {_said(error, token)}", where=where, fix=fix) from None
    except Exception as error:
        if not type(error).__module__.startswith(("httpx", "httpcore")):
            raise
        fix = "check the network; the same command goes on"
        raise InputError(f"the Hub cannot be reached: {_said(error, token)}", where=where, fix=fix) from None
    return str(made.commit_url)


def _said(error: Exception, token: str) -> str:
    """The first line of an error, without the token should it name it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].replace(token, "(token)")[:200]


def _kind(place: Path, names: dict[str, Path]) -> Kind:
    model = "config.json" in names or "adapter_config.json" in names
    data = any(path.suffix in (".parquet", ".jsonl", ".csv") for path in names.values())
    if model == data:
        what = "the folder may be a model or a data set" if model else "the folder is neither a model nor a data set"
        raise InputError(what, where=str(place), fix="say which", settings={"kind": "model"})
    return "model" if model else "dataset"


def _tags(card: Path) -> set[str]:
    """Tags in the header of a card.

    Raises:
        InputError: there is no header, or it cannot be read.
    """
    try:
        text = card.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = f"the card cannot be read: {reason(error)}"
        raise InputError(what, where=str(card), fix="write it as UTF-8") from error
    found = re.match(r"---\n(.*?\n)---\s*\n", text, re.DOTALL)
    content = YamlDocument(found[1], str(card)).content if found else None
    if not isinstance(content, dict):
        fix = "begin it with a header between two lines of ---, with licence, languages and tags"
        raise InputError("the card has no header that the Hub reads", where=str(card), fix=fix)
    tags = content.get("tags") or []
    return {str(tag) for tag in (tags if isinstance(tags, list) else [tags])}


def _columns(path: Path) -> Iterator[str]:
    """Columns of a file of rows, from its schema or head, or row by row; none of another file."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            import pyarrow.parquet

            yield from pyarrow.parquet.read_schema(path).names
        elif suffix == ".csv":
            with path.open(encoding="utf-8", newline="") as file:
                yield from next(csv.reader(file), [])
        elif suffix == ".jsonl":
            with path.open(encoding="utf-8") as file:
                for row in map(json.loads, filter(str.strip, file)):
                    yield from row if isinstance(row, dict) else ()
        elif suffix == ".json":
            rows = json.loads(path.read_text(encoding="utf-8"))
            for row in rows if isinstance(rows, list) else ():
                yield from row if isinstance(row, dict) else ()
    except (OSError, ValueError, csv.Error) as error:
        what = f"cannot be read: {reason(error)}"
        raise InputError(what, where=str(path), fix="take it out of the folder") from error
