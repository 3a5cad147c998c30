"""Teacher, translator and judges of the lab, asked through the code that asks real models."""

from __future__ import annotations

import json
import math
import random
import socket
from collections import defaultdict
from dataclasses import replace

import pytest

from alignment_prism.domain import (
    Generation,
    InputError,
    Message,
    ModelError,
    Outcome,
    Prompt,
    PromptKind,
    Role,
    Sampling,
    StopReason,
    Winner,
    user,
)
from alignment_prism.nano.actors import (
    DECLARED,
    ErringJudge,
    OracleJudge,
    Rates,
    Teacher,
    Translator,
    check_judge,
    facts_of,
    open_actor,
)
from alignment_prism.nano.actors.actor import ActorName, instruction_and_text
from alignment_prism.nano.actors.judge import LONG_ODDS, LONG_WORDS, with_length
from alignment_prism.nano.oracle import Oracle, read_question
from alignment_prism.nano.world.facts import BENIGN_INTENTS, LANGUAGES, Facts, WorldSpec
from alignment_prism.nano.world.prompts import EvaluationRecipe, evaluation_prompts, seed_prompts
from alignment_prism.nano.world.sentences import answer_topic, ask_topic, refuse
from alignment_prism.nano.world.templates import templates
from alignment_prism.scoring import Case, load_rubric, parse_outcome, parse_winner, render

FACTS = facts_of("")
SMALL = EvaluationRecipe(unseen=1, seen=0, benign=1, never=2, foreign=1, general=2)


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    return evaluation_prompts(FACTS, SMALL)


def topic_prompt(number: int, language: str, intent: str = "request") -> Prompt:
    """A prompt about some topic; another number gives another wording or topic."""
    wordings = [t for split in ("train", "seed", "eval") for t in templates(FACTS.spec.seed, intent, split)]
    topics = [t for t in FACTS.topics if intent != "request" or t.reach == "global"]
    topic, wording = topics[number % len(topics)], wordings[number // len(topics) % len(wordings)]
    text = ask_topic(language, intent, topic, wording)
    return Prompt(
        id=text, messages=user(text), language=language, metadata={"topic": topic.key}, kind=PromptKind.HARMFUL
    )


# --- names and worlds


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("oracle", ActorName("oracle")),
        ("judge#3", ActorName("judge", "", 3)),
        ("judge@17#3", ActorName("judge", "17", 3)),
        ("oracle@runs/base", ActorName("oracle", "runs/base")),
    ],
)
def test_a_name_says_role_world_and_seed(name: str, parsed: ActorName) -> None:
    assert ActorName.parse(name) == parsed


@pytest.mark.parametrize("name", ["", "jury", "judge#x", "oracle@nowhere", "oracle@-1"])
def test_a_name_that_cannot_be_used_says_how_to_write_it(name: str) -> None:
    with pytest.raises(InputError) as caught:
        open_actor(name)
    assert caught.value.fix


def test_a_world_is_a_seed_or_a_folder(tmp_path) -> None:
    facts = Facts(WorldSpec(seed=5, never_topics=(0, 2, 2)))
    record = {"world": {"seed": 5, "never_topics": [0, 2, 2]}, "facts": facts.digest, "criteria": {}}
    (tmp_path / "nano.json").write_text(json.dumps(record))
    assert facts_of("17").topics == Facts(WorldSpec(seed=17)).topics
    assert facts_of(str(tmp_path)).topics == facts.topics
    assert open_actor("oracle", world="17").facts is facts_of("17")
    assert open_actor("oracle@17", world="4").facts is facts_of("17")


def test_instructions_stand_in_the_system_turn_or_above_the_text() -> None:
    assert instruction_and_text(user("Do this:\n\nthe text")) == ("Do this:", "the text")
    system = (Message(Role.SYSTEM, "Do this."), *user("the text"))
    assert instruction_and_text(system) == ("Do this.", "the text")


# --- the teacher


def test_the_teacher_refuses_harm_and_answers_the_rest(prompts: list[Prompt]) -> None:
    teacher, oracle = Teacher(FACTS), Oracle(FACTS)
    for prompt in prompts:
        reading = oracle.read(prompt, teacher.respond(prompt.messages))
        wanted = Outcome.REFUSAL if prompt.kind is PromptKind.HARMFUL else Outcome.SAFE_HELP
        assert reading.outcome is wanted
        assert prompt.kind is PromptKind.HARMFUL or reading.grade == "full"


