"""How well can the brightness of a LOL-v1 target be known from its input?

    python benchmarks/lol_exposure.py DATA/lol_v1/our485

Prints the spread of the targets' mean, the error of a ridge regression on statistics of the input, for
scenes that it was not fitted on, and the error of taking the mean of another photo of the same view. The
answers go to `results/lol_exposure.csv`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import machine
import numpy as np

from relume.datasets.duplicates import SAME_SCENE, scenes, similarity_matrix
from relume.evaluate import find_pairs
from relume.lab.data.paired import read_8_bits

FOLDS = 8

SAME_VIEW = 0.95
"""Similarity from which two images show one view; 13 images of eval15 have one like that in our485."""


def statistics(path: Path) -> np.ndarray:
    """Log mean, log spread and log percentiles of an image, by channel."""
    rgb_NC = read_8_bits(path).reshape(-1, 3) / 255
    values = [rgb_NC.mean(0), rgb_NC.std(0), *np.percentile(rgb_NC, [5, 25, 50, 75, 95, 99], axis=0)]
    return np.log(np.concatenate(values) + 1e-3)


def ridge(x: np.ndarray, y: np.ndarray, strength: float = 10.0) -> np.ndarray:
    """Coefficients, intercept last."""
    design = np.c_[x, np.ones(len(x))]
    penalty = strength * np.diag([1.0] * x.shape[1] + [0.0])
    return np.linalg.solve(design.T @ design + penalty, design.T @ y)


def unseen_scenes_error(features: np.ndarray, means: np.ndarray, groups: list[list[int]]) -> float:
    """Root mean square relative error of the predicted mean, each scene predicted from the others."""
    scaled = (features - features.mean(0)) / features.std(0)
    errors = []
    for fold in range(FOLDS):
        held_out = np.array([index for group in groups[fold::FOLDS] for index in group])
        fitted = np.setdiff1d(np.arange(len(means)), held_out)
        predicted = np.exp(
            np.c_[scaled[held_out], np.ones(len(held_out))] @ ridge(scaled[fitted], np.log(means[fitted]))
        )
        errors.extend(predicted / means[held_out] - 1)
    return root_mean_square(np.array(errors))


def known_views_error(similarity: np.ndarray, means: np.ndarray) -> float:
    """Root mean square relative error where the mean of the most similar image is the answer."""
    others = similarity - np.diag(np.diag(similarity))
    nearest = others.argmax(1)
    known = others.max(1) >= SAME_VIEW
    return root_mean_square((means[nearest] / means - 1)[known])


def root_mean_square(errors: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(errors))))


def main() -> None:
    folder = Path(sys.argv[1])
    pairs = find_pairs(folder / "low", folder / "high")
    features = np.stack([statistics(pair.low) for pair in pairs])
    means = np.array([read_8_bits(pair.high).mean() for pair in pairs])
    similarity = similarity_matrix([pair.high for pair in pairs])
    groups = scenes(similarity >= SAME_SCENE)
    row = {
        "images": len(pairs),
        "scenes": len(groups),
        "relative_spread": round(float(means.std() / means.mean()), 3),
        "correlation_of_log_means": round(
            float(np.corrcoef(features[:, :3].mean(1), np.log(means))[0, 1]), 3
        ),
        "unseen_scenes_error": round(unseen_scenes_error(features, means, groups), 3),
        "known_views_error": round(known_views_error(similarity, means), 3),
    }
    print(row)
    print(machine.store("lol_exposure", [row]))


if __name__ == "__main__":
    main()
