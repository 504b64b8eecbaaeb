"""What the project's own settings promise."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
_NOT_THE_PRODUCT = "lab"


def test_types_of_the_whole_product_are_strict() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pyright"]
    strict = set(settings["strict"])
    packages = {file.relative_to(ROOT).parts[2] for file in (ROOT / "src" / "relume").glob("*/*.py")}
    assert "photo" in packages
    assert {f"src/relume/{name}" for name in packages - {_NOT_THE_PRODUCT}} <= strict
    assert "src/relume/*.py" in strict
