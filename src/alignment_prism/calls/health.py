"""Does the service that is called answer at all? Whether to ask it follows from which calls failed, and from no clock.

A *probe*, a short call that holds nothing of the user's, is made

- after the first call, which goes out alone, if the connection, the key, the address or the server failed it;
- after the first `PATIENCE` calls, which are made before all others until one is answered, if none was, whatever failed
  them, and the journal has no answer either: a key without rights is refused like a prompt that a filter stops;
- after `PATIENCE` failures of the service with no answer between them: a dead one is given up within a few calls;
- after the last call, if the service failed `PATIENCE` calls, or half of all if these are fewer.

If the probe is answered, the failures were the requests' own: the run goes on, and the next probe within it takes twice
as many. If it is not, the service is given up, with a count of the failures by cause, and the next run makes the failed
calls again. So neither a provider that refuses any number of prompts standing together nor one reply at which the
connection always breaks can end a run.

Answers to calls that are under way at once come in any order, which the third of these probes depends on. What it ends
early the fourth would end at last: so a run ends well or not by which calls failed and whether the probe is answered.
"""

from __future__ import annotations

from collections import Counter

from alignment_prism.calls.failures import Failure

PATIENCE = 8
"""So many failed calls lead to a probe."""


class Health:
    """What the calls of a run say of the service.

    Attributes:
        works: whether it has answered anything, a probe or a call of an earlier run included.
        failures: of calls, by their words.
        streak: failures of the service since the last answer.
    """

    def __init__(self, *, works: bool) -> None:
        self.works = works
        self.failures: Counter[str] = Counter()
        self.streak = 0
        self._of_service = 0
        self._patience = PATIENCE
        self._before_probe = 0
        self._explained = 0

    def answer(self) -> None:
        """A call was answered."""
        self.works = True
        self.streak = 0

    def fail(self, failure: Failure) -> None:
        """A call was not."""
        self.failures[str(failure)] += 1
        self.streak += failure.cause.of_service
        self._of_service += failure.cause.of_service

    @property
    def doubted(self) -> bool:
        """Whether so many calls in a row failed that a probe is due."""
        return self.streak >= self._patience

    def doubted_at_last(self, calls: int) -> bool:
        """Whether a probe is due after the last of so many calls; not if none failed since one was answered."""
        return self._of_service > self._explained and self._of_service >= min(PATIENCE, (calls + 1) // 2)

    def begin_probe(self) -> None:
        """A probe goes out: its answer explains the failures so far."""
        self._before_probe = self._of_service

    def pass_probe(self) -> None:
        """It was answered."""
        self.works = True
        self._explained = self._before_probe
        if self.doubted:
            self._patience *= 2
