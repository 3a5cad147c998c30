"""Generation: how prompts become batches and token ids, and which weights answered. The engines do the rest."""

from alignment_prism.generation.batching import plan_batches
from alignment_prism.generation.completeness import answered, check_generations
from alignment_prism.generation.reading import read_generations
from alignment_prism.models.chat_templates import prompt_ids, require_chat_template
from alignment_prism.models.weights import weights_digest

__all__ = [
    "answered",
    "check_generations",
    "plan_batches",
    "prompt_ids",
    "read_generations",
    "require_chat_template",
    "weights_digest",
]
