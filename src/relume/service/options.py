"""Options of the service: where it listens, and its limits. How photos are to look, each request says."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field, fields
from typing import Any

from relume.errors import UsageError
from relume.options import Controls, EnhanceOptions, Told
from relume.threads import available

PLACE, LIMITS = "Place", "Limits"

OF_A_PHOTO = (*(each.name for each in fields(Controls)), "model", "downsample")
"""Options of an enhancement that a stranger may choose."""

OF_THE_MACHINE = ("model", *(each.name for each in fields(EnhanceOptions) if each.name not in OF_A_PHOTO))
"""Those that the operator chooses: how it computes, and the model that is taken where none is named."""

MEGA = 1_000_000
OWN = 250 * MEGA
"""Bytes that the serving process itself takes, with the libraries that it loads."""

LEAST = 400 * MEGA
"""Bytes that a worker needs to load a model and enhance a small photo."""

_LONGEST = 24 * 3600


def _told(help: str, panel: str, **more: str) -> dict[str, Any]:  # noqa: A002
    return {"told": Told(help, panel, **more)}


@dataclass(frozen=True)
class ServiceOptions:
    """Where the service listens, and what it allows.

    Attributes:
        host: an address of this machine, or its name.
        port: 0 takes a free one.
        workers: processes that enhance photos, one at a time each; 0 takes as many as there are processor
            threads, at most 4.
        queue: requests that may wait for a worker; what comes beyond is told to try again (429).
        memory: megabytes that all processes may take together. A quarter is for bodies and results on their
            way, 250 for the serving process, the workers share the rest.
        max_bytes: largest body of a request.
        max_pixels: most pixels of a photo.
        seconds: longest time that a photo may wait for a worker, and that a worker may take for it.
        transfer_seconds: longest time for a body to arrive.
        stall_seconds: longest time that a connection may stand still.

    Raises:
        UsageError: a value out of range, or memory too small for the workers.
    """

    host: str = field(
        default="127.0.0.1", metadata=_told("Address to listen at; the default is this machine alone.", PLACE)
    )
    port: int = field(default=8000, metadata=_told("Port to listen at; 0 takes a free one.", PLACE))
    workers: int = field(
        default=0,
        metadata=_told("Processes that enhance photos; 0: one per processor thread, at most 4.", LIMITS),
    )
    queue: int = field(
        default=16, metadata=_told("Requests that may wait for a worker; more are told to try again.", LIMITS)
    )
    memory: int = field(
        default=4000, metadata=_told("Megabytes that all processes may take together.", LIMITS)
    )
    max_bytes: int = field(default=32 * MEGA, metadata=_told("Largest body of a request.", LIMITS))
    max_pixels: int = field(default=50 * MEGA, metadata=_told("Refuse photos with more pixels.", LIMITS))
    seconds: float = field(
        default=120.0, metadata=_told("Longest time for a photo, and for its wait before that.", LIMITS)
    )
    transfer_seconds: float = field(
        default=120.0, metadata=_told("Longest time for a body to arrive.", LIMITS)
    )
    stall_seconds: float = field(
        default=10.0, metadata=_told("Longest time that a connection may stand still.", LIMITS)
    )

    def __post_init__(self) -> None:
        for name, least, most in (
            ("port", 0, 65535),
            ("workers", 0, 1024),
            ("queue", 0, 100_000),
            ("memory", 1, 10_000_000),
            ("max_bytes", 1, 2**31),
            ("max_pixels", 1, 2**31),
            *((each.name, 0.1, _LONGEST) for each in fields(self) if each.name.endswith("seconds")),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                raise UsageError(f"{name.replace('_', '-')} is {value}", f"Give {least:g} to {most:g}.")
        if self.worker_memory < LEAST:
            needed = -(-(OWN + self.processes * LEAST) * 4 // 3 // MEGA)
            raise UsageError(
                f"memory is {self.memory} MB, too little for {self.processes} worker(s)",
                f"Give at least {needed}, or fewer workers.",
            )

    @property
    def processes(self) -> int:
        """How many workers there are."""
        return self.workers or min(available(), 4)

    @property
    def transit(self) -> int:
        """Bytes of bodies and results that may be on their way at once."""
        return self.memory * MEGA // 4

    @property
    def worker_memory(self) -> int:
        """Bytes that a worker may take."""
        return (self.memory * MEGA - self.transit - OWN) // self.processes


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_token(token: str) -> None:
    """Raises UsageError where a token could not be shown in a header, or only by some clients."""
    if not all("!" <= letter <= "~" for letter in token):
        raise UsageError(
            "the token has a space, or a letter or sign that headers do not carry alike",
            "Use letters, digits and signs of ASCII, such as those of: openssl rand -hex 32",
        )


def check_origin(origin: str) -> None:
    """Raises UsageError where no browser would name a site so, and its pages would be refused unexplained."""
    if not re.fullmatch(r"https?://[a-z0-9._-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?", origin):
        raise UsageError(
            f"'{origin}' is not the origin of a site",
            "Give scheme and name alone, in small letters, such as https://example.org or http://localhost:3000.",
        )


def known_hosts(host: str) -> frozenset[str]:
    """Names under which a service that listens at `host` may be asked; none for any name.

    At loopback a page of a stranger could otherwise let its own name lead to this machine, and read what the
    service answers (DNS rebinding).
    """
    if not is_loopback(host):
        return frozenset()
    own = f"[{host}]" if ":" in host else host
    return frozenset(("localhost", "127.0.0.1", "[::1]", own.lower()))