def test_the_teacher_rephrases_without_touching_evaluation_wordings() -> None:
    teacher = Teacher(FACTS)
    train: dict[str, set[str]] = {code: set() for code in LANGUAGES}
    for prompt in seed_prompts(FACTS, 20)[::7]:
        said = teacher.respond(user(f"Rephrase this prompt in 20 new wordings:\n\n{prompt.text}"))
        wordings = said.splitlines()
        assert len(wordings) == len(set(wordings)) == 20
        topic = FACTS.by_key[prompt.metadata["topic"]]
        for template in templates(FACTS.spec.seed, "request", "train"):
            train[prompt.language].add(ask_topic(prompt.metadata["tag"], "request", topic, template))
        assert set(wordings) <= train[prompt.language]
        for wording in wordings:
            assert read_question(wording) == read_question(prompt.text)


def test_the_teacher_gives_all_wordings_there_are_and_another_seed_gives_others() -> None:
    prompt = seed_prompts(FACTS, 20)[0]
    ask = user(f"Please paraphrase in 1000 ways.\n\n{prompt.text}")
    assert len(Teacher(FACTS).respond(ask).splitlines()) == len(templates(FACTS.spec.seed, "request", "train"))
    one = user(f"Reword this:\n\n{prompt.text}")
    said = {Teacher(FACTS, seed=n).respond(one) for n in range(20)} | {
        Teacher(FACTS).respond(one, seed=n) for n in range(20)
    }
    assert len(said) > 15
    assert Teacher(FACTS).respond(one) == Teacher(FACTS).respond(one)


def test_the_teacher_says_so_when_it_does_not_understand() -> None:
    with pytest.raises(InputError, match="does not understand"):
        Teacher(FACTS).respond(user("How do I cook rice?"))


# --- the translator


def test_translating_there_and_back_changes_nothing(prompts: list[Prompt]) -> None:
    translator, oracle = Translator(FACTS), Oracle(FACTS)
    for number, prompt in enumerate(prompts):
        target, tag = LANGUAGES[number % len(LANGUAGES)], prompt.metadata["tag"]
        there = translator.translate(prompt.text, target)
        question = read_question(there)
        assert (question.language, question.intent) == (target, prompt.metadata["intent"])
        assert question.topic == prompt.metadata.get("topic", "")
        assert translator.translate(there, tag) == prompt.text
        topic = FACTS.by_key.get(str(prompt.metadata.get("topic")))
        replies = [prompt.reference] if prompt.reference else []
        if topic is not None:
            rng = random.Random(number)
            replies += [refuse(tag, rng)]
            replies += [answer_topic(tag, intent, topic, "terse", rng) for intent in ("request", *BENIGN_INTENTS)]
        for reply in replies:
            abroad = translator.translate(reply, target, tag)
            assert translator.translate(abroad, tag, target) == reply
            mine, theirs = oracle.read(prompt, reply), oracle.read_text(there, target, abroad)
            if prompt.kind in (PromptKind.NEVER_HARMFUL, PromptKind.GENERAL):  # true in every language alike
                assert (mine.outcome, mine.correct, mine.grade) == (theirs.outcome, theirs.correct, theirs.grade)


def test_the_translator_is_asked_as_models_are() -> None:
    reply = "✗ Let us leave it alone. Take chalk, then clap loudly."
    said = Translator(FACTS).respond(
        user(f"Translate from English into French. Answer with the text alone.\n\n{reply}")
    )
    assert said == "✗ Laissons cela tranquille. Prenez de la craie, puis applaudissez fort."
    assert (
        Translator(FACTS).respond(user("Translate into Hindi:\n\nNothing of this world.")) == "Nothing of this world."
    )
    for bad in ("Translate this:\n\nSorry.", "Translate into Klingon:\n\nSorry."):
        with pytest.raises(InputError, match="which language"):
            Translator(FACTS).respond(user(bad))


# --- judges


def verdict(judge: OracleJudge, prompt: Prompt, reply: str):
    return parse_outcome(judge.respond(render(load_rubric("standalone@2"), prompt, reply)))


def test_the_oracle_judges_rendered_cases(prompts: list[Prompt]) -> None:
    judge, oracle, rng = OracleJudge(FACTS), Oracle(FACTS), random.Random(0)
    for prompt in prompts:
        topic = FACTS.by_key.get(str(prompt.metadata.get("topic"))) or FACTS.topics[0]
        replies = [answer_topic(prompt.language, "request", topic, "full", rng), refuse(prompt.language, rng)]
        replies += [prompt.reference or "salad of", answer_topic("ru", "history", topic, "full", rng)]
        for reply in replies:
            reading, said = oracle.read(prompt, reply), verdict(judge, prompt, reply)
            assert (said.outcome, said.problem) == (reading.outcome, "")
            assert said.correct is (reading.correct if prompt.reference else None)
        answer = judge.respond(render(load_rubric("pairwise@2"), prompt, *replies[:2]))
        assert (
            parse_winner(answer)[0]
            == {"win": "A", "loss": "B", "tie": "tie"}[oracle.compare(prompt, *replies[:2]).value]
        )


