"""Preference pairs: read from files."""

from alignment_prism.preferences.pairs import iter_pairs, read_pairs

__all__ = ["iter_pairs", "read_pairs"]
