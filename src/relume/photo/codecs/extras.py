"""What files hold that libvips does not tell, found by walking over their parts."""

from __future__ import annotations

from dataclasses import dataclass, field

from relume.photo.photo import Part

MOST_PARTS = 1 << 16
MOST_TEXT = 8 << 20
MOST_BESIDE, _MOST_CARRIED = 128 << 20, 5000
"""Most bytes of parts that are carried on, and are read at once; and most parts."""

BEHIND = "data behind the photo"
CLAIMS = "content credentials (C2PA) or another JUMBF block dropped: they do not hold for changed pixels"


@dataclass
class Extras:
    """What a file holds beside what libvips tells.

    Attributes:
        exif, xmp, iptc, resources, comments, texts, parts: see `Metadata`, as they stand in the file.
        codes: primaries and brightness curve as code numbers (ITU-T H.273), 0 where there are none.
        codes_first: they go before a colour profile.
        carried: bytes of `parts`.
        profile: there is a colour profile, sound or not.
        no_alpha: the last channel of two or four is said not to be transparency.
        resolution: a JPEG or PNG file states a resolution outside EXIF.
        pictures: in the file; previews do not count.
        animated: is an animation.
        dropped: what else is not read.
        notes: on colours that are not read as the file states them.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    resources: bytes | None = None
    comments: list[bytes] = field(default_factory=list[bytes])
    texts: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    parts: list[Part] = field(default_factory=list[Part])
    carried: int = 0
    codes: tuple[int, int] = (0, 0)
    codes_first: bool = False
    profile: bool = False
    no_alpha: bool = False
    resolution: bool = False
    pictures: int = 1
    animated: bool = False
    dropped: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])

    def drop(self, note: str) -> None:
        """Note once what is not read."""
        if note not in self.dropped:
            self.dropped.append(note)

    def shape(self, alone: bool, across: bytes, down: bytes) -> None:
        """Note that pixels are not square, where that is all that a file says of its resolution."""
        if alone and across != down:
            self.drop("shape of the pixels dropped: they count as square")

    def carry(self, part: Part) -> None:
        """Take a part that the file's format can carry on, as long as there is room."""
        self.carried += len(part.content)
        if self.carried > MOST_BESIDE or len(self.parts) >= _MOST_CARRIED:
            self.drop(
                f"parts of other makers dropped: more than {_MOST_CARRIED:,} or {MOST_BESIDE >> 20} MiB"
            )
        else:
            self.parts.append(part)
