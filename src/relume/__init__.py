"""relume makes dark photographs readable.

>>> import relume
>>> photo = relume.enhance("night.jpg")
>>> relume.write_photo(photo, "night.relume.jpg")
()

Names load on first use, so that importing relume costs nothing.
"""

from __future__ import annotations

from importlib import import_module

from relume.private import refuse_telemetry
from relume.version import __version__ as __version__

TYPE_CHECKING = False
"""As in `typing`, which takes longer to load than all else here; checkers of types know the name."""

refuse_telemetry()

if TYPE_CHECKING:
    from relume.enhancer import Enhancer as Enhancer
    from relume.enhancer import enhance as enhance
    from relume.errors import RelumeError as RelumeError
    from relume.options import EnhanceOptions as EnhanceOptions
    from relume.photo import Photo as Photo
    from relume.photo import read_photo as read_photo
    from relume.photo import write_photo as write_photo

_HOMES = {
    "EnhanceOptions": "relume.options",
    "Enhancer": "relume.enhancer",
    "Photo": "relume.photo",
    "RelumeError": "relume.errors",
    "enhance": "relume.enhancer",
    "read_photo": "relume.photo",
    "write_photo": "relume.photo",
}

__all__ = [
    "EnhanceOptions",
    "Enhancer",
    "Photo",
    "RelumeError",
    "__version__",
    "enhance",
    "read_photo",
    "write_photo",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'relume' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
