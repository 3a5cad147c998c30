"""The ledger of a gate's looks: which look was spent on which findings.

Planned looks share one error. Who decides every release at the first look spends it again and again, so each look is
written down, and is good for one pair of findings only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from alignment_prism.domain import Finding, InputError, content_digest
from alignment_prism.domain.errors import reason
from alignment_prism.gates.spec import GateSpec
from alignment_prism.io import write_text


@dataclass(frozen=True, slots=True)
class Look:
    """One line of a ledger.

    Attributes:
        look: its number.
        gate: digest of the gate without the number of the look.
        findings: digest of the findings of A and B and of their arms.
    """

    look: int
    gate: str
    findings: str


class Ledger:
    """Looks that were spent, in a file of JSON lines.

    Raises:
        InputError: the file is no ledger.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.looks: list[Look] = []
        if not self.path.exists():
            return
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
            self.looks = [Look(**json.loads(line)) for line in lines if line.strip()]
        except (OSError, ValueError) as error:
            what = f"cannot read the looks that were spent: {reason(error)}"
            raise InputError(what, where=str(path), fix="give the gate's own ledger") from error
        except TypeError as error:
            raise InputError("not a ledger of looks", where=str(path), fix="give the gate's own ledger") from error

    def spend(
        self, spec: GateSpec, old: Sequence[Finding], new: Sequence[Finding], arms: tuple[str | None, str | None]
    ) -> None:
        """Write down that the gate's look is spent on these findings; the same again is no other look.

        Raises:
            InputError: the look was spent on other findings, an earlier one of the plan was not spent, or the gate was
                changed since its first look.
            StoreError: the ledger cannot be written.
        """
        if spec.looks is None:
            return
        gate = content_digest(spec.at_look(1).model_dump(mode="json"))
        findings = content_digest([list(map(str, (asdict(row).values()))) for row in (*old, *new)], len(old), arms)
        this = Look(spec.looks.look, gate, findings)
        if this in self.looks:
            return
        if any(one.gate != gate for one in self.looks):
            raise InputError(
                "the gate was changed after its first look", where=str(self.path),
                fix="decide by the gate as it was declared, or declare a new one under a name of its own",
            )  # fmt: skip
        spent = {one.look for one in self.looks}
        if this.look in spent:
            following = max(spent) + 1
            raise InputError(
                f"look {this.look} of {spec.looks.planned} was spent on other findings",
                where=str(self.path),
                fix=f"take look {following}" if following <= spec.looks.planned else "declare a new gate",
                settings={"look": str(following)} if following <= spec.looks.planned else None,
            )
        self.looks.append(this)
        write_text(str(self.path), "".join(json.dumps(asdict(one)) + "\n" for one in self.looks))
