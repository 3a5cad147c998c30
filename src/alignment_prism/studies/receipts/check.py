"""Checking a receipt: that no byte was changed, that the numbers follow from the scores, that gates came first."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from alignment_prism.domain import InputError, Signature, StoreError
from alignment_prism.domain.errors import reason
from alignment_prism.studies.analysis import analyse, analyse_contrasts, analyse_transfer, corrected_by_passport
from alignment_prism.studies.receipts.declarations import first_verdict, read_declarations
from alignment_prism.studies.receipts.seal import COMMITMENTS, PASSPORT, RECEIPT, digests, read_key, root_of
from alignment_prism.studies.receipts.withhold import Withheld
from alignment_prism.studies.study import Study

CLOSE = 1e-9
"""Relative difference up to which two numbers are the same: machines add in different orders."""


@dataclass(frozen=True)
class Checked:
    """What a receipt was found to be.

    Attributes:
        root: of the receipt.
        faults: what is wrong, a line each; empty where nothing is.
        recomputed: numbers that were recomputed and agree.
        gates: of each declared gate whether it came before the first verdict, in words.
        texts: texts that are those committed to; -1 where they were not at hand.
    """

    root: str
    faults: tuple[str, ...]
    recomputed: int
    gates: tuple[str, ...]
    texts: int = -1


def check_receipt(
    folder: str | Path, *, root: str = "", study: str | Path | None = None, key: str | Path | None = None
) -> Checked:
    """Check a receipt, without a text; with the study and the key also that the texts are those committed to.

    Args:
        folder: of the receipt.
        root: that was published; empty where none was.
        study: the folder that it is of, where that is at hand.
        key: of the receipt.

    Raises:
        StoreError: the folder holds no receipt.
        InputError: a file cannot be read at all, there is a study without a key, or the receipt is of another study.
    """
    place = Path(folder)
    if (study is None) != (key is None):
        raise InputError(
            "a study without a key, or a key without a study", where=str(place), fix="give both, or neither"
        )
    content = _content(place)
    faults = list(_changed(place, content, root))
    if faults:  # numbers of changed files say nothing
        return Checked(str(content.get("root", "")), tuple(faults), 0, ())
    opened, texts = Study.open(place), -1
    whole = None if study is None else _study_of(opened, content, study)
    same, wrong = _recompute(opened)
    if whole is not None and key is not None:
        texts, other = _open_texts(place, whole, read_key(key))
        wrong += other
    gates, late = _gates(place)
    return Checked(content["root"], (*wrong, *late), same, tuple(gates), texts)


def _content(place: Path) -> dict[str, Any]:
    path = place / RECEIPT
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        what = f"no receipt can be read there: {reason(error)}"
        raise StoreError(what, where=str(path), fix="name its folder") from error
    if not isinstance(content, dict) or not isinstance(content.get("files"), dict):
        raise StoreError("not a receipt", where=str(path), fix="name the folder of a receipt")
    return content


def _changed(place: Path, content: dict[str, Any], root: str) -> Iterator[str]:
    """Files that are not what the receipt says, and a receipt that is not what its root says."""
    stored = (place / RECEIPT).read_text(encoding="utf-8")
    if stored != json.dumps(content, ensure_ascii=False, indent=2) + "\n" or content.get("root") != root_of(content):
        yield f"{RECEIPT} was changed: its root is not that of what it says"
    if root and content.get("root") != root.strip().lower():
        yield f"the root is {content.get('root')}, and not the one that was published"
    found, said = digests(place), content["files"]
    yield from (f"{name} was changed" for name in sorted(said) if name in found and found[name] != said[name])
    yield from (f"{name} is missing" for name in sorted(set(said) - set(found)))
    yield from (f"{name} is not of the receipt" for name in sorted(set(found) - set(said)))


def _study_of(receipt: Study, content: dict[str, Any], folder: str | Path) -> Study:
    """The study in a folder.

    Raises:
        InputError: it is not the one that was sealed: its steps are others.
    """
    study = Study.open(folder)
    sealed, there = set(receipt.steps), set(study.steps)
    if sealed != there:
        what = (
            f"the receipt is of another study than the folder holds: of {receipt.name!r}, sealed {content['sealed']}, "
            f"with {len(sealed)} steps; the folder is of {study.name!r}, with {len(there)}, {len(sealed & there)} of "
            "them the same"
        )
        fix = "name the folder that it was sealed from; a study that was given other arms since then is another"
        raise InputError(what, where=str(folder), fix=fix)
    return study


def _recompute(study: Study) -> tuple[int, list[str]]:
    """How many numbers follow from the scores, and which do not."""
    spec = study.spec
    if spec.passport is not None:
        own = spec.passport.model_copy(update={"file": str(study.out / PASSPORT)})
        spec = spec.model_copy(update={"passport": own})
    arms = study.arms()
    findings = analyse(study, arms)
    findings += corrected_by_passport(spec, findings)[0]
    contrasts = analyse_contrasts(study, arms).rows if spec.contrasts and findings else ()
    count, faults = 0, []
    for name, stored, made in (
        ("findings", study.findings(), findings),
        ("contrasts", study.contrasts(), contrasts),
        ("transfer", study.transfer(), analyse_transfer(study, arms) if findings else ()),
    ):
        labels: dict[str, str] = {}
        if len(stored) != len(made):
            faults.append(f"{name}: {len(stored)} rows are stored, {len(made)} follow from the scores")
        for number, (one, other) in enumerate(zip(stored, made, strict=False), start=1):
            wrong = _difference(one, other, labels)
            if wrong and len(faults) < 20:
                faults.append(f"{name}, row {number}: {wrong}")
            count += not wrong
    return count, faults


def _difference(stored: Any, made: Any, labels: dict[str, str]) -> str:
    """In what two rows differ, in words; the digest of the prompts' texts may, if it does so everywhere alike."""
    for field in fields(stored):
        one, other = getattr(stored, field.name), getattr(made, field.name)
        if field.name == "signature":
            one, other = _without_texts(one, other, labels)
        if isinstance(one, float) and isinstance(other, (float, int)):
            equal = (math.isnan(one) and math.isnan(other)) or math.isclose(one, other, rel_tol=CLOSE, abs_tol=1e-12)
        else:
            equal = one == other
        if not equal:
            return f"{field.name} is stored as {one!r}, and the scores give {other!r}"
    return ""


