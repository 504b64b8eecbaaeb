"""Figures by Matplotlib, where it is installed, without a screen."""

from __future__ import annotations

import io
from typing import Any

from relume.errors import MissingExtra, install


def new_figure(width: float, height: float) -> Any:
    """An empty `matplotlib.figure.Figure` (whose methods have few types), in inches.

    Raises:
        MissingExtra: Matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise MissingExtra("a picture needs matplotlib", install("lab")) from error
    mpl.use("agg")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def encoded(figure: Any, suffix: str) -> bytes:
    """The figure as a file of this suffix."""
    file = io.BytesIO()
    figure.savefig(file, format=suffix.removeprefix("."), dpi=120)
    return file.getvalue()
