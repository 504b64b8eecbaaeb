"""Recipes that would train and validate on the same photographs under two names."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from relume.errors import UsageError
from relume.lab.recipe import Recipe, override


def test_sources_that_share_photographs_are_refused_with_the_reason(tiny_recipe: Recipe) -> None:
    def sources(*paths: str) -> str:
        each = '{{"name": "{0}", "kind": "pairs", "path": "{0}", "share": 1, "split": "our485_scenes"}}'
        return "data.sources=[" + ",".join(each.format(path) for path in paths) + "]"

    mixed = override(tiny_recipe, [sources("lol_v1/our485", "sice_part1")])
    assert [source.path for source in mixed.data.sources] == ["lol_v1/our485", "sice_part1"]
    with pytest.raises(UsageError, match="91 of the 100 test images of lol-v2-real"):
        override(tiny_recipe, [sources("lol_v1/our485", "lol-v2-real/train")])