def _without_texts(stored: str, made: str, labels: dict[str, str]) -> tuple[str, str]:
    """Two signatures, that of the stored row with the digest of the prompts without texts in place of its own."""
    ours, theirs = (dict(Signature.parts(one)).get("prompts", "") for one in (stored, made))
    if not ours or labels.setdefault(ours, theirs) != theirs:
        return stored, made
    return stored.replace(f"prompts:{ours}", f"prompts:{theirs}", 1), made


def _gates(place: Path) -> tuple[list[str], list[str]]:
    """What is said of each gate, and which were declared too late."""
    first, said, late = first_verdict(place), [], []
    for one in read_declarations(place):
        words = f"{one.name}: declared {one.at}"
        if one.results or (first is not None and one.at > first):
            said.append(f"{words}, AFTER there were verdicts ({first or 'at an unknown time'})")
            late.append(f"gate {one.name} was declared after there were verdicts")
        elif first is not None:
            said.append(f"{words}, before the first verdict ({first}); digest {one.digest}")
        else:
            said.append(f"{words}, when there were no scores; no verdict has a time; digest {one.digest}")
    return said, late


def _open_texts(place: Path, study: Study, key: bytes) -> tuple[int, list[str]]:
    """How many texts of a study are those that were committed to, and which are not."""
    withheld = Withheld(key)
    for prompt in study.prompts():
        withheld.prompt(prompt)
    for arm in study.arms():
        for reply in arm.generations:
            withheld.reply(reply)
    lines = (place / COMMITMENTS).read_text(encoding="utf-8").splitlines()
    said = {(row["prompt_id"], row["sha256"]) for row in map(json.loads, lines)}
    found = {(prompt_id, commitment) for prompt_id, _, commitment in withheld.commitments}
    faults = [f"a text of prompt {prompt_id} is not what was committed to" for prompt_id, _ in sorted(found - said)]
    faults += [f"a text of prompt {prompt_id} is committed to and not there" for prompt_id, _ in sorted(said - found)]
    return len(found & said), faults[:20]
