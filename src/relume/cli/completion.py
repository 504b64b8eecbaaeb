"""What the Tab key offers for names; each is looked up only then."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec


def models(incomplete: str) -> list[str]:
    """Shipped models; of names that commas separate, the last."""
    from relume.models import list_models

    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in list_models() if name.startswith(last)]


def devices(incomplete: str) -> list[str]:
    """Devices of ONNX Runtime."""
    return _among(("auto", "cpu", "cuda", "coreml", "directml"), incomplete)


def training_devices(incomplete: str) -> list[str]:
    """Devices of PyTorch."""
    return _among(("auto", "cpu", "cuda", "mps"), incomplete)


def formats(incomplete: str) -> list[str]:
    """Formats that are written."""
    from relume.photo.formats import FORMATS

    return _among(FORMATS, incomplete)


def recipes(incomplete: str) -> list[str]:
    """Recipes of the laboratory, where its packages are."""
    if find_spec("pydantic") is None:
        return []
    from relume.lab.recipes import RECIPES

    return _among(RECIPES, incomplete)


def grids(incomplete: str) -> list[str]:
    """Grids of ablations, likewise."""
    if find_spec("torch") is None or find_spec("pydantic") is None:
        return []
    from relume.lab.recipes.ablations import GRIDS

    return _among(GRIDS, incomplete)


def _among(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))


def engines(incomplete: str) -> list[str]:
    """Engines that run the networks."""
    from relume.options import ENGINES

    return _among(ENGINES, incomplete)


def export_formats(incomplete: str) -> list[str]:
    """Formats of other programs that models are exported in."""
    names = ("fp16", "int8", "steps", "whole", "whole-8bit")
    return _among(("darktable", "onnx", *(f"onnx-{name}" for name in names), "openvino", "pt2"), incomplete)


def precisions(incomplete: str) -> list[str]:
    """Precisions of the networks."""
    return _among(("auto", "bfloat16", "float32", "int8"), incomplete)


OF_FIELDS = {
    "engine": engines,
    "precision": precisions,
    "model": models,
    "device": devices,
    "format": formats,
}
"""Of fields of `EnhanceOptions` and `Saving`."""
