"""Seeds, rephrasings and decisions: what may become a prompt, what may become a pair, and why not."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from alignment_prism.domain import (
    LANGUAGES,
    Comparison,
    Generation,
    InputError,
    Outcome,
    Prompt,
    PromptKind,
    Scope,
    Winner,
    content_digest,
    user,
)
from alignment_prism.preferences.ranking import (
    PAIR,
    Rules,
    candidate_name,
    couples,
    decide,
    panel_verdict,
    summary,
)
from alignment_prism.preferences.rephrasing import (
    KEPT,
    Rephrasing,
    check_rephrasings,
    diversity,
    prompts_of,
    rephrasing_id,
    wordings,
)
from alignment_prism.preferences.seeds import NEAR_EVALUATION, NEAR_SEED, draw_seeds
from alignment_prism.preferences.templates import load_template, shipped_templates
from alignment_prism.scoring.reply_language import in_language


def prompt(number: int, language="en", text="", **more) -> Prompt:
    said = text or " ".join(content_digest(language, number, place)[:6] for place in range(8))
    return Prompt(f"{language}{number}", user(said), language, **{"kind": PromptKind.HARMFUL, **more})


def test_seeds_are_divided_as_the_set_is_and_come_out_the_same_in_any_order():
    # 24 global of category A, 8 local of B, 8 global of B: of ten seeds 6, 2 and 2.
    some = [("global", "A")] * 24 + [("local", "B")] * 8 + [("global", "B")] * 8
    prompts = [prompt(n, scope=Scope(scope), categories=(category,)) for n, (scope, category) in enumerate(some)]
    found = draw_seeds(prompts, [], per_language=10, seed=3)
    strata = Counter((seed.scope, seed.categories) for seed in found.seeds)
    assert strata == {("global", ("A",)): 6, ("local", ("B",)): 2, ("global", ("B",)): 2}
    again = draw_seeds(prompts[::-1], [], per_language=10, seed=3)
    assert {seed.id for seed in again.seeds} == {seed.id for seed in found.seeds}
    assert {p.id for p in draw_seeds(prompts, [], per_language=10, seed=4).seeds} != {p.id for p in found.seeds}
    assert {p.split for p in found.seeds} == {"seed"} and {p.split for p in found.rest} == {"eval"}


def test_no_seed_is_near_the_evaluation_set_in_any_script_or_translation_nor_is_what_is_left_near_a_seed():
    russian = prompt(1, "ru", "Расскажи мне о маяках и их смотрителях в старые времена")
    close = [
        russian,
        prompt(2, "en", "Tell me all about the keepers of lighthouses in olden times, please"),
        prompt(3, "hi", "कुछ और",
               metadata={"literal_translation": "Tell me about the keepers of lighthouses in olden times"}),
        prompt(4, "en", "Which tools do people use to repair nets on the coast of Norway in winter"),
        prompt(5, "en", "Which tools do people use to repair nets on the coast of Norway in summer"),
    ]  # fmt: skip
    evaluation = [
        Prompt("e1", user("Tell me all about the keepers of lighthouses in olden times"), "en", PromptKind.HARMFUL),
        Prompt("e2", user("Rasskazhi mne o mayakakh i ikh smotritelyakh v starye vremena"), "ru", PromptKind.HARMFUL),
    ]
    far = [prompt(n) for n in range(10, 14)] + [prompt(9, "ru"), prompt(9, "hi")]
    found = draw_seeds([*close, *far], evaluation, per_language=1, seed=1)
    assert {name for name, why in found.left_out.items() if why == NEAR_EVALUATION} == {"ru1", "en2", "hi3"}
    everything = draw_seeds([*close[3:], *far[:4]], [], per_language=5)
    assert list(everything.left_out.values()) == [NEAR_SEED] and not everything.rest  # one of the twins is a seed
    with pytest.raises(InputError, match="hi has 1 prompts that may be seeds, and 2"):
        draw_seeds([*close, *far], evaluation, per_language=2)


EVALUATED = "Explain how somebody might quietly get the keys of the old lighthouse on the northern pier"
DISGUISES = {
    "typos": "Explian how somebdy might quietly get teh keys of the old lighthouse on the norhern pier",
    "words exchanged": "Explain how somebody might get quietly the keys of the lighthouse old on the northern pier",
    "a frame": f"Please tell me this: {EVALUATED} Thank you!",
    "invisible marks": "\u200b".join(EVALUATED),
    "soft hyphens and directions": "\u00ad\u200f".join(EVALUATED),
    "letters that look alike": EVALUATED.translate(str.maketrans("aeocpxi", "аеосрхі")),
    "full width": "".join(chr(ord(c) + 0xFEE0) if c != " " else c for c in EVALUATED),
    "capitals and signs": EVALUATED.upper().replace(" ", " - "),
}  # fmt: skip


@pytest.mark.parametrize("text", DISGUISES.values(), ids=list(DISGUISES))
def test_a_prompt_of_the_evaluation_set_in_disguise_is_no_seed_and_no_rephrasing(text):
    evaluation = [Prompt("e", user(EVALUATED), "en", PromptKind.HARMFUL)]
    found = draw_seeds([prompt(1), Prompt("near", user(text), "en", PromptKind.HARMFUL)], evaluation, per_language=1)
    assert [seed.id for seed in found.seeds] == ["en1"] and found.left_out == {"near": NEAR_EVALUATION}
    (checked,) = check_rephrasings([draft(0, text)], [replace(SEED, messages=user(f"{SEED.text} {SEED.text}"))],
                                   evaluation, lambda text, code: True)  # fmt: skip
    assert checked.status == "near a prompt of the evaluation set"


IN_ENGLISH = "Explain how someone could get to the keys of the old lighthouse"


@pytest.mark.parametrize(
    ("language", "text", "metadata"),
    [
        ("sr", "Objasni kako bi neko mogao da dodje do kljuceva starog svetionika", {}),
        ("sr", "Објасни како би неко могао да дође до кључева старог светионика", {}),
        ("fr", "Autre chose", {"literal_translation": IN_ENGLISH}),
        ("en", f"{IN_ENGLISH}!", {}),
    ],
    ids=["without diacritics", "Cyrillic", "by its translation", "as the translation"],
)  # fmt: skip
def test_a_serbian_prompt_of_the_evaluation_set_keeps_its_scripts_and_translations_out(language, text, metadata):
    evaluation = [
        Prompt("e", user("Objasni kako bi neko mogao da dođe do ključeva starog svetionika"), "sr", PromptKind.HARMFUL,
               metadata={"literal_translation": IN_ENGLISH})
    ]  # fmt: skip
    near = Prompt("near", user(text), language, PromptKind.HARMFUL, metadata=metadata)
    found = draw_seeds([near, prompt(5, language)], evaluation, per_language=1)
    assert found.left_out == {"near": NEAR_EVALUATION}


def test_without_a_number_every_prompt_that_may_be_a_seed_is_one():
    twins = [prompt(7 + n, text="Which tools mend nets on the coast in winter" + end) for n, end in enumerate("?!")]
    prompts = [*(prompt(n) for n in range(5)), *twins, prompt(1, "fr"), prompt(2, "fr")]
    found = draw_seeds(prompts, [prompts[0]], per_language=None)
    assert Counter(seed.language for seed in found.seeds) == {"en": 5, "fr": 2} and not found.rest
    assert Counter(found.left_out.values()) == {NEAR_EVALUATION: 1, NEAR_SEED: 1}


def test_a_translation_of_a_seed_is_not_evaluated_on():
    pairs = [prompt(n, code, group=f"g{n}") for n in range(4) for code in ("en", "fr")]
    found = draw_seeds(pairs, [], per_language=2, seed=2)
    assert not {seed.group for seed in found.seeds} & {left.group for left in found.rest}


@pytest.mark.parametrize(
    ("answer", "texts"),
    [
        ("1. one\n2) two\n\n- three", ["one", "two", "three"]),
        ('["one", " two "]', ["one", "two"]),
        ("“one”\n«two»\n\"a\" and \"b\"", ["one", "two", '"a" and "b"']),
        ("१. एक\n२. दो", ["एक", "दो"]),
        ("", []),
        ("[not json", ["[not json"]),
        ("1984 was a year", ["1984 was a year"]),
    ],
)  # fmt: skip
def test_wordings_are_read_from_lists_of_any_kind(answer, texts):
    assert wordings(answer) == texts


SEED = Prompt("s", user("Tell me why the keepers of lighthouses never slept during the long winter storms"), "en",
              PromptKind.HARMFUL, Scope.LOCAL, ("A",), group="g")  # fmt: skip


def draft(order: int, text: str) -> Rephrasing:
    return Rephrasing(rephrasing_id("s", text), "s", order, text, "en", "local", ("A",), "m", "rephrase@1#0", 0.7, 1)


def test_a_rephrasing_is_checked_against_seed_sisters_language_length_and_evaluation():
    texts = {
        "What kept the guardians of coastal beacons awake through every storm of the dark season?": KEPT,
        "What kept the guardians of coastal beacons awake through every storm of the dark season ?":
            "the words of another rephrasing, or of another seed",
        "Tell me why the keepers of lighthouses never slept during the long winter storms!": "the words of its seed",
        "Dis-moi pourquoi les gardiens de phare ne dormaient jamais pendant les tempêtes d'hiver":
            "in another language or script",
        "Why awake?": "much shorter or longer than its seed",
        "I'm sorry, but I can't help with rewriting a request of this kind for you": "the model declined to rephrase",
        "In which months do sailors of the northern islands mend their sails and nets at home?":
            "near a prompt of the evaluation set",
        "": "no wording was given",
    }  # fmt: skip
    evaluation = [
        Prompt(
            "e",
            user("In which months do sailors of northern islands mend their sails and nets at home"),
            "en",
            PromptKind.HARMFUL,
        )
    ]
    drafts = [draft(number, text) for number, text in enumerate(texts)]
    checked = check_rephrasings(drafts, [SEED], evaluation, lambda text, code: in_language(text, LANGUAGES.find(code)))
    assert {one.text: one.status for one in checked} == texts
    seed, kept = prompts_of(checked, [SEED])
    assert seed.id == "s" and (kept.scope, kept.categories, kept.group) == (SEED.scope, ("A",), "g")
    assert kept.metadata["seed_id"] == "s" and kept.metadata["order"] == 0 and kept.kind is PromptKind.HARMFUL
    (found,) = diversity(checked).values()
    assert (found["given"], found["kept"], found["distinct_2"]) == (8, 1, 1.0)


def test_two_seeds_do_not_give_the_same_prompt():
    other = replace(SEED, id="t", messages=user("Another thing altogether is asked for in these many words here"))
    text = "What kept the guardians of coastal beacons awake through every storm of the dark season?"
    drafts = [draft(0, text), replace(draft(0, text), id="x", seed_id="t"), draft(1, other.text)]
    first, second, third = check_rephrasings(drafts, [SEED, other], [], lambda text, code: True)
    assert (
        first.status == KEPT and second.status == third.status == "the words of another rephrasing, or of another seed"
    )


def test_every_shipped_template_has_its_texts_in_every_language():
    roles = {"rephrase@1": ("instruction",), "safe@1": ("instruction",), "revise@1": ("critique", "revision"),
             "translate@1": ("instruction",)}  # fmt: skip
    assert set(shipped_templates()) == set(roles)
    for name, wanted in roles.items():
        template = load_template(name, wanted)
        own = {language.code for language in list(LANGUAGES)[:8]} - {"en"}
        assert set(template.languages) == (own if name != "translate@1" else set())
        for code, texts in template.languages.items():
            assert all(in_language(text, LANGUAGES.find(code)) for text in texts.values()), (name, code)
        for code in ("", *template.languages):
            for role in wanted:
                assert template.text(role, code, native=True).count("{number}") == (name == "rephrase@1")
    with pytest.raises(InputError, match="no text 'critique'"):
        load_template("safe@1", ("critique",))


def reply(side: str, text: str, sample=0, prompt_id="p") -> Generation:
    return Generation(prompt_id, side, f"model of {side}", text, sample=sample)


def judged(a: Generation, b: Generation, first: Winner, second: Winner, judge="j") -> list[Comparison]:
    names = candidate_name(a), candidate_name(b)
    return [
        Comparison(a.prompt_id, *names, True, judge, "pairwise@2", first),
        Comparison(a.prompt_id, *names, False, judge, "pairwise@2", second),
    ]


WIN, LOSS, DRAW, NONE = Winner.WIN, Winner.LOSS, Winner.TIE, Winner.UNJUDGED
ASKED = Prompt("p", user("q"), "en", PromptKind.HARMFUL, Scope.GLOBAL, group="g", metadata={"seed_id": "s", "order": 2})
ONE, OTHER = reply("t", "a careful answer"), reply("o", "a careless answer")


@pytest.mark.parametrize(
    ("orders", "status", "chosen"),
    [
        ((WIN, WIN), PAIR, ONE), ((LOSS, LOSS), PAIR, OTHER), ((WIN, LOSS), "inconsistent", None),
        ((DRAW, DRAW), "tie", None), ((WIN, DRAW), "inconsistent", None), ((WIN, NONE), "unjudged", None),
    ],
)  # fmt: skip
def test_only_two_orders_that_agree_make_a_pair_and_every_couple_stays_a_row(orders, status, chosen):
    (decision,), pairs = decide([ASKED], [ONE, OTHER], judged(ONE, OTHER, *orders))
    assert decision.status == status and decision.seed_id == "s"
    assert [pair.chosen for pair in pairs] == ([chosen.reply] if chosen else [])
    if pairs:
        about = pairs[0].metadata
        assert (pairs[0].group, pairs[0].scope, about["seed_id"], about["order"]) == ("g", Scope.GLOBAL, "s", 2)
        assert about["chosen_model"] == chosen.model and about["decided_by"] == "judge"


def test_people_take_precedence_in_either_direction():
    label = Comparison("p", "o/0", "t/0", True, "human:ana", "pairwise@2", WIN)  # ana prefers the other one
    (decision,), (pair,) = decide([ASKED], [ONE, OTHER], judged(ONE, OTHER, WIN, WIN), [label])
    assert pair.chosen == OTHER.reply and decision.by == "human"
    tie = Comparison("p", "t/0", "o/0", True, "human:ana", "pairwise@2", DRAW)
    (decision,), pairs = decide([ASKED], [ONE, OTHER], judged(ONE, OTHER, WIN, WIN), [tie])
    assert not pairs and decision.status == "tie"


def test_a_couple_that_people_alone_compared_is_a_pair_and_labels_of_other_replies_are_counted():
    third = reply("t", "a third answer", sample=1)
    labels = [
        Comparison("p", "t/1", "o/0", True, "human:ana", "pairwise@2", WIN),
        Comparison("p", "t/7", "o/0", True, "human:ana", "pairwise@2", WIN),  # no such reply
    ]
    decisions, pairs = decide([ASKED], [ONE, OTHER, third], judged(ONE, OTHER, DRAW, DRAW), labels)
    assert [(one.verdict, one.by) for one in decisions] == [("tie", "judge"), ("a", "human")]
    assert [pair.chosen for pair in pairs] == ["a third answer"] and pairs[0].metadata["judges"] == []
    assert summary(decisions, pairs, labels)["labels"] == {"couples": 2, "used": 1}


def test_a_panel_decides_by_the_majority_of_verdicts():
    assert panel_verdict(["a", "a", "b"]) == "a" and panel_verdict(["a", "b"]) == "tie"
    assert panel_verdict(["b", "inconsistent", "unjudged"]) == "b"
    assert panel_verdict(["inconsistent", "unjudged"]) == "inconsistent" and panel_verdict(["unjudged"]) == "unjudged"


def test_a_harmful_reply_is_never_preferred():
    outcomes = {ONE.reply_digest: Outcome.HARMFUL}
    (decision,), pairs = decide([ASKED], [ONE, OTHER], judged(ONE, OTHER, WIN, WIN), outcomes=outcomes)
    assert not pairs and decision.status == "the preferred reply is judged harmful"


def test_pairs_say_which_of_their_replies_do_harm_as_far_as_somebody_judged_them():
    """SafeDPO refused every safety pair of a build and of a round, whose replies had been judged one by one."""
    harm, said = Outcome.HARMFUL, judged(ONE, OTHER, WIN, WIN)
    for outcome, flag in (
        (harm, True),
        (Outcome.REFUSAL, False),
        (Outcome.DEGENERATE, False),
        (Outcome.UNJUDGED, None),
    ):
        outcomes = {ONE.reply_digest: Outcome.SAFE_HELP, OTHER.reply_digest: outcome}
        _, (pair,) = decide([ASKED], [ONE, OTHER], said, outcomes=outcomes)
        assert (pair.chosen_harmful, pair.rejected_harmful) == (False, flag)
    _, (pair,) = decide([ASKED], [ONE, OTHER], said)
    assert pair.chosen_harmful is pair.rejected_harmful is None


def test_refusals_among_chosen_replies_are_capped_by_language():
    prompts = [Prompt(f"p{n}", user(f"q{n}"), "en", PromptKind.HARMFUL) for n in range(10)]
    candidates, comparisons = [], []
    for n in range(10):  # eight refusals, two that help
        good = reply("t", "I'm sorry, but I can't help with that." if n < 8 else f"safe help {n}", prompt_id=f"p{n}")
        bad = reply("o", f"harm {n}", prompt_id=f"p{n}")
        candidates += [good, bad]
        comparisons += judged(good, bad, WIN, WIN)
    decisions, pairs = decide(prompts, candidates, comparisons, rules=Rules(refusal_cap=0.6))
    # Beside two that help 2 * 0.6 / 0.4 = 3 refusals may stay: 3 of 5 are 60 %.
    assert len(pairs) == 5 and summary(decisions, pairs)["chosen_refusals"] == {"en": 0.6}
    assert summary(decisions, pairs)["status"] == {PAIR: 5, "refusals above the cap": 5}
    assert len(decide(prompts, candidates, comparisons, rules=Rules(refusal_cap=1))[1]) == 10


def test_couples_are_of_two_sides_before_those_of_one_and_never_of_equal_texts():
    some = [reply("t", "x"), reply("t", "y", 1), reply("o", "x"), reply("o", "z", 1), reply("o", " ", 2)]
    found = couples(some, 10)
    assert len(found) == 3  # of three texts; the empty reply is in none
    assert [one.arm == other.arm for one, other in found] == [False] * 2 + [True]
    assert couples(some, 1) == found[:1]
    _, pairs = decide([ASKED], some, [c for couple in found for c in judged(*couple, WIN, WIN)], rules=Rules(1, 2))
    assert len(pairs) == 2
