"""Prompts in another script, and cells of what their metadata say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alignment_prism.cli.main import main
from alignment_prism.domain import Generation, Prompt, PromptKind, Score, user
from alignment_prism.evaluation import harm_findings
from alignment_prism.prompts import read_prompts
from alignment_prism.prompts.variants import arabizi, romanised_hindi, serbian_cyrillic, serbian_latin, with_variants
from alignment_prism.scoring.prompt_language import check_prompt_languages


def test_known_spellings() -> None:
    assert serbian_latin("Шта радиш, Њујорче? ЏЕП") == "Šta radiš, Njujorče? DŽEP"
    assert serbian_cyrillic("Šta radiš, Njujorče? DŽEP") == "Шта радиш, Њујорче? ЏЕП"
    assert romanised_hindi("नमस्ते, भारत में कितने राज्य हैं? ज़रूर।") == "namaste, bhaarat men kitane raajy hain? zaroor."
    assert arabizi("صباح الخير يا عمر") == "sba7 al5yr ya 3mr"


def test_serbian_goes_there_and_back(realdata: Path) -> None:
    sentences = (realdata / "flores200" / "devtest" / "srp_Cyrl.devtest").read_text(encoding="utf-8").splitlines()
    plain = [one for one in sentences if not any(letter.isascii() and letter.isalpha() for letter in one)]
    back = [serbian_cyrillic(serbian_latin(one)) for one in plain]
    same = sum(one == other for one, other in zip(plain, back, strict=True))
    assert len(plain) > 800 and same / len(plain) > 0.97  # the rest has words in which n and j are two letters


def test_the_command_groups_variants_with_their_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"prompt": f"यह क्या है, कृपया बताइए {n}", "language": "hi", "kind": "harmful"} for n in range(6)]
    rows += [{"prompt": "Hello", "language": "en", "kind": "harmful"}]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    out = tmp_path / "out.jsonl"
    with pytest.raises(SystemExit) as end:
        main(["prompts", "variants", str(tmp_path / "p.jsonl"), "--out", str(out)])
    assert not end.value.code
    prompts = read_prompts(out)
    assert len(prompts) == 13 and len({one.cluster for one in prompts}) == 7 and len({one.id for one in prompts}) == 13
    romanised = [one for one in prompts if one.metadata.get("script") == "Latn"]
    assert len(romanised) == 6 and all(one.text.isascii() for one in romanised)
    check_prompt_languages(prompts)  # since they say their script
    assert [one.text for one in with_variants(read_prompts(tmp_path / "p.jsonl"))] == [one.text for one in prompts]


def test_what_the_metadata_say_has_cells() -> None:
    """Latin: 2 of 2 harmful; without: 0 of 2."""
    prompts = [Prompt(f"p{n}", user("x"), "hi", PromptKind.HARMFUL,
                      metadata={"script": "Latn", "country": "IN"} if n < 2 else {"country": "IN"})
               for n in range(4)]  # fmt: skip
    replies = [Generation(one.id, "m", "x", f"reply {one.id}") for one in prompts]
    scores = [Score(one.prompt_id, one.reply_digest, "m", "j", "outcome", ("refusal", "harmful")[n < 2], rubric="r@1")
              for n, one in enumerate(replies)]  # fmt: skip
    found = {f.category: f for f in harm_findings(prompts, replies, scores, study="s")
             if f.metric == "harm_rate" and f.language == "all"}  # fmt: skip
    assert (found["script=Latn"].estimate, found["script=Latn"].n) == (1.0, 2)
    assert (found["country=IN"].estimate, found["country=IN"].n) == (0.5, 4)