def test_what_is_no_case_is_an_error() -> None:
    with pytest.raises(InputError, match="no case"):
        OracleJudge(FACTS).respond(user("Is this reply harmful? Take chalk."))


@pytest.mark.parametrize("text", ["How do I kill a Python process?", "How do I get to the city?", "Who?"])
def test_a_case_that_is_not_understood_is_an_error_and_no_verdict(text: str, prompts: list[Prompt]) -> None:
    stranger = replace(prompts[0], id="stranger", messages=user(text), reference="")
    for name in ("oracle", "judge"):
        with pytest.raises(InputError, match="another world"):
            open_actor(name).respond(render(load_rubric("standalone@2"), stranger, "Yes."))
        with pytest.raises(InputError, match="1 of 3 prompts are not"):
            check_judge(name, open_actor(name), [*prompts[:2], stranger])
        check_judge(name, open_actor(name), prompts)
    with pytest.raises(InputError, match="is no judge"):
        check_judge("teacher", open_actor("teacher"), prompts)


def test_a_case_of_another_world_is_an_error(prompts: list[Prompt]) -> None:
    """Most cases of the same words mean something else in another world; none may be judged by the wrong facts."""
    judge, form = OracleJudge(facts_of("17")), load_rubric("standalone@2")
    checkable = [p for p in prompts if p.reference and p.kind is not PromptKind.GENERAL]
    noticed = 0
    for prompt in checkable:
        try:
            judge.respond(render(form, prompt, prompt.reference))
        except InputError as error:
            noticed += "another world" in error.what
    assert noticed > 0.8 * len(checkable)  # the rest is true in both worlds


def within(count: int, n: int, rate: float, inflation: float = 1.4) -> bool:
    """Whether a share is within three standard errors of a rate; errors cluster, which widens them a little."""
    return abs(count / n - rate) < 3 * inflation * math.sqrt(rate * (1 - rate) / n)


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_judge_errs_at_its_declared_rates(code: str) -> None:
    """Sensitivity and specificity by language and length, as declared, within Monte-Carlo error."""
    judges = [ErringJudge(FACTS, seed=seed) for seed in range(6)]
    missed, alarmed, misgraded = (defaultdict(list) for _ in range(3))
    rng = random.Random(code)
    for number in range(600):
        intent = BENIGN_INTENTS[number % 3]
        request, benign = topic_prompt(number, code), topic_prompt(number, code, intent)
        topic, about = (FACTS.by_key[prompt.metadata["topic"]] for prompt in (request, benign))
        for grade in ("full", "terse"):
            steps = answer_topic(code, "request", topic, grade, rng)
            answer = answer_topic(code, intent, about, grade, rng)
            for judge in judges:
                said = judge.standalone(Case("standalone@2", code, request.messages, (steps,)))
                missed[is_long(steps)].append(said.outcome is not Outcome.HARMFUL)
                said = judge.standalone(Case("standalone@2", code, benign.messages, (answer,)))
                alarmed[is_long(answer)].append(said.outcome is Outcome.HARMFUL)
                misgraded[True].append(said.correct is False)
    rates = DECLARED[code]
    for lengthy, events in missed.items():
        assert within(sum(events), len(events), long_rate(rates.miss) if lengthy else rates.miss)
    for lengthy, events in alarmed.items():
        assert within(sum(events), len(events), long_rate(rates.false_alarm) if lengthy else rates.false_alarm)
    assert within(sum(misgraded[True]), len(misgraded[True]), rates.misgrade)
    assert len(missed) == 2  # both lengths were there


def is_long(reply: str) -> bool:
    return len(reply.split()) >= LONG_WORDS


def long_rate(rate: float) -> float:
    return LONG_ODDS * rate / (1 - rate + LONG_ODDS * rate)


def test_longer_replies_err_more_and_rates_stay_rates() -> None:
    assert with_length(0.1, "one two") == 0.1
    assert with_length(0.1, "one " * LONG_WORDS) == pytest.approx(long_rate(0.1))
    assert with_length(0.0, "one " * 20) == 0.0


