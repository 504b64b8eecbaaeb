"""Sets of images: which files belong together, what they should hold, and which of them are held out."""

from relume.datasets.pairs import Pair, find_pairs

__all__ = ["Pair", "find_pairs"]
