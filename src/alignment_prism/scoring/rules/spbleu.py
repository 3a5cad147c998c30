"""spBLEU: BLEU over the pieces of the SentencePiece model of FLORES-200, which knows the words of no language apart.

The number of an evaluation is sacrebleu's corpus BLEU with its tokenizer `flores200` (Goyal et al. 2022, FLORES-101;
NLLB Team 2022). sacrebleu would download the model; nothing here does: without it, and with another one in its place,
the rule is an error, since scores of two models compare with nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from alignment_prism.domain.errors import InputError
from alignment_prism.domain.metric_table import CHECKABLE_PROMPTS
from alignment_prism.domain.metrics import Corpus, Metric
from alignment_prism.domain.records import Prompt, PromptKind
from alignment_prism.scoring.rules.chrf import POINTS_OF_100, counted
from alignment_prism.scoring.rules.rule import Counted, Rule

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric as SacrebleuMetric

SCORE = "spbleu"

RATE = Metric(
    "spbleu",
    "BLEU of all translations together over the pieces of FLORES-200's model (sacrebleu's corpus score)",
    "spBLEU",
    POINTS_OF_100,
    "higher",
    CHECKABLE_PROMPTS,
    Corpus(SCORE),
    headline=(PromptKind.GENERAL,),
)

MODEL = "flores200sacrebleuspm"
"""Name under which sacrebleu keeps the SentencePiece model of FLORES-200."""

WITHOUT = {"scorers": "[chrf]"}
"""Parameter that leaves spBLEU out."""

ADDRESS = "https://tinyurl.com/flores200sacrebleuspm"
"""Where sacrebleu has it from."""

MODEL_SHA256 = "14bb8dfb35c0ffdea7bc01e56cea38b9e3d5efcdcb9c251d6b40538e1aab555a"
"""Digest of that model, 4,852,054 bytes: the published one of NLLB-200's `sentencepiece.bpe.model`, the same file.

That the two are the same to the byte was found by others (their MD5 is 05c551ae7955b3980d5a9d044eb09d70); sacrebleu
itself publishes no digest.
"""


def model_path() -> Path:
    """Where sacrebleu looks for the model."""
    home = Path(os.environ.get("SACREBLEU") or Path.home() / ".sacrebleu")
    return home / "models" / MODEL


def require_model() -> None:
    """Find out whether spBLEU can be computed here; nothing is fetched.

    Raises:
        InputError: the model is absent, or another file lies in its place, or sentencepiece is not installed.
    """
    from alignment_prism.io.files import sha256_of

    path = model_path()
    if not path.is_file():
        what = f"spBLEU needs the SentencePiece model of FLORES-200, and there is none at {path}"
        fix = f"fetch {ADDRESS} (4,852,054 bytes) and place it at {path}; or leave spBLEU out, chrF++ needs no model"
        raise InputError(what, fix=fix, settings=WITHOUT)
    if (found := sha256_of(path)) != MODEL_SHA256:
        what = f"{path} ({path.stat().st_size:,} bytes, sha256 {found[:12]}...) is not the model of FLORES-200"
        fix = (
            f"take it away and fetch {ADDRESS} again; its sha256 is {MODEL_SHA256}. Scores of another compare with none"
        )
        raise InputError(what, where=str(path), fix=fix)
    try:
        import sentencepiece  # noqa: F401
    except ImportError:
        fix = "install it: pip install 'alignment-prism[translation]'; or leave spBLEU out"
        raise InputError("spBLEU needs the package sentencepiece", where="spbleu", fix=fix, settings=WITHOUT) from None


@lru_cache(maxsize=1)
def sacrebleu_spbleu() -> SacrebleuMetric:
    """sacrebleu's BLEU over the pieces of FLORES-200's model."""
    from sacrebleu.metrics.bleu import BLEU

    metric: SacrebleuMetric = BLEU(tokenize="flores200")
    metric.num_refs = 1
    return metric


def spbleu(prompt: Prompt, reply: str) -> Mapping[str, float | Counted]:
    """spBLEU of a translation, white space at its ends left out."""
    return {SCORE: counted(sacrebleu_spbleu(), reply.strip(), prompt.reference)}


def spbleu_of(counts: Sequence[float]) -> float:
    """BLEU from counts that were summed; the tokenizer has no part in it."""
    from sacrebleu.metrics.bleu import BLEU

    whole = [int(count) for count in counts]
    return float(BLEU(tokenize="none")._compute_score_from_stats(whole).score)


SPBLEU = Rule(
    "spbleu",
    version=1,
    metrics=(RATE, RATE.difference()),
    measure=spbleu,
    applies=lambda prompt: bool(prompt.reference),
    needs="a reference translation",
    ready=require_model,
)
