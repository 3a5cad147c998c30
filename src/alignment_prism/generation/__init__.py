"""Generation: replies of any model to prompts, and replies that are there already, read and checked."""

from alignment_prism.generation.batching import plan_windows
from alignment_prism.generation.completeness import answered, check_generations
from alignment_prism.generation.reading import read_generations
from alignment_prism.generation.reply import reply

__all__ = ["answered", "check_generations", "plan_windows", "read_generations", "reply"]
