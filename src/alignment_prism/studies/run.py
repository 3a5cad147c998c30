"""Running a study: mixtures, trainings, replies, scores, findings, report; what is done is not done again.

Every step leaves an artifact, so a study that was stopped, by Ctrl-C or by the machine, goes on where it stood when
it is run again with the same folder. Findings and report are made anew each time: they take moments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alignment_prism.calls.journal import CallJournal
from alignment_prism.domain import Finding, Pair, Prompt, PromptKind, StoreError
from alignment_prism.domain.progress import Progress
from alignment_prism.io import read_records, write_json, write_records
from alignment_prism.reports import Example
from alignment_prism.store import check_within, folder_lock, write_artifact
from alignment_prism.store.names import (
    CALLS,
    COMPARISONS,
    FINDINGS,
    GENERATIONS,
    MIXTURE,
    PAIRS,
    PROMPTS,
    SCORES,
    STUDY,
)
from alignment_prism.studies.analysis import analyse, examples, generations_of
from alignment_prism.studies.checks import check_place, check_study, write_steps
from alignment_prism.studies.loading import load_spec
from alignment_prism.studies.plan import Plan, Step, build_plan
from alignment_prism.studies.progress import Reporter, Silent
from alignment_prism.studies.sources import Sources, load_sources
from alignment_prism.studies.spec import JudgeSpec, StudySpec
from alignment_prism.training.methods import find_method
from alignment_prism.training.settings import MethodConfig

_LOADING = ("nano", "hf", "vllm", "sglang", "transformer_lens", "llama-cpp-python")
"""Providers that load weights when a model is opened, and the one that needs nothing."""


@dataclass(frozen=True, slots=True)
class StudyResult:
    """What a study came to.

    Attributes:
        out: its folder.
        findings: every number.
        models: (arm, seed) -> folder of the trained model.
        notes: lines at the head of a report.
        examples: prompts and replies to look at.
    """

    out: Path
    findings: list[Finding]
    models: dict[tuple[str, int], Path]
    notes: tuple[str, ...] = ()
    examples: list[Example] = field(default_factory=list)


def run_study(
    spec: StudySpec | str | Path,
    out: str | Path | None = None,
    *,
    progress: Reporter | None = None,
    replace: bool = False,
) -> StudyResult:
    """Run a study, or go on with one.

    Args:
        spec: a spec, its YAML file, or the name of a preset (`quickstart`, `micro`).
        out: the study's folder, `results/NAME` if None.
        progress: where to report to; None is nowhere.
        replace: replace findings of another study in the folder; its finished steps are kept. Those of this study, or
            of one with fewer arms or seeds, need no leave.

    Raises:
        PrismError: anything that the user can mend.

    Example:
        >>> result = run_study("quickstart", "results/quickstart")
    """
    spec = spec if isinstance(spec, StudySpec) else load_spec(spec)
    out = Path(out) if out is not None else Path("results") / spec.name
    progress = progress if progress is not None else Silent()
    sources = load_sources(spec)
    notes = tuple(note for note in (sources.world_note, *spec.notes) if note)
    for note in notes:
        progress.note(note)
    check_study(spec, sources)
    plan = build_plan(spec, sources)
    _make_folder(out)
    with folder_lock(out):
        check_place(out, plan, spec, replace=replace)
        if not (out / FINDINGS).exists():
            write_steps(out, plan)
        write_json(out / STUDY, spec.model_dump(mode="json"))
        write_records(out / PROMPTS, sources.prompts, Prompt)  # findings can be made again from the folder alone
        _check_judges(spec, plan, out)
        with CallJournal(out / CALLS) as journal:
            worker = Worker(spec, sources, out, journal)
            for number, step in enumerate(plan.steps, start=1):
                if step.is_done(out):
                    progress.skip(number, len(plan.steps), step.title)
                    continue
                with progress.step(number, len(plan.steps), step.title) as tick:
                    worker.do(step, tick)
        findings = analyse(spec.name, sources.prompts, plan, out)
        write_steps(out, plan)
        write_records(out / FINDINGS, findings)
    models = {(of.arm, of.seed): model_folder(of.generate.needs["model"], out) for of in plan.arms}
    return StudyResult(out, findings, models, notes, examples(sources.prompts, plan, out, spec.examples))


class Worker:
    """Does the steps of one study.

    Args:
        spec: of the study.
        sources: what it starts from.
        out: its folder.
        journal: of the judges' answers.
    """

    def __init__(self, spec: StudySpec, sources: Sources, out: Path, journal: CallJournal) -> None:
        self.spec = spec
        self.sources = sources
        self.out = out
        self.journal = journal

    def do(self, step: Step, tick: Progress) -> None:
        """Do one step and leave its artifact."""
        work: dict[str, Callable[[Step, Path, Progress], None]] = {
            "mixture": self._mix,
            "generate": self._generate,
            "judge": self._judge,
            "compare": self._compare,
        }
        folder = step.folder(self.out)
        if step.kind == "train":
            # A training makes its run folder itself: what it had reached when it was stopped outlives the step.
            self._train(step, folder, tick)
            return
        with write_artifact(
            folder, kind=step.kind, spec=step.spec, inputs=step.all_inputs, seed=step.seed, replace=True
        ) as temporary:
            work[step.kind](step, temporary, tick)

    def _mix(self, step: Step, folder: Path, tick: Progress) -> None:
        from alignment_prism.mixtures import build_mixture

        mixture = build_mixture(self.sources.safety, self.sources.general, seed=_seed(step), **step.spec)
        write_records(folder / PAIRS, mixture.pairs)
        write_json(folder / MIXTURE, mixture.manifest)

    def _train(self, step: Step, folder: Path, tick: Progress) -> None:
        from alignment_prism.training.train import train_method

        first = step.needs.get("sft")
        train_method(
            step.spec["method"],
            engine=step.spec["engine"],
            base=self.sources.base,
            pairs=read_records(step.needs["mixture"].folder(self.out) / PAIRS, Pair),
            out=folder,
            config=_config(step),
            seed=_seed(step),
            sft_checkpoint=model_folder(first, self.out) if first else None,
            references=self.out / "references",
            progress=tick,
        )

    def _generate(self, step: Step, folder: Path, tick: Progress) -> None:
        from alignment_prism.generation.backends.transformers import generate_local

        model = step.needs.get("model")
        replies = generate_local(
            model_folder(model, self.out) if model else self.sources.base,
            self.sources.prompts,
            arm=step.arm,
            sampling=self.spec.generation.sampling(),
            batch_tokens=self.spec.generation.batch_tokens,
            progress=tick,
        )
        write_records(folder / GENERATIONS, replies)

    def _judge(self, step: Step, folder: Path, tick: Progress) -> None:
        from alignment_prism.scoring.judge import judge_generations, require_verdicts

        replies = generations_of(step.needs["replies"], self.out)
        verdicts = judge_generations(self.sources.prompts, replies, **self._calls(self.spec.judge, tick))
        require_verdicts(verdicts, self.spec.judge.model)
        write_records(folder / SCORES, verdicts)

    def _compare(self, step: Step, folder: Path, tick: Progress) -> None:
        from alignment_prism.scoring.judge import compare_generations

        prompts = [prompt for prompt in self.sources.prompts if prompt.kind is PromptKind.GENERAL]
        asked = {prompt.id for prompt in prompts}
        sides = [
            [reply for reply in generations_of(step.needs[role], self.out) if reply.prompt_id in asked]
            for role in ("candidate", "base")
        ]
        assert self.spec.compare is not None  # there is no such step without it
        verdicts = compare_generations(prompts, *sides, **self._calls(self.spec.compare, tick))
        write_records(folder / COMPARISONS, verdicts)

    def _calls(self, judge: JudgeSpec, tick: Progress) -> dict[str, Any]:
        """How a judge is called."""
        options: dict[str, Any] = {"judge": judge.model, "rubric": judge.rubric, "base_url": judge.base_url}
        if judge.max_connections is not None:
            options["max_connections"] = judge.max_connections
        return {**options, "journal": self.journal, "progress": tick}


def _check_judges(spec: StudySpec, plan: Plan, out: Path) -> None:
    """Open the judges that will be needed, so that a missing key is found out before hours of training.

    Judges that load weights when they are opened are left alone.

    Raises:
        ModelError: one cannot be opened.
    """
    waiting = {step.kind for step in plan.steps if not step.is_done(out)}
    judges = [spec.judge] if "judge" in waiting else []
    judges += [spec.compare] if spec.compare and "compare" in waiting else []
    remote = [judge for judge in judges if judge.model.partition("/")[0] not in _LOADING]
    if not remote:
        return
    from alignment_prism.calls.endpoint import Endpoint
    from alignment_prism.calls.runner import run_async

    async def probe(judge: JudgeSpec) -> None:
        async with Endpoint(judge.model, judge.base_url).open():
            pass

    for judge in remote:
        run_async(probe(judge))


def _config(step: Step) -> MethodConfig:
    """The settings of a training, from the recipe of its last stage: earlier stages are steps of their own."""
    section = find_method(step.spec["method"]).stages[-1].section
    return MethodConfig.model_validate({section: step.spec["recipe"], "training": step.spec["training"]})


def _seed(step: Step) -> int:
    return step.seed if step.seed is not None else 0


def model_folder(step: Step, out: Path) -> Path:
    """Where the model of a training step lies."""
    return step.folder(out) / "model"


def _make_folder(out: Path) -> None:
    check_within(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot write there: {error.strerror}", where=str(out), fix="choose another --out") from error
