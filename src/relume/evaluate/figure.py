"""Figures by Matplotlib, where it is installed, without a screen."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from relume.errors import MissingExtra, install

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches.

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


def encoded(figure: Figure, suffix: str) -> bytes:
    """The figure as a file of this suffix."""
    file = io.BytesIO()
    figure.savefig(file, format=suffix.removeprefix("."), dpi=120)
    return file.getvalue()
