"""What is found out about a study before any of its work."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from alignment_prism.domain import InputError, ModelError, Pair, PromptKind, StoreError
from alignment_prism.io import write_json
from alignment_prism.models.names import resolve
from alignment_prism.nano import world
from alignment_prism.store.names import FINDINGS, PLAN, PROMPTS, STUDY
from alignment_prism.studies import Sources, StudySpec, build_plan
from alignment_prism.studies.checks import check_judges, check_place, check_study

ARMS = [{"name": "one", "method": "sft", "share": 0.5}, {"name": "two", "method": "dpo_ift", "share": 0}]


def spec(**changes: object) -> StudySpec:
    return StudySpec.model_validate(
        {"name": "x", "training": "micro", "arms": ARMS, "judge": {"model": "nano/oracle"}, **changes}
    )


@pytest.fixture(scope="module")
def sources() -> Sources:
    safety, general = world().pairs()
    base = {"base": resolve("nano")}
    return Sources(world().evaluation_prompts(), base, {"base": "digest"}, {}, safety[:40], general[:40])


def test_a_mixture_that_cannot_be_filled_is_found_out_with_its_arm(sources: Sources) -> None:
    check_study(spec(), sources)
    with pytest.raises(InputError, match="cannot fill a mixture of 80000 pairs") as error:
        check_study(spec(mixture={"total": 80_000}), sources)
    assert "arm 'one'" in (error.value.where or "")


def test_pools_that_overlap_are_counted_in_one_error(sources: Sources) -> None:
    both = replace(sources, general=[*sources.general, *sources.safety[:7]])
    with pytest.raises(InputError, match="7 pairs are in both pools"):
        check_study(spec(), both)
    twice = replace(sources, safety=[*sources.safety, *sources.safety[:3]])
    with pytest.raises(InputError, match="3 pairs are twice in the safety pool"):
        check_study(spec(), twice)


def test_pairs_that_a_method_cannot_learn_from_are_found_out_before_any_step(sources: Sources) -> None:
    """They were in the training, after everything before it; of MLC and SafeDPO after the base had been loaded."""

    def refused(method: str, what: str, **pools: list[Pair]) -> str:
        arms = [{"name": "fine", "method": "kto", "share": 0.5}, {"name": "mine", "method": method, "share": 0.5}]
        with pytest.raises(InputError, match=what) as error:
            check_study(spec(arms=arms), replace(sources, **pools))
        assert "arm 'mine'" in str(error.value)
        return str(error.value)

    single = [replace(pair, rejected="") if n < 3 else pair for n, pair in enumerate(sources.general)]
    assert sources.general[0].id in refused("dpo_ift", "3 of 80 pairs have one reply only", general=single)
    silent = [replace(pair, rejected_harmful=None) if n == 7 else pair for n, pair in enumerate(sources.safety)]
    assert sources.safety[7].id in refused("safe_dpo", "does not say which", safety=silent)
    refused("mlc", "none of 80 pairs has its prompt in another language")
    arms = [{"name": name, "method": name, "share": share} for name, share in (("safe_dpo", 0), ("mlc", 0.5))]
    told = [replace(pair, metadata={"translations": {"eo": "x"}}) if not n else pair for n, pair in enumerate(silent)]
    check_study(spec(arms=arms), replace(sources, safety=told))


def test_judges_know_the_prompts_and_have_an_address(sources: Sources, tmp_path: Path) -> None:
    real = replace(sources, prompts=[replace(sources.prompts[0], messages=world().evaluation_prompts()[0].messages)])
    foreign = [replace(real.prompts[0], messages=tuple(replace(m, content="Who?") for m in real.prompts[0].messages))]
    for prompts, words in ((real.prompts, ""), (foreign, "1 of 1 prompts are not")):
        asked = replace(sources, prompts=prompts)
        plan = build_plan(spec(), asked)
        with pytest.raises(InputError, match=words) if words else nullcontext():
            check_judges(spec(), asked, plan, tmp_path)
    with pytest.raises(ModelError, match="(?s)address is not given.*give its base_url, or set MINE_BASE_URL"):
        check_study(spec(judge={"model": "openai-api/mine/j"}), sources)
    with pytest.raises(ModelError, match="is no address"):
        check_study(spec(compare={"model": "openai-api/mine/j", "base_url": "there"}), sources)


def test_comparisons_need_general_prompts(sources: Sources) -> None:
    harmful = [prompt for prompt in sources.prompts if prompt.kind is PromptKind.HARMFUL]
    compared = spec(compare={"model": "nano/oracle"})
    check_study(compared, sources)
    check_study(spec(), replace(sources, prompts=harmful))
    with pytest.raises(InputError, match="none of the prompts is one"):
        check_study(compared, replace(sources, prompts=harmful))


def test_findings_of_another_study_are_not_replaced_and_those_of_a_smaller_one_are(
    sources: Sources, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    small, large = (build_plan(spec(arms=arms), sources) for arms in (ARMS[:1], ARMS))
    other = build_plan(spec(seeds=(5,)), sources)
    check_place(out, small, spec(), replace=False)
    write_json(out / PLAN, small.as_json())
    write_json(out / STUDY, spec(arms=ARMS[:1]).model_dump(mode="json"))
    (out / PROMPTS).write_text("")
    check_place(out, other, spec(), replace=False)  # stopped before there were findings: nothing to lose
    (out / FINDINGS).write_text("")
    check_place(out, small, spec(), replace=False)
    check_place(out, large, spec(), replace=False)
    with pytest.raises(StoreError, match=r"findings of another study.*\(judge.model: nano/oracle -> x/y, seeds\)"):
        check_place(out, other, spec(arms=ARMS[:1], seeds=(5,), judge={"model": "x/y"}), replace=False)
    for text in (None, "{", json.dumps([])):
        if text is not None:
            (out / PLAN).write_text(text)
        with pytest.raises(StoreError) as error:
            check_place(out, other, spec(), replace=False)
        assert error.value.settings["replace"]
        check_place(out, other, spec(), replace=True)
    mine = spec(prompts=[{"file": str(out / PROMPTS)}])
    with pytest.raises(InputError, match="also an input"):
        check_place(out, small, mine, replace=True)


def test_a_folder_that_holds_something_else_is_refused_whatever_is_said(sources: Sources, tmp_path: Path) -> None:
    plan = build_plan(spec(), sources)
    (tmp_path / ".prism.lock").write_text("process 1")  # of a study that was killed as it began
    check_place(tmp_path, plan, spec(), replace=False)
    (tmp_path / "thesis.txt").write_text("years")
    for replaced in (False, True):
        with pytest.raises(StoreError, match=r"something else than a study: thesis.txt"):
            check_place(tmp_path, plan, spec(), replace=replaced)
