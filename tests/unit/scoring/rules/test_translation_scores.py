"""chrF++ and spBLEU against sacrebleu's own corpus scores, and what is said where the model is absent."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest

from alignment_prism.domain import Finding, Generation, InputError, Prompt, PromptKind, Score, Signature, user
from alignment_prism.evaluation import reply_findings
from alignment_prism.prompts import read_prompts
from alignment_prism.prompts.translation_tasks import translation_prompts
from alignment_prism.scoring.rules import score_replies
from alignment_prism.scoring.rules import spbleu as rule


def worse(text: str, rng: random.Random, share: float) -> str:
    return " ".join(word[::-1] if rng.random() < share else word for word in text.split())


@pytest.fixture(scope="module")
def flores(realdata: Path) -> list[Prompt]:
    """Twenty sentences, French and Hindi with English, in both directions."""
    files = [realdata / "flores200" / "devtest" / f"{code}.devtest" for code in ("eng_Latn", "fra_Latn", "hin_Deva")]
    return translation_prompts([one for file in files for one in read_prompts(file)], limit=20)


@pytest.fixture
def replies(flores: list[Prompt]) -> list[Generation]:
    rng = random.Random(1)
    shares = {"base": 0.6, "better": 0.2, "same": 0.6}
    made = [Generation(p.id, arm, "x", worse(p.reference, rng, share)) for arm, share in shares.items() for p in flores]
    base = {one.prompt_id: one.reply for one in made if one.arm == "base"}
    return [one if one.arm != "same" else Generation(one.prompt_id, "same", "x", base[one.prompt_id]) for one in made]


def find(findings: list[Finding], metric: str, arm: str, prompts: str, language: str) -> Finding:
    (found,) = [f for f in findings if (f.metric, f.arm, f.prompts, f.language) == (metric, arm, prompts, language)]
    return found


def test_directions_pair_the_sentences_of_a_line(flores: list[Prompt], realdata: Path) -> None:
    assert {one.subset for one in flores} == {"en-fr", "fr-en", "en-hi", "hi-en"} and len(flores) == 80
    task = next(one for one in flores if one.subset == "en-hi")
    line = int(task.group.rpartition("-")[2])
    text = (realdata / "flores200" / "devtest" / "hin_Deva.devtest").read_text(encoding="utf-8").splitlines()[line - 1]
    assert (task.language, task.reference) == ("hi", text) and "from English into Hindi" in task.text
    same = {one.group for one in flores if one.subset == "en-fr"}
    assert same == {one.group for one in flores if one.subset == "hi-en"}


def test_unpaired_files_are_refused(realdata: Path) -> None:
    folder = realdata / "flores200"
    dev, devtest = folder / "dev" / "eng_Latn.dev", folder / "devtest" / "fra_Latn.devtest"
    with pytest.raises(InputError, match="of which 0 are parallel"):
        translation_prompts([*read_prompts(dev), *read_prompts(devtest)])
    with pytest.raises(InputError, match="sentences in en"):
        translation_prompts(read_prompts(dev))


def test_chrf_is_sacrebleus_corpus_score(flores: list[Prompt], replies: list[Generation]) -> None:
    from sacrebleu.metrics.chrf import CHRF

    findings = reply_findings(flores, replies, score_replies(flores, replies, ["chrf"]), study="s")
    for arm in ("base", "better"):
        by_id = {one.prompt_id: one.reply for one in replies if one.arm == arm}
        for direction in ("en-fr", "hi-en"):
            mine = [one for one in flores if one.subset == direction]
            metric = CHRF(word_order=2)
            expected = metric.corpus_score([by_id[one.id] for one in mine], [[one.reference for one in mine]])
            row = find(findings, "chrf", arm, f"general/{direction}", mine[0].language)
            assert row.estimate == pytest.approx(expected.score, abs=1e-9) and row.n == 20
            assert row.lower < row.estimate < row.upper
            assert f"sacrebleu:{str(metric.get_signature()).replace('|', ',')}" in row.signature
    languages = [find(findings, "chrf", "base", "general", code).estimate for code in ("en", "fr", "hi")]
    assert find(findings, "chrf", "base", "general", "macro").estimate == pytest.approx(sum(languages) / 3)
    better = find(findings, "chrf_difference", "better", "general", "all")
    assert better.lower > 0 and better.q_value < 0.05
    same = find(findings, "chrf_difference", "same", "general", "all")
    assert (same.estimate, same.lower, same.upper, same.q_value) == (0.0, 0.0, 0.0, 1.0)  # drawn together


def test_an_absent_model_is_named_with_path_and_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACREBLEU", str(tmp_path))
    prompts = [Prompt("p", user("?"), "fr", PromptKind.GENERAL, reference="Bonjour.")]
    with pytest.raises(InputError) as error:
        score_replies(prompts, [Generation("p", "m", "x", "Bonjour.")], ["chrf", "spbleu"])
    assert str(tmp_path / "models" / "flores200sacrebleuspm") in error.value.what
    assert rule.ADDRESS in (error.value.fix or "")


def test_spbleu_is_sacrebleus_corpus_score(
    flores: list[Prompt], replies: list[Generation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a small SentencePiece model of our own in place of FLORES-200's."""
    import sentencepiece
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.tokenizers import tokenizer_spm

    model = tmp_path / "models" / rule.MODEL
    model.parent.mkdir()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([one.reference for one in flores]), model_prefix=str(tmp_path / "spm"),
        vocab_size=400, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    model.write_bytes((tmp_path / "spm.model").read_bytes())
    monkeypatch.setenv("SACREBLEU", str(tmp_path))
    monkeypatch.setattr(tokenizer_spm, "SACREBLEU_DIR", str(tmp_path))
    monkeypatch.setattr(rule, "MODEL_SHA256", hashlib.sha256(model.read_bytes()).hexdigest())
    rule.sacrebleu_spbleu.cache_clear()
    try:
        findings = reply_findings(flores, replies, score_replies(flores, replies, ["spbleu"]), study="s")
        by_id = {one.prompt_id: one.reply for one in replies if one.arm == "better"}
        mine = [one for one in flores if one.subset == "en-hi"]
        expected = BLEU(tokenize="flores200").corpus_score(
            [by_id[one.id] for one in mine], [[one.reference for one in mine]]
        )
    finally:
        rule.sacrebleu_spbleu.cache_clear()
    row = find(findings, "spbleu", "better", "general/en-hi", "hi")
    assert row.estimate == pytest.approx(expected.score, abs=1e-9) and 5 < row.estimate < 95
    assert "tok:flores200" in row.signature


