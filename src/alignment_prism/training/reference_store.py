"""Reference log-probabilities per example, kept so that a new mixture computes only what is new.

A value depends on the weights, the chat template's work (which is in the token ids, and named apart for looking),
the numerics of the pass, and the tokens. All of that is in the key; nothing else is, so two mixtures that share
examples share their values.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from alignment_prism.calls.journal import CallJournal, call_key
from alignment_prism.store.locks import turn_to_write


@dataclass(frozen=True, slots=True)
class ReferenceSpace:
    """What all values of one pass share.

    Attributes:
        weights: digest of the weights.
        template: digest of the chat template.
        dtype: of the pass (`bfloat16`).
        attention: implementation of attention (`eager`, `sdpa`): their sums differ in the last digits.
    """

    weights: str
    template: str
    dtype: str
    attention: str

    @property
    def digest(self) -> str:
        """Name of the file that holds the space's values."""
        return call_key(asdict(self))[:32]


def example_key(prompt_ids: Sequence[int], completion_ids: Sequence[int]) -> str:
    """Key of one example within a space: its tokens, and where the completion begins."""
    tokens = array("q", [len(prompt_ids), *prompt_ids, *completion_ids])
    return hashlib.sha256(tokens.tobytes()).hexdigest()[:40]


class ReferenceStore:
    """Summed log-probabilities of completions under a reference model; several processes may add to it.

    Args:
        folder: where the values are kept, one journal a space.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._journals: dict[str, CallJournal] = {}

    def get_many(self, space: ReferenceSpace, keys: Iterable[str]) -> list[float | None]:
        """The values under `keys`, in their order; None where there is none yet.

        Raises:
            StoreError: the folder may not be written to, before anything is computed for it.
        """
        journal = self._journal(space)
        return [journal.get(key) for key in keys]

    def put_many(self, space: ReferenceSpace, values: Mapping[str, float]) -> None:
        """Keep `values`: key of the example -> sum of the completion's log-probabilities, in nats."""
        journal = self._journal(space)
        with turn_to_write(journal.path.with_suffix(".lock")):
            for key, value in values.items():
                journal.put(key, float(value))
            journal.close()

    def _journal(self, space: ReferenceSpace) -> CallJournal:
        if space.digest not in self._journals:
            path = self.folder / f"{space.digest}.jsonl"
            with turn_to_write(path.with_suffix(".lock")):  # a folder that may not be written to is found out here
                self._journals[space.digest] = CallJournal(path)
        return self._journals[space.digest]
