"""Measure results: against targets by one fixed protocol, or on their own."""

from relume.datasets.pairs import Pair, find_pairs
from relume.evaluate.metrics import gt_mean, psnr, ssim
from relume.evaluate.perceptual import Perceptual
from relume.evaluate.protocol import Report, Row, Scores, evaluate_pairs, score

__all__ = [
    "Pair",
    "Perceptual",
    "Report",
    "Row",
    "Scores",
    "evaluate_pairs",
    "find_pairs",
    "gt_mean",
    "psnr",
    "score",
    "ssim",
]
