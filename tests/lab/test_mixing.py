"""Recipes that would train and validate on the same photographs under two names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from relume.errors import UsageError
from relume.lab.data.paired import training_and_validation
from relume.lab.recipe import Recipe, override
from relume.photo import Photo, write_photo


def test_sources_that_share_photographs_are_refused_with_the_reason(tiny_recipe: Recipe) -> None:
    def sources(*paths: str) -> str:
        each = '{{"name": "{0}", "kind": "pairs", "path": "{0}", "share": 1, "split": "our485_scenes"}}'
        return "data.sources=[" + ",".join(each.format(path) for path in paths) + "]"

    mixed = override(tiny_recipe, [sources("lol_v1/our485", "sice_part1")])
    assert [source.path for source in mixed.data.sources] == ["lol_v1/our485", "sice_part1"]
    with pytest.raises(UsageError, match="91 of the 100 test images of lol-v2-real"):
        override(tiny_recipe, [sources("lol_v1/our485", "lol-v2-real/train")])


def test_a_source_may_be_a_part_of_a_layout(tiny_recipe: Recipe, tmp_path: Path) -> None:
    names = [f"{number:05}" for number in range(1, 5)]
    train = tmp_path / "lol_v2/Real_captured/Train"
    for name in names:
        for path in (train / f"Low/low{name}.png", train / f"Normal/normal{name}.png"):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_photo(Photo(np.full((24, 24, 3), 90, np.uint8)), path)
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"validation": names[:1]}))
    source = {"name": "lol2", "kind": "pairs", "path": "lol-v2-real/train", "share": 1, "split": str(split)}
    recipe = override(tiny_recipe, [f"data.sources={json.dumps([source])}"])
    training, validation = training_and_validation(tmp_path, recipe.data)
    assert [pair.low.stem for pair in training] == [f"low{name}" for name in names[1:]]
    assert [pair.high.stem for pair in validation] == [f"normal{names[0]}"]
