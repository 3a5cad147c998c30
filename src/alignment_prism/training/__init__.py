"""Alignment: methods, settings, examples, losses and exact metrics; engines train with them.

`losses` needs torch and is imported by its own name.
"""

from alignment_prism.training.examples import Example, ExampleSet, make_examples, pairs_digest
from alignment_prism.training.groups import GroupSums, group_of
from alignment_prism.training.methods import METHODS, Method, Objective, Stage, Target, find_method, imitated_replies
from alignment_prism.training.results import StageResult, TrainingInterrupted, TrainingResult
from alignment_prism.training.settings import (
    AdapterConfig,
    MethodConfig,
    PreferenceRecipe,
    Recipe,
    TrainingConfig,
    dump_config,
    load_config,
    presets,
)

__all__ = [
    "METHODS",
    "AdapterConfig",
    "Example",
    "ExampleSet",
    "GroupSums",
    "Method",
    "MethodConfig",
    "Objective",
    "PreferenceRecipe",
    "Recipe",
    "Stage",
    "StageResult",
    "Target",
    "TrainingConfig",
    "TrainingInterrupted",
    "TrainingResult",
    "dump_config",
    "find_method",
    "group_of",
    "imitated_replies",
    "load_config",
    "make_examples",
    "pairs_digest",
    "presets",
]
