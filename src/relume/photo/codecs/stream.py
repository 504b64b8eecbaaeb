"""Encoding by libvips, streamed into a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO

import pyvips

from relume.photo import vips
from relume.photo.photo import Metadata

# Size of the PNG chunk of the resolution.
_PHYS_SIZE = 21


def dots(dpi: tuple[float, float], unit: float, most: int) -> list[int]:
    """The resolution as whole dots a unit, which is given in inches."""
    return [min(max(round(one * unit), 1), most) for one in dpi]


def trailer(about: Metadata) -> bytes:
    """What stands behind the end of a JPEG, PNG or WebP file."""
    return b"".join(one.content for one in about.parts if one.key == b"")


def inserting(write: Callable[[bytes], object], at: int, extra: bytes) -> Callable[[bytes], None]:
    """A writer that passes bytes on to `write`, with `extra` put in after the first `at` of them.

    The resolution that libvips writes into every PNG file, known or not, stands there, and is left out.
    """
    head = bytearray()
    waiting = True

    def write_through(chunk: bytes) -> None:
        nonlocal waiting
        if not waiting:
            write(chunk)
            return
        head.extend(chunk)
        if len(head) >= at + _PHYS_SIZE:
            waiting = False
            rest = at + (_PHYS_SIZE if head.startswith(b"pHYs", at + 4) else 0)
            write(bytes(head[:at]) + extra + bytes(head[rest:]))

    return write_through


def with_blocks(image: pyvips.Image, **blocks: bytes | None) -> tuple[pyvips.Image, str]:
    """The image with metadata blocks (`exif`, `xmp`) that libvips is to write itself, and what it keeps."""
    image = image.copy()
    keep = ["icc"]
    for name, block in blocks.items():
        if block:
            vips.set_blob(image, f"{name}-data", block)
            keep.append(name)
    return image, ":".join(keep)


def stream(
    saver: str,
    image: pyvips.Image,
    sink: BinaryIO,
    write: Callable[[bytes], object] | None = None,
    **options: Any,
) -> None:
    """Encode through callbacks into `sink`. What goes wrong in one is kept, and raised afterwards:
    an exception cannot cross libvips' C code.

    Args:
        saver: libvips' operation, which takes `options`.
        write: what encoded bytes go through on their way into `sink`.

    Raises:
        vips.Failed: the encoder failed.
    """
    failed: list[BaseException] = []
    pass_on = write or sink.write

    def guarded(step: Callable[..., Any], instead: Any) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            try:
                return step(*arguments)
            except BaseException as error:  # noqa: BLE001 - Ctrl-C included: raised again below
                failed.append(error)
                return instead

        return call

    def write_chunk(chunk: Any) -> int:
        pass_on(bytes(chunk))
        return len(chunk)

    target = pyvips.TargetCustom()
    target.on_write(guarded(write_chunk, -1))
    target.on_seek(guarded(sink.seek, -1))
    target.on_read(guarded(sink.read, b""))
    target.on_end(lambda: 0)
    with vips.calls(lambda said: failed[0] if failed else vips.Failed(said)):
        pyvips.Operation.call(saver, image, target, **options)
    if failed:
        raise failed[0]
