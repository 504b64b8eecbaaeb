"""Arrays: what the steps of an enhancement compute on, whichever library holds them.

The steps keep to the Python array API standard (https://data-apis.org/array-api): NumPy runs them in the
product, and PyTorch runs the same source in the laboratory and traces it into graphs for other hosts.
`namespace(array)` has the standard's functions, of the library that holds the array.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "Array",
    "Doubles",
    "EightBits",
    "Floats",
    "Numbers",
    "Pixels",
    "constant",
    "device",
    "full_range",
    "is_numpy",
    "namespace",
]

Array: TypeAlias = Any
"""An array of any library with the array API standard, such as NumPy's or a tensor of PyTorch."""

Floats: TypeAlias = npt.NDArray[np.float32]
"""NumPy's, in single precision, as the networks take and give them."""

Doubles: TypeAlias = npt.NDArray[np.float64]
"""NumPy's, in double precision."""

EightBits: TypeAlias = npt.NDArray[np.uint8]
"""NumPy's, whole numbers from 0 to 255."""

Pixels: TypeAlias = EightBits | npt.NDArray[np.uint16]
"""NumPy's, integers over their whole range, as photos hold them."""

Numbers: TypeAlias = npt.NDArray[Any]
"""NumPy's, of any type."""


_IS_STANDARD = hasattr(np, "astype")
"""Whether NumPy has the standard's functions itself, as from 2.1 on: array-api-compat takes a fifth of a
second to load all of NumPy, and adds nothing that is used here."""


def namespace(*arrays: Array) -> Any:
    """The standard's functions, of the library that holds the arrays; numbers among them do not count.

    Raises:
        TypeError: none of them is an array, or they are of several libraries.
    """
    if _IS_STANDARD and all(is_numpy(array) for array in arrays if not isinstance(array, int | float)):
        return np
    from array_api_compat import array_namespace

    return array_namespace(*arrays)


def is_numpy(array: Array) -> bool:
    """Whether NumPy holds an array."""
    return isinstance(array, np.ndarray | np.generic)


def device(array: Array) -> Any:
    """Where an array lies, as its library says it."""
    if is_numpy(array):
        return "cpu"
    from array_api_compat import device as where  # pyright: ignore[reportUnknownVariableType]

    return where(array)


def constant(values: float | Iterable[float], like: Array) -> Array:
    """Numbers as an array of the library, the type and the device of another array."""
    numbers = values if isinstance(values, int | float) else tuple(values)
    where = device(like)
    # A copy to another device cannot be part of what is recorded there, and need not be made again.
    make = _made if getattr(where, "type", "cpu") == "cpu" else _kept
    return make(namespace(like), numbers, like.dtype, where)


def _made(xp: Any, numbers: float | tuple[float, ...], kind: Any, where: Any) -> Array:
    return xp.asarray(numbers, dtype=kind, device=where)


_kept = cache(_made)


def full_range(array: Array) -> int:
    """The value that stands for 1: the largest of an integer type, 1 for floats."""
    xp = namespace(array)
    return int(xp.iinfo(array.dtype).max) if xp.isdtype(array.dtype, "integral") else 1
