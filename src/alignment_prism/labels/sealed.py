"""Files of JSON that carry the digest of what is in them, so that nobody alters them unseen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from alignment_prism.domain import InputError, PrismError
from alignment_prism.domain.errors import reason


class Sealed(Protocol):
    """What has a digest of its content."""

    @property
    def digest(self) -> str:
        """Key of its content."""


S = TypeVar("S", bound=Sealed)


def read_sealed(
    path: str | Path, seal: str, make: Callable[[dict[str, Any]], S], *, what: str, altered: str, fix: str
) -> S:
    """Read what was written with its digest.

    Args:
        path: of the file.
        seal: key of the digest in the file.
        make: the value from the file's other keys.
        what: is in it, for messages.
        altered: what to say where the digest is not that of the value.
        fix: what to do where it cannot be read.

    Raises:
        InputError: the file cannot be read, is something else, or was altered.
    """
    where = str(path)
    try:
        content: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        digest = content.pop(seal)
        found = make(content)
    except PrismError:
        raise
    except (OSError, json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"cannot read the {what}: {reason(error)}", where=where, fix=fix) from error
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise InputError(f"not a {what} file", where=where, fix=fix) from error
    if found.digest != digest:
        raise InputError(altered, where=where, fix=fix)
    return found
