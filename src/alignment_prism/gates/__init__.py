"""Gates: what a release must keep to, read from a file and decided on findings."""

from alignment_prism.gates.decide import Decision, GateResult, Status, decide
from alignment_prism.gates.ledger import Ledger
from alignment_prism.gates.spec import Cell, Check, Companion, GateSpec, read_gate
from alignment_prism.gates.verdict import markdown

__all__ = [
    "Cell",
    "Check",
    "Companion",
    "Decision",
    "GateResult",
    "GateSpec",
    "Ledger",
    "Status",
    "decide",
    "markdown",
    "read_gate",
]
