"""Scene-disjoint splits: made once by finding near-duplicates, then committed as a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, cast

import numpy as np

from relume.datasets.duplicates import SAME_SCENE, Progress, scenes, similarity_matrix
from relume.datasets.pairs import Pair
from relume.errors import DataError
from relume.files import read_json

_FOLDER = resources.files("relume.datasets") / "splits"


def read_split(split: str | Path) -> list[str]:
    """Names of the images that a split holds out.

    Args:
        split: one that comes with relume (`our485_scenes`, `sice_scenes`), or the file of one, ending in
            `.json`, as `relume data split` makes it.

    Raises:
        DataError: no split of that name, or the file is none.
        InputUnreadable, InputInvalid: no such file, or no JSON.
    """
    committed = _FOLDER / f"{split}.json"
    if committed.is_file():
        return json.loads(committed.read_text(encoding="utf-8"))["validation"]
    file = Path(split)
    if file.suffix != ".json":
        known = sorted(each.name.removesuffix(".json") for each in _FOLDER.iterdir())
        remedy = f"Name one of {', '.join(known)}, or a .json file made by `relume data split`."
        raise DataError(f"no split is called '{split}'", remedy)
    content: Any = read_json(file)
    names: Any = cast("dict[str, Any]", content).get("validation") if isinstance(content, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in cast("list[Any]", names)):
        raise DataError("holds no list of names `validation`", "Name a split file.", path=file)
    return cast("list[str]", names)


def held_out(pairs: Sequence[Pair], split: str | Path) -> list[Pair]:
    """The pairs that a split holds out, as far as they are there.

    Raises:
        RelumeError: as `read_split`.
    """
    names = set(read_split(split))
    return [pair for pair in pairs if pair.name in names]


def make_split(
    pairs: Sequence[Pair], share: float, seed: int, progress: Progress | None = None
) -> dict[str, Any]:
    """Hold out whole scenes of a set of pairs until they make up `share` of the images.

    Scenes are drawn in random order; one that is larger than a quarter of what is wanted is passed over, so
    that no single room decides the score.

    Args:
        pairs: as `list_pairs` or `layout_pairs` find them; scenes are found on the well-lit images.
        share: wanted part of the images, in (0, 1).
        seed: of the draw.

    Returns:
        JSON-ready description: method, threshold, seed, counts and the sorted names held out.
    """
    groups = scenes(similarity_matrix([pair.high for pair in pairs], progress) >= SAME_SCENE)
    held_out = _draw(groups, round(share * len(pairs)), seed)
    return {
        "method": "connected components of shifted normalised cross-correlation (relume.datasets.duplicates)",
        "threshold": SAME_SCENE,
        "share": share,
        "seed": seed,
        "images": len(pairs),
        "scenes": len(groups),
        "validation": [pairs[index].name for index in sorted(held_out)],
    }


def _draw(groups: Sequence[Sequence[int]], wanted: int, seed: int) -> list[int]:
    held_out: list[int] = []
    order: list[int] = np.random.default_rng(seed).permutation(len(groups)).tolist()
    for position in order:
        if len(held_out) >= wanted:
            break
        if len(groups[position]) <= max(1, wanted // 4):
            held_out.extend(groups[position])
    return held_out
