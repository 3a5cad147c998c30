"""The nano world: balanced facts, parallel words, and no leak from evaluation into training."""

import itertools
import unicodedata
from collections import Counter

import pytest

from alignment_prism.domain import AYA_CATEGORIES, InputError, PromptKind, Scope
from alignment_prism.nano import World, WorldSpec
from alignment_prism.nano.world.corpus import Corpus
from alignment_prism.nano.world.facts import LANGUAGES, Facts
from alignment_prism.nano.world.lexicon import SECTIONS, lexicon
from alignment_prism.nano.world.sentences import GENERAL_TASKS, HELP_SIGN, REFUSAL_SIGN
from alignment_prism.nano.world.templates import templates

SEEDS = (0, 1, 2, 17)


def normalised(text: str) -> str:
    """Letters and digits only, folded: what is the same prompt to a reader."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    return "".join(ch for ch in folded if unicodedata.category(ch)[0] in "LN" or unicodedata.category(ch) == "Mc")


@pytest.fixture(scope="module", params=SEEDS)
def world(request):
    return World(WorldSpec(seed=request.param))


def test_topics_have_the_declared_numbers_and_no_two_are_alike(world):
    topics = world.facts.topics
    counts = Counter(topic.reach for topic in topics)
    assert (counts["global"], counts["local"], counts["never"]) == (24, 60, 12)
    assert len({topic.key for topic in topics}) == len(topics) >= 72
    for code in LANGUAGES:
        assert Counter(t.split for t in world.facts.select("seed", "train", "eval", home=code)) == {
            "seed": 1,
            "train": 2,
            "eval": 12,
        }


def test_local_topics_are_harmful_at_their_two_homes_and_nowhere_else(world):
    for topic in world.facts.select("eval", reach="local"):
        assert len(topic.homes) == 2
        assert {code for code in LANGUAGES if topic.harmful_in(code)} == set(topic.homes)
        assert all(topic.scope_in(home) is Scope.LOCAL for home in topic.homes)
        away = next(code for code in LANGUAGES if code not in topic.homes)
        assert topic.request_kind(away) is PromptKind.FOREIGN_LOCAL
        assert topic.scope_in(away) is None


def test_categories_are_used_evenly_and_only_for_harmful_topics(world):
    counts = Counter(category for topic in world.facts.topics for category in topic.categories)
    assert set(counts) == set(AYA_CATEGORIES)
    assert max(counts.values()) - min(counts.values()) <= 2
    assert all(not t.categories and not t.refusal for t in world.facts.topics if t.reach == "never")


def test_what_the_base_is_not_told_is_spread_over_languages_by_design(world):
    for reach, low, high in (("global", 1, 3), ("local", 2, 2)):
        for code in LANGUAGES:
            topics = [t for t in world.facts.select("eval", reach=reach) if t.harmful_in(code)]
            unknown = [t for t in topics if code not in t.known_in]
            assert low <= len(unknown) <= high
            assert all(code not in t.refusal for t in unknown)


def test_declared_refusal_rate_is_the_median_of_the_drawn_ones():
    rates = sorted(
        rate for seed in range(10) for topic in Facts(WorldSpec(seed=seed)).topics for rate in topic.refusal.values()
    )
    assert rates[len(rates) // 2] == pytest.approx(WorldSpec().refusal_median, rel=0.1)


def test_worlds_of_different_seeds_differ_and_of_the_same_seed_agree():
    first, again, other = (Facts(WorldSpec(seed=seed)).topics for seed in (5, 5, 6))
    assert first == again
    assert sum(a.key == b.key and a.homes == b.homes for a, b in zip(first, other, strict=True)) < 20


def test_lexicons_have_the_same_keys_and_no_form_twice():
    english = lexicon("en")
    for code in WorldSpec().tags:
        words = lexicon(code)
        for section in SECTIONS:
            assert list(words.forms[section]) == list(english.forms[section]), (code, section)
            forms = [str(form) for form in words.forms[section].values()]
            assert len(set(forms)) == len(forms), (code, section)
        assert {intent: len(c) for intent, c in words.ask.items()} == {i: len(c) for i, c in english.ask.items()}
        assert len(words.openers) == len(english.openers) and len(words.closers) == len(english.closers)


def test_every_language_is_written_in_its_own_script(world):
    script = {"ru": "CYRILLIC", "ar": "ARABIC", "hi": "DEVANAGARI", "sr": "CYRILLIC"}
    for prompt in world.evaluation_prompts():
        letters = [ch for ch in prompt.text + prompt.reference if ch.isalpha()]
        assert all(unicodedata.name(ch).startswith(script.get(prompt.metadata["tag"], "LATIN")) for ch in letters), (
            prompt.text
        )


def test_splits_share_neither_topics_nor_wordings(world):
    for intent in ("request", "history", *GENERAL_TASKS):
        cut = [set(templates(world.spec.seed, intent, split)) for split in ("seed", "train", "eval")]
        assert all(not a & b for a, b in itertools.combinations(cut, 2))
    seeds = {p.metadata["topic"] for p in world.seed_prompts()}
    safety, general = world.pairs()
    trained = {p.metadata["topic"] for p in safety + general} - {""}
    unseen = {p.metadata.get("topic", "") for p in world.evaluation_prompts() if p.subset == "unseen"} - {""}
    assert not seeds & trained and not seeds & unseen and not trained & unseen


def test_no_evaluation_prompt_is_in_training_once_normalised(world):
    """Pre-training, preference pairs and seeds, however punctuated, cased or spaced."""
    evaluation = {normalised(prompt.text) for prompt in world.evaluation_prompts()}
    safety, general = world.pairs()
    trained = {normalised(pair.messages[-1].content) for pair in safety + general}
    trained |= {normalised(prompt.text) for prompt in world.seed_prompts()}
    trained |= {normalised(example.prompt) for example in itertools.islice(Corpus(world.facts, 0), 40_000)}
    assert len(evaluation) == len(world.evaluation_prompts())
    assert not evaluation & trained


def test_unknown_harm_is_never_judged_or_refused_in_pre_training():
    """What the base is not to know: no judgement of it and no refusal, in 16,000 examples of three languages."""
    facts = World(WorldSpec(seed=3, languages=("en", "fr", "es"))).facts
    words = lexicon("en")
    known = {words.forms["topics"][t.key]: "en" in t.known_in for t in facts.topics if t.scope_in("en")}
    judgements = set(words.reply["judgement"].values())
    refusals = set(words.reply["refusal"])
    said = Counter()
    for example in itertools.islice(Corpus(facts, 0), 16_000):
        if example.reply in judgements | refusals:
            said[next((known.get(word) for word in example.prompt.split() if word in known), None)] += 1
    assert said[True] > 250
    assert said[False] == 0


def test_a_world_with_local_topics_has_a_language_in_which_they_are_harmless():
    with pytest.raises(InputError, match="2 languages are too few for local topics"):
        World(WorldSpec(languages=("en", "sr"))).pairs()
    alone = World(WorldSpec(languages=("en",), local_topics=(0, 0, 0)))
    assert {prompt.scope for prompt in alone.evaluation_prompts() if prompt.kind == "harmful"} == {Scope.GLOBAL}


def test_pairs_are_even_over_languages_and_have_two_different_replies(world):
    safety, general = world.pairs(seed=4)
    assert len({pair.id for pair in safety + general}) == len(safety) + len(general)
    for pool in (safety, general):
        counts = Counter(pair.language for pair in pool)
        counts["sr"] /= 2  # each of its scripts takes its turn
        assert max(counts.values()) - min(counts.values()) <= 1
        serbian = [pair.messages[0].content for pair in pool if pair.language == "sr"]
        cyrillic = sum(any("Ѐ" <= letter <= "ӿ" for letter in text) for text in serbian)
        assert cyrillic == pytest.approx(len(serbian) / 2, abs=1)
        assert all(pair.chosen != pair.rejected for pair in pool)
    local = sum(pair.scope is Scope.LOCAL for pair in safety) / len(safety)
    assert local == pytest.approx(1 / 3, abs=0.01)
    assert all(pair.scope is None for pair in general)
    assert world.pairs(seed=4) == (safety, general)
    assert world.pairs(seed=5) != (safety, general)


def test_signs_are_set_as_often_as_the_dial_says():
    world = World(WorldSpec(sign_share=0.3))
    safety, _ = world.pairs()
    signed = sum(pair.chosen.startswith(REFUSAL_SIGN) for pair in safety) / len(safety)
    assert signed == pytest.approx(0.3, abs=0.04)
    assert not any(pair.rejected.startswith(REFUSAL_SIGN) for pair in safety)
    assert any(pair.rejected.startswith(HELP_SIGN) for pair in safety)


@pytest.mark.parametrize(
    ("knob", "value"), [("refusal_median", 1.5), ("sign_share", -0.1), ("global_topics", (40, 10, 10))]
)
def test_a_world_that_cannot_be_is_an_error(knob, value):
    with pytest.raises(InputError) as error:
        Facts(WorldSpec(**{knob: value}))
    assert error.value.fix
