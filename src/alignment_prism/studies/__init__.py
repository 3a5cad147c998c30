"""Studies: from a spec to findings, step by step, never doing anything twice."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alignment_prism.studies.analysis import nano_thresholds
    from alignment_prism.studies.arms import ModelArm, RepliesArm, TrainedArm
    from alignment_prism.studies.beside import study_beside
    from alignment_prism.studies.costs import DryRun, dry_run
    from alignment_prism.studies.evaluation import EVALUATIONS, evaluate, question_of, run_evaluation
    from alignment_prism.studies.judges import CompareSpec, JudgeSpec
    from alignment_prism.studies.loading import load_spec, make_spec
    from alignment_prism.studies.plan import Plan, build_plan
    from alignment_prism.studies.run import run_study
    from alignment_prism.studies.runs import open_run
    from alignment_prism.studies.sources import Sources, load_sources
    from alignment_prism.studies.spec import PromptFile, StudySpec
    from alignment_prism.studies.steps import Step
    from alignment_prism.studies.study import Study

__all__ = [
    "EVALUATIONS",
    "CompareSpec",
    "DryRun",
    "JudgeSpec",
    "ModelArm",
    "Plan",
    "PromptFile",
    "RepliesArm",
    "Sources",
    "Step",
    "Study",
    "StudySpec",
    "TrainedArm",
    "build_plan",
    "dry_run",
    "evaluate",
    "run_evaluation",
    "load_sources",
    "load_spec",
    "make_spec",
    "nano_thresholds",
    "open_run",
    "question_of",
    "run_study",
    "study_beside",
]

_MODULES = {
    "CompareSpec": "judges",
    "DryRun": "costs",
    "dry_run": "costs",
    "question_of": "evaluation",
    "JudgeSpec": "judges",
    "ModelArm": "arms",
    "Plan": "plan",
    "PromptFile": "spec",
    "RepliesArm": "arms",
    "Sources": "sources",
    "Step": "steps",
    "Study": "study",
    "StudySpec": "spec",
    "TrainedArm": "arms",
    "build_plan": "plan",
    "load_sources": "sources",
    "evaluate": "evaluation",
    "run_evaluation": "evaluation",
    "EVALUATIONS": "evaluation",
    "load_spec": "loading",
    "make_spec": "loading",
    "nano_thresholds": "analysis",
    "open_run": "runs",
    "run_study": "run",
    "study_beside": "beside",
}


def __getattr__(name: str) -> Any:
    """Import a member when it is asked for: they stand on pydantic, and `import alignment_prism` shall be quick."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
