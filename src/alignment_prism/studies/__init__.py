"""Studies: from a spec to findings, step by step, never doing anything twice."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alignment_prism.studies.analysis import nano_thresholds
    from alignment_prism.studies.arms import ModelArm, RepliesArm, TrainedArm
    from alignment_prism.studies.loading import load_spec
    from alignment_prism.studies.plan import Plan, build_plan
    from alignment_prism.studies.progress import Silent, Terminal
    from alignment_prism.studies.run import run_study
    from alignment_prism.studies.sources import Sources, load_sources
    from alignment_prism.studies.spec import StudySpec
    from alignment_prism.studies.steps import Step
    from alignment_prism.studies.study import Study

__all__ = [
    "ModelArm",
    "Plan",
    "RepliesArm",
    "Silent",
    "Sources",
    "Step",
    "Study",
    "StudySpec",
    "Terminal",
    "TrainedArm",
    "build_plan",
    "load_sources",
    "load_spec",
    "nano_thresholds",
    "run_study",
]

_MODULES = {
    "ModelArm": "arms",
    "Plan": "plan",
    "RepliesArm": "arms",
    "Silent": "progress",
    "Sources": "sources",
    "Step": "steps",
    "Study": "study",
    "StudySpec": "spec",
    "Terminal": "progress",
    "TrainedArm": "arms",
    "build_plan": "plan",
    "load_sources": "sources",
    "load_spec": "loading",
    "nano_thresholds": "analysis",
    "run_study": "run",
}


def __getattr__(name: str) -> Any:
    """Import a member when it is asked for: they stand on pydantic, and `import alignment_prism` shall be quick."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
