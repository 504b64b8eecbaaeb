"""Errors that the readers of several formats raise alike."""

from __future__ import annotations

from relume.errors import InputInvalid, InputTooLarge

MOST_DPI = 1e6
"""More dots an inch than that are damage."""

# No picture is wider for libvips, whatever its height.
_LONGEST_SIDE = 100_000_000


def check_size(width: int, height: int, path: str, max_pixels: int) -> None:
    """Raise InputTooLarge beyond the limit on pixels."""
    if width * height > max_pixels or max(width, height) > _LONGEST_SIDE:
        raise InputTooLarge(
            f"the photo has {width} x {height} pixels, more than the limit of {max_pixels:,}",
            "If you trust the file, raise the limit (`--max-pixels`, `max_pixels`).",
            path=path,
        )


def no_memory(path: str) -> InputTooLarge:
    """The error for a photo that is more than memory holds."""
    return InputTooLarge("there is not enough memory for the photo", "Close other programs.", path=path)


def damaged(title: str, what: str, said: str, path: str) -> InputInvalid:
    """The error for a file that a decoder gave up on.

    Args:
        title: the file's format.
        what: is wrong with it ("cut off").
        said: by the decoder, in one short line; "" if nothing of use.
    """
    return InputInvalid(
        f"the {title} file is {what}" + (f" ({said})" if said else ""),
        "Copy the photo again from where it came, or open it in another program and save it anew.",
        path=path,
    )
