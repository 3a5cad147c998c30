"""Preference pairs: what they are made from, what can be told of them without reading them, and files of them.

From seeds to pairs (`seeds`, `rephrasing`, `ranking`, `translating`), looked through (`xray`), mended (`matching`),
read and written (`pairs`, `export`). What loads SciPy is imported where it is used.
"""

from alignment_prism.preferences.pairs import iter_pairs, read_pairs

__all__ = ["iter_pairs", "read_pairs"]