def test_a_translation_that_is_missing_is_in_no_number(flores: list[Prompt], replies: list[Generation]) -> None:
    scores: list[Score] = score_replies(flores, replies, ["chrf"])
    lost = {one.prompt_id for one in replies[:5]}
    kept = [one for one in scores if not (one.arm == "base" and one.prompt_id in lost)]
    kept = [one for one in kept if one.arm != "same"]  # whose replies are base's
    rest = [one for one in replies if one.arm != "same"]
    findings = reply_findings(flores, rest, kept, study="s")
    assert find(findings, "chrf", "base", "general", "all").n == 75
    assert find(findings, "chrf_difference", "better", "general", "all").n == 75


def test_a_difference_says_which_base_is_subtracted() -> None:
    asked = [Prompt(f"p{n}", user("?"), "fr", PromptKind.GENERAL, reference=f"some words {n}") for n in range(20)]
    replied = [Generation(p.id, arm, "m", f"{p.reference} by {arm}") for arm in ("old", "new") for p in asked]
    rows = reply_findings(asked, replied, score_replies(asked, replied, ["chrf"]), study="s", base_arm="old")
    signatures = {(row.arm, row.metric): dict(Signature.parts(row.signature)).get("base") for row in rows}
    assert signatures == {("old", "chrf"): None, ("new", "chrf"): None, ("new", "chrf_difference"): "old"}
