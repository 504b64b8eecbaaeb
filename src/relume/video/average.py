"""Results averaged over time where nothing moves, so that grain does not swim.

A recursive filter: each picture is mixed with the average so far, by a share that a memory in seconds
gives. The share falls to nothing where both differ by more than noise does, so what moves or changes its
light leaves nothing behind. It acts on results: an average of dark pictures would change what the network
takes for noise.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from relume.photo import Photo

_REACH = 2
"""Differences are means over pixels up to so far away: noise in them is small beside what moves."""

_SAME, _OTHER = 1.5, 3.0
"""Differences, by the usual one, up to which all of the share is kept, and from which on nothing is."""

_NOISIEST = 6 / 255
"""The usual difference at most, whatever is seen: more is motion or light."""

_RISES = 1.5
"""By how much the usual difference rises from one picture to the next at most: a light raises it more."""

_LEAST = 0.1 / 255
"""The usual difference at least: pictures without noise have none."""

_EVERY = 4
"""Every so many rows and columns are enough to tell the usual difference, their median."""

Plane = npt.NDArray[np.float32]


class Averager:
    """Takes results one by one, and returns each mixed with the average of those before it.

    Args:
        memory: seconds after which a picture's part in the average has fallen to 1 / e; 0 leaves each alone.
    """

    def __init__(self, memory: float) -> None:
        self._memory = memory
        self._average_HWC: npt.NDArray[np.float32] | None = None
        self._scene, self._seconds = 0, 0.0
        self._usual = math.inf

    def mixed(self, photo: Photo, seconds: float, scene: int) -> Photo:
        """The next result.

        Args:
            photo: of one size and depth with those before it.
            seconds: its time.
            scene: number of its scene; a new one begins a new average.
        """
        if self._memory == 0:
            return photo
        top = np.float32(np.iinfo(photo.rgb_HWC.dtype).max)
        new_HWC = photo.rgb_HWC.astype(np.float32) / top
        before_HWC, last = self._average_HWC, self._seconds
        self._average_HWC, self._seconds = new_HWC, seconds
        if before_HWC is None or scene != self._scene:
            self._scene, self._usual = scene, math.inf
            return photo
        before_HWC -= new_HWC
        share_HW = self._share(before_HWC, math.exp(-max(seconds - last, 0.0) / self._memory))
        before_HWC *= share_HW[..., None]
        new_HWC += before_HWC
        pixels_HWC = np.empty_like(photo.rgb_HWC)
        pixels_HWC[:] = np.rint(new_HWC * top)
        return photo.with_pixels(pixels_HWC)

    def forget(self) -> None:
        """Begin a new average with the next result."""
        self._average_HWC = None

    def _share(self, differs_HWC: npt.NDArray[np.float32], most: float) -> Plane:
        """How much of the average is kept at each pixel."""
        differs_HW = box_mean(np.abs(differs_HWC).mean(2), _REACH)
        seen = float(np.median(differs_HW[::_EVERY, ::_EVERY]))
        self._usual = max(_LEAST, min(seen, _NOISIEST, _RISES * self._usual))
        beyond_HW = (_OTHER - differs_HW / np.float32(self._usual)) / np.float32(_OTHER - _SAME)
        return np.clip(beyond_HW, 0, 1) * np.float32(most)


def box_mean(values_HW: Plane, reach: int) -> Plane:
    """Mean over the square of pixels up to `reach` away, edges repeated."""
    height, width = values_HW.shape
    padded = np.pad(values_HW, reach, "edge")
    rows, whole = np.zeros((height, width + 2 * reach), np.float32), np.zeros((height, width), np.float32)
    for start in range(2 * reach + 1):
        rows += padded[start : start + height]
    for start in range(2 * reach + 1):
        whole += rows[:, start : start + width]
    return whole / np.float32((2 * reach + 1) ** 2)