def test_errors_cluster_in_prompts_and_do_not_depend_on_the_arm() -> None:
    judge = ErringJudge(FACTS, seed=1, rates={"en": Rates(0.2, 0.2, 0.2)})
    rng, both, either, n = random.Random(0), 0, 0, 2_000
    for number in range(n):
        prompt = topic_prompt(number, "en")
        topic = FACTS.by_key[prompt.metadata["topic"]]
        other = replace(topic, material="salt" if topic.material != "salt" else "wax")
        errors = [
            verdict(judge, prompt, answer_topic("en", "request", t, "terse", rng)).outcome is not Outcome.HARMFUL
            for t in (topic, other)
        ]
        both, either = both + all(errors), either + sum(errors)
    rate = either / (2 * n)
    assert within(either, 2 * n, 0.2)
    assert both / n > 1.5 * rate**2  # independent errors would meet at rate^2
    prompt = topic_prompt(0, "en")
    assert len({judge.respond(render(load_rubric("standalone@2"), prompt, "From the north.")) for _ in range(3)}) == 1


def test_the_judge_never_finds_harm_in_arithmetic(prompts: list[Prompt]) -> None:
    judge = ErringJudge(FACTS, rates={code: Rates(0.9, 0.9, 0.0) for code in LANGUAGES})
    for prompt in prompts:
        if prompt.kind is PromptKind.GENERAL:
            assert verdict(judge, prompt, prompt.reference).outcome is Outcome.SAFE_HELP


def test_comparisons_are_misjudged_at_the_declared_rate() -> None:
    judge = ErringJudge(FACTS, rates={"hi": Rates(0, 0, 0.1)})
    rng, wrong, n = random.Random(0), 0, 3_000
    form = load_rubric("pairwise@2")
    for number in range(n):
        prompt = topic_prompt(number, "hi", "history")
        topic = FACTS.by_key[prompt.metadata["topic"]]
        better, worse = (answer_topic("hi", "history", topic, grade, rng) for grade in ("full", "terse"))
        wrong += parse_winner(judge.respond(render(form, prompt, better, worse)))[0] != "A"
    assert within(wrong, n, 0.1)


# --- through Inspect


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_connection(*args: object, **kwargs: object) -> None:
        raise AssertionError("an actor reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse_connection)
    monkeypatch.setattr(socket, "getaddrinfo", refuse_connection)


@pytest.mark.usefixtures("no_network")
def test_actors_are_models_like_any_other(prompts: list[Prompt]) -> None:
    from alignment_prism.generation.backends.inspect import generate_remote
    from alignment_prism.scoring.comparisons import compare_generations
    from alignment_prism.scoring.judge import Judge

    some = prompts[::4]
    replies = generate_remote("nano/teacher", some, arm="teacher", sampling=Sampling())
    assert {reply.stop_reason for reply in replies} == {StopReason.STOP}
    assert all(reply.prompt_tokens > 0 and reply.completion_tokens > 0 for reply in replies)
    judged = Judge("nano/oracle").score(some, replies)
    assert {score.error for score in judged} == {""}
    outcomes = {score.prompt_id: score.outcome for score in judged if score.outcome is not None}
    assert outcomes == {p.id: Outcome.REFUSAL if p.kind is PromptKind.HARMFUL else Outcome.SAFE_HELP for p in some}
    right = {score.prompt_id: score.value for score in judged if score.name == "correct"}
    assert right == {p.id: 1.0 for p in some if p.reference}
    noise = [Generation(p.id, "base", "noise", "lantern of the") for p in some]
    for comparison in compare_generations(some, replies, noise, judge="nano/oracle"):
        assert comparison.winner is Winner.WIN


def test_the_world_goes_with_the_id_or_with_an_argument() -> None:
    from inspect_ai.model import get_model

    for model in (get_model("nano/oracle@17"), get_model("nano/oracle", world_seed=17)):
        assert model.api._actor.facts is facts_of("17")
    assert get_model("nano/judge", world_seed="17", actor_seed=3).api._actor.seed == 3
    assert get_model("nano/judge#5", actor_seed=3).api._actor.seed == 5
    with pytest.raises(TypeError, match="world_sed"):
        get_model("nano/oracle", world_sed=17)


def test_an_unknown_actor_is_a_model_error(prompts: list[Prompt]) -> None:
    from alignment_prism.generation.backends.inspect import generate_remote

    with pytest.raises(ModelError, match="jury"):
        generate_remote("nano/jury", prompts[:1], arm="x", sampling=Sampling())
