"""What a plan takes, by arithmetic on paper."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from alignment_prism.domain import InputError, Pair, Prompt, PromptKind, Scope, user
from alignment_prism.models.names import ModelKind, ModelRef
from alignment_prism.scoring.form import load_form
from alignment_prism.studies import Sources, StudySpec, build_plan
from alignment_prism.studies.estimate import estimate
from alignment_prism.studies.prices import load_prices
from alignment_prism.training import METHODS, Method, find_method

SAFETY = [Pair(f"s{n}", user("a" * 30), "b" * 60, "c" * 90, "en", "safety", Scope.GLOBAL) for n in range(50)]
GENERAL = [Pair(f"g{n}", user("a" * 30), "b" * 60, "c" * 90, "en", "general") for n in range(50)]
PROMPTS = [Prompt(f"p{n}", user("q" * 29 + str(n)), "en", PromptKind.HARMFUL, Scope.LOCAL) for n in range(6)]
PROMPTS += [Prompt(f"p{n}", user("q" * 29 + str(n)), "en", PromptKind.GENERAL) for n in range(6, 10)]
SOURCES = Sources(
    PROMPTS, {"base": ModelRef(ModelKind.FOLDER, "b", "base"), "api": ModelRef(ModelKind.API, "o/m", "o/m")},
    {"base": "digest", "api": "api:o/m"}, {}, SAFETY, GENERAL,
)  # fmt: skip
SPEC = StudySpec.model_validate(
    {
        "name": "x",
        "training": {"preset": "nano", "sft": {"epochs": 3}},
        "mixture": {"total": 60},
        "arms": [
            {"name": "one", "method": "sft", "share": 0.5},
            {"name": "two", "method": "dpo_ift", "share": 0.5},
            {"name": "api", "model": "o/m"},
        ],
        "generation": {"max_tokens": 100, "samples": 2, "temperature": 1},
        "judge": {"model": "judge/known", "max_tokens": 50},
        "compare": {"model": "judge/unknown"},
    }
)
PRICES = """\
gpu: {name: slow, tflops: 0.001, training: 0.5, replies: 0.1, per_hour: 2}
models: {judge/known: [1, 10], o/m: [0, 1]}
"""


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    (tmp_path / "prices.yaml").write_text(PRICES)
    return tmp_path / "prices.yaml"


def test_calls_tokens_hours_and_money_are_those_of_the_steps_that_are_left(prices: Path) -> None:
    plan = build_plan(SPEC, SOURCES)
    rows = {
        row.what: row for row in estimate(plan, SPEC, SOURCES, load_prices(prices), parameters=lambda name: 1_000_000)
    }
    train = rows["train from nano"]
    # SFT: 60 pairs x (10 + 20) tokens x 3 epochs; DPO: 60 x (10 + 20 + 30) x 2 epochs
    assert (train.steps, train.calls, train.tokens_in) == (2, 0, 60 * 30 * 3 + 60 * 60 * 2)
    # 6 operations a token and parameter, and 2 for DPO's references: at 0.5 x 10^9 a second
    operations = (60 * 30 * 3 * 6 + 60 * 60 * (2 * 6 + 2)) * 1e6
    assert train.gpu_hours == pytest.approx(operations / 0.5e9 / 3600)
    assert train.dollars == pytest.approx(2 * operations / 0.5e9 / 3600)
    replies = rows["replies of trained models"]
    assert (replies.steps, replies.tokens_in, replies.tokens_out) == (2, 2 * 2 * 10 * 10, 2 * 2 * 10 * 100)
    assert replies.gpu_hours == pytest.approx(2 * (400 + 4000) * 1e6 / 1e8 / 3600)
    asked = rows["reply by o/m"]
    assert (asked.calls, asked.tokens_in, asked.tokens_out, asked.gpu_hours) == (20, 200, 2000, 0)
    assert asked.dollars == pytest.approx(2000 / 1e6)
    judge = rows["judge by judge/known"]
    # base and three arms, 20 replies each, of 100 tokens at most; instructions and prompt as they are; a verdict of 50
    (turns,) = load_form("standalone@2").messages(PROMPTS[0], "")
    read = 20 * sum(len(turn.content) for turn in turns) // 3 + 20 * 100
    assert (judge.steps, judge.calls, judge.tokens_in, judge.tokens_out) == (4, 80, 4 * read, 80 * 50)
    assert judge.dollars == pytest.approx((4 * read + 80 * 50 * 10) / 1e6) and judge.at_most and not asked.at_most
    compare = rows["compare by judge/unknown"]
    # three arms with base, 4 general prompts, the first sample of each, both orders
    assert (compare.calls, compare.dollars) == (3 * 4 * 2, None)


@pytest.mark.parametrize(
    ("method", "tokens", "passes"),
    [
        # 60 pairs of 10 tokens and replies of 20 or 30: the chosen one, or both, in one example or in two
        ("sft_random", 60 * (10 + 20), 6 * 3),
        ("simpo", 60 * (10 + 20 + 30), 6 * 3),
        ("ipo", 60 * (10 + 20 + 30), 6 * 3 + 2),
        # references of its replies and of those to other prompts, and the latter once more in each epoch
        ("kto", 60 * (10 + 20 + 10 + 30), 6 * 3 + 2 + 2 + 2 * 3),
    ],
)
def test_a_training_takes_what_its_method_reads_with_gradient_and_without(
    method: str, tokens: int, passes: int, prices: Path
) -> None:
    section = find_method(method).stages[-1].section
    arm = {"name": "one", "method": method, "share": 0.5, "config": {section: {"epochs": 3}}}
    spec = StudySpec.model_validate({**SPEC.model_dump(exclude_unset=True), "arms": [arm]})
    rows = estimate(build_plan(spec, SOURCES), spec, SOURCES, load_prices(prices), parameters=lambda name: 10**6)
    (train,) = (row for row in rows if row.what == "train from nano")
    assert train.tokens_in == 3 * tokens
    assert train.gpu_hours == pytest.approx(tokens * passes * 1e6 / 0.5e9 / 3600)


def test_single_replies_are_read_with_one_prompt_each(prices: Path) -> None:
    """Of KTO, from pools in which every other row has a good reply and no bad one."""
    single = [replace(pair, rejected="") if n % 2 else pair for n, pair in enumerate(SAFETY)]
    sources = replace(SOURCES, safety=single)
    arm = {"name": "one", "method": "kto", "share": 1.0, "config": {"kto": {"epochs": 1}}}
    spec = StudySpec.model_validate({**SPEC.model_dump(exclude_unset=True), "arms": [arm], "mixture": {"total": 40}})
    rows = estimate(build_plan(spec, sources), spec, sources, load_prices(prices), parameters=lambda name: 1)
    # 40 rows, of which 20 have a second reply of 30 tokens, to the same prompt of 10
    assert {row.what: row.tokens_in for row in rows}["train from nano"] == 40 * (10 + 20) + 20 * (10 + 30)


def test_prompts_that_are_compared_with_their_translations_are_read_in_all_languages(prices: Path) -> None:
    """MLC's second pass was in no plan: safety pairs name two translations of 45 characters, general ones share a group
    with a pair in Hindi."""
    told = [replace(pair, metadata={"translations": {"hi": "x" * 45, "fr": "x" * 45}}) for pair in SAFETY]
    both = [replace(pair, group=f"g{n // 2}", language=("en", "hi")[n % 2]) for n, pair in enumerate(GENERAL)]
    sources = replace(SOURCES, safety=told, general=both)
    arm = {"name": "one", "method": "mlc", "share": 0.5, "config": {"mlc": {"epochs": 3}}}
    spec = StudySpec.model_validate({**SPEC.model_dump(exclude_unset=True), "arms": [arm]})
    rows = estimate(build_plan(spec, sources), spec, sources, load_prices(prices), parameters=lambda name: 10**6)
    (train,) = (row for row in rows if row.what == "train from nano")
    compared = 30 * (10 + 15 + 15) + 30 * (10 + 10)  # tokens of prompts, with gradient
    assert train.tokens_in == 3 * (60 * 60 + compared)
    operations = (60 * 60 * (6 * 3 + 2) + compared * 6 * 3) * 1e6
    assert train.gpu_hours == pytest.approx(operations / 0.5e9 / 3600)


def test_a_training_of_several_stages_takes_what_all_of_them_take(prices: Path, own_methods: None) -> None:
    stages = [replace(METHODS[name].stages[0], section=section) for name, section in (("simpo", "a"), ("ipo", "b"))]
    METHODS.register(Method("own", "Own", "of one's own", tuple(stages)))
    arm = {"name": "one", "method": "own", "share": 0.5, "config": {"a": {"epochs": 1}, "b": {"epochs": 2}}}
    spec = StudySpec.model_validate({**SPEC.model_dump(exclude_unset=True), "arms": [arm]})
    rows = estimate(build_plan(spec, SOURCES), spec, SOURCES, load_prices(prices), parameters=lambda name: 10**6)
    (train,) = (row for row in rows if row.what == "train from nano")
    # 60 pairs of 10 + 20 + 30 tokens, once and then twice; the second stage reads them once more for its references
    assert train.tokens_in == 60 * 60 * 3
    assert train.gpu_hours == pytest.approx(60 * 60 * (6 + 2 * 6 + 2) * 1e6 / 0.5e9 / 3600)


def test_what_is_done_takes_nothing_and_what_is_not_known_is_not_made_up(prices: Path) -> None:
    plan, table = build_plan(SPEC, SOURCES), load_prices(prices)
    done = {step.key for step in plan.steps if step.kind != "train"}
    (left,) = estimate(plan, SPEC, SOURCES, table, done=done, parameters=lambda name: 0)
    assert (left.what, left.gpu_hours, left.dollars) == ("train from nano", None, None)
    assert estimate(plan, SPEC, SOURCES, table, done={step.key for step in plan.steps}, parameters=lambda _: 1) == []


def test_a_table_of_prices_is_checked(prices: Path) -> None:
    assert load_prices().of("openai/gpt-4o-2024-11-20") == (2.5, 10.0) != load_prices().of("openai/gpt-4o-mini")
    assert load_prices().of("nano/oracle") == (0.0, 0.0) and load_prices().of("openai/o-unknown") is None
    assert load_prices().models and 0 < load_prices().gpu.replies < load_prices().gpu.training < 1
    prices.write_text(PRICES.replace("training: 0.5", "training: 35"))
    with pytest.raises(InputError, match="training") as refused:
        load_prices(prices)
    assert "prices.yaml" in str(refused.value)


def test_a_table_of_ones_own_is_laid_over_the_one_that_ships(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("models: {openai-api/local/*: [0, 0], openai-api/local/big: [1, 2], openai/gpt-4o: [9, 9]}")
    table = load_prices(file)
    assert table.of("openai-api/local/any") == (0.0, 0.0) and table.of("openai-api/local/big") == (1.0, 2.0)
    assert table.of("openai/gpt-4o") == (9.0, 9.0) and table.of("openai/gpt-4o-mini") == (0.15, 0.6)
    assert table.gpu == load_prices().gpu
