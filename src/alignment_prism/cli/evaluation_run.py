"""One evaluation, stage by stage, in a folder of its own: what is finished is kept until the result is complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from alignment_prism.calls.journal import CallJournal
from alignment_prism.cli import options as stages
from alignment_prism.domain import (
    Comparison,
    Finding,
    Generation,
    InputError,
    Languages,
    Prompt,
    Sampling,
    Score,
    StoreError,
    content_digest,
)
from alignment_prism.models.names import resolve
from alignment_prism.scoring.judge import Judge, require_verdicts
from alignment_prism.store import check_folder, check_inputs, folder_lock
from alignment_prism.store.names import CALLS, COMPARISONS, FINDINGS, GENERATIONS, PROMPTS, SCORES

KIND = "evaluation"


@dataclass
class Evaluation:
    """An evaluation under way; use it as a context, add arms, then finish.

    Attributes:
        out: folder of the result.
        replace: whether a finished result there is replaced.
        inputs: files and folders that are read, none of which may be lost.
        keep_going: leave out replies to none of the prompts, and prompts without all their replies.
        prompts: what is asked.
        sampling: how replies are drawn.
        languages: the registry of the prompts' languages.
        judge: Inspect id.
        rubric: id or path.
        judge_url: address of the judge's server, if it is one's own.
        study: name.
        calls: connections and retries of API calls.
        local: further arguments of `stages.generate`.
        generations: replies so far.
        scores: verdicts, once finished.
        comparisons: those of an earlier result that is taken up.
        left_out: where replies to none of the prompts stand.
        models: arm -> where its replies come from.
    """

    out: str
    replace: bool
    inputs: Sequence[str | None]
    keep_going: bool
    prompts: Sequence[Prompt]
    sampling: Sampling
    languages: Languages
    judge: str
    rubric: str
    judge_url: str
    study: str
    calls: Mapping[str, int]
    local: Mapping[str, Any]
    generations: list[Generation] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    models: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.folder = Path(self.out)
        check_inputs([self.folder], self.inputs)
        try:
            check_folder(self.folder, kind=KIND, replace=self.replace)
        except StoreError as error:
            if (self.folder / SCORES).is_file():
                error.fix = (
                    f"{error.fix}; for another judge on the same replies: --generations "
                    f"{self.folder / GENERATIONS} --out ELSEWHERE; to ask again where there is no verdict: "
                    "--retry-unjudged"
                )
            raise
        Judge(self.judge, base_url=self.judge_url).check(self.prompts)
        self.work = self.folder.with_name(f"{self.folder.name}.partial")
        self.open = ExitStack()
        try:
            self.work.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            fix = "choose another --out"
            raise StoreError(f"cannot write: {error.strerror}", where=str(self.work), fix=fix) from error
        self.open.callback(self._leave)
        try:
            self.open.enter_context(folder_lock(self.work, shown_as=self.out))
            self.journal = CallJournal(self.work / CALLS)
            self.open.callback(self.journal.close)
        except BaseException:
            self.open.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.open.close()

    def _leave(self) -> None:
        """Remove the folder of unfinished work if nothing is in it."""
        with suppress(OSError):
            self.work.rmdir()

    def take_up(self) -> None:
        """Add the replies of the finished result that is there, with its verdicts, so that only the rest is asked.

        Raises:
            StoreError: the result is not whole.
            InputError: it is one of another judge, rubric or set of prompts.
        """
        from alignment_prism.generation import check_generations
        from alignment_prism.io import read_records
        from alignment_prism.scoring import load_rubric
        from alignment_prism.store import verify

        manifest = verify(self.folder)
        rubric = load_rubric(self.rubric)
        if manifest.spec["judge"] != self.judge or manifest.inputs["rubric"] != rubric.digest:
            raise InputError(
                f"the result is judged by {manifest.spec['judge']} with rubric {manifest.spec['rubric']}",
                where=self.out,
                fix="name the same judge and rubric; for another one: --generations "
                f"{self.folder / GENERATIONS} --out ELSEWHERE",
            )
        self.generations = read_records(self.folder / GENERATIONS, Generation)
        self.scores = read_records(self.folder / SCORES, Score)
        if (self.folder / COMPARISONS).is_file():
            self.comparisons = read_records(self.folder / COMPARISONS, Comparison)
        ids = {generation.prompt_id for generation in self.generations}
        self.prompts = [prompt for prompt in self.prompts if prompt.id in ids]
        check_generations(self.prompts, self.generations, where=str(self.folder / GENERATIONS))
        self.models = dict(manifest.spec["models"])

    def generate(self, model: str, arm: str) -> None:
        """Add an arm by letting a model reply; replies that an earlier, stopped run has finished are taken up."""
        from alignment_prism.io import read_records, write_records

        conversations = [(p.id, [turn.as_dict() for turn in p.messages]) for p in self.prompts]
        key = content_digest(model, self._weights(model), arm, asdict(self.sampling), conversations)
        kept = self.work / f"generations-{arm}-{key}.parquet"
        if kept.exists():
            generations = read_records(kept, Generation)
        else:
            options = {**self.calls, **self.local}
            generations = stages.generate(
                model, self.prompts, arm=arm, sampling=self.sampling, journal=self.journal, **options
            )
            write_records(kept, generations, Generation)
        self._add(generations, model)

    def read(self, file: str, arm: str, columns: Mapping[str, str]) -> None:
        """Add the replies of a file: as they are for the model; base's under the name `base`."""
        from dataclasses import replace

        from alignment_prism.generation import read_generations

        left_out: list[str] | None = [] if self.keep_going else None
        generations = read_generations(file, self.prompts, arm=arm, mapping=columns, left_out=left_out)
        self.left_out += left_out or []
        arms = {generation.arm for generation in generations}
        if arm == "base" and arms != {"base"}:
            if len(arms) > 1:
                raise InputError(
                    f"the file of base's replies has several arms: {', '.join(sorted(arms))}",
                    where=file,
                    fix="give a file with one arm",
                )
            generations = [replace(generation, arm="base") for generation in generations]
        self._add(generations, file)

    def settle(self) -> None:
        """Once all files are read: leave out, if that is wanted, the prompts that they do not answer."""
        if self.keep_going and self.generations:
            from alignment_prism.generation import answered

            before = len(self.prompts)
            self.prompts, self.generations = answered(self.prompts, self.generations)
            stages.say_left_out(self.left_out, before, len(self.prompts))

    def finish(self, *, win_rate: bool) -> list[Finding]:
        """Judge, analyse, and write the result folder.

        Raises:
            ModelError: the judge cannot be reached, or judges nothing; all that is finished stays in the `.partial`
                folder.
        """
        from alignment_prism.evaluation import reply_findings, win_rate_findings
        from alignment_prism.scoring.comparisons import compare_generations

        calls: dict[str, Any] = {
            "journal": self.journal,
            "max_connections": self.calls["connections"],
            "retries": self.calls["retries"],
            "base_url": self.judge_url,
        }
        self.generations.sort(key=lambda generation: generation.arm != "base")
        with stages.progress("judging") as tick:
            judge = Judge(self.judge, self.rubric, progress=tick, languages=self.languages, known=self.scores, **calls)
            self.scores = judge.score(self.prompts, self.generations)
        require_verdicts(self.scores, self.judge)
        comparisons: list[Comparison] = []
        if win_rate:
            base = [generation for generation in self.generations if generation.arm == "base"]
            others = [generation for generation in self.generations if generation.arm != "base"]
            if not base:
                raise InputError("--win-rate without a base", fix="give --base or --base-generations")
            with stages.progress("comparing") as tick:
                comparisons = compare_generations(
                    self.prompts, others, base, judge=self.judge, progress=tick, known=self.comparisons, **calls
                )
        findings = reply_findings(self.prompts, self.generations, self.scores, study=self.study)
        findings += win_rate_findings(comparisons, self.prompts, study=self.study)
        self._write(findings, comparisons)
        return findings

    def _write(self, findings: list[Finding], comparisons: list[Comparison]) -> None:
        from alignment_prism.io import write_records
        from alignment_prism.scoring import load_rubric
        from alignment_prism.store import write_artifact

        spec = {
            "study": self.study,
            "models": self.models,
            "judge": self.judge,
            "rubric": load_rubric(self.rubric).id,
            "sampling": asdict(self.sampling),
            "prompts": len(self.prompts),
        }
        inputs = {
            "prompts": content_digest([(p.id, p.language, p.kind, p.text) for p in self.prompts]),
            "rubric": load_rubric(self.rubric).digest,
            **{f"weights of {g.arm}": g.weights for g in self.generations if g.weights},
        }
        with write_artifact(
            self.folder, kind=KIND, spec=spec, inputs=inputs, seed=self.sampling.seed, replace=self.replace
        ) as folder:
            write_records(folder / PROMPTS, self.prompts, Prompt)
            write_records(folder / GENERATIONS, self.generations, Generation)
            write_records(folder / SCORES, self.scores, Score)
            if comparisons:
                write_records(folder / COMPARISONS, comparisons, Comparison)
            write_records(folder / FINDINGS, findings, Finding)
        self.journal.close()
        for path in (self.work / CALLS, *self.work.glob("generations-*.parquet")):  # and nothing that is another's
            path.unlink(missing_ok=True)

    def _add(self, generations: list[Generation], source: str) -> None:
        arms = {generation.arm for generation in generations}
        both = arms & self.models.keys()
        if both:
            raise InputError(
                f"two sets of replies of arm {', '.join(sorted(both))}", fix="name the model with --arm, not base"
            )
        self.models.update(dict.fromkeys(sorted(arms), source))
        self.generations += generations

    def _weights(self, model: str) -> str:
        """Digest of a model, so that another one under an old name is never taken for the old one."""
        return resolve(model).digest()
