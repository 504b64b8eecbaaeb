"""Cameras in the dark, by the statistics of what they leave."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from relume.colour import to_linear
from relume.errors import UsageError
from relume.lab.data.cameras import CAMERAS, darkened, get_camera


@pytest.mark.parametrize("exposure", [1 / 4, 1 / 16])
@pytest.mark.parametrize("name", CAMERAS)
def test_the_mean_is_the_share_of_the_light(name: str, exposure: float) -> None:
    clean = np.full((96, 96, 3), 200, np.uint8)
    dark = darkened("a", clean, CAMERAS[name].in_the_dark(exposure))
    expected = exposure * to_linear(np.array(200 / 255))
    assert to_linear(dark / 255).mean() == pytest.approx(float(expected), rel=0.04)


def test_noise_is_that_of_the_electrons() -> None:
    """Green has no gain: n electrons of a white pixel have the deviation sqrt(n + r^2)."""
    camera = CAMERAS["phone"]
    plain = camera.__class__(camera.full_well, camera.read_noise, 1.0, 1.0, 1.0, 0.0)
    dark = darkened("a", np.full((200, 200, 3), 255, np.uint8), plain.in_the_dark(1 / 4))
    electrons = camera.full_well / 4
    relative = float(np.sqrt(electrons + camera.read_noise**2) / electrons)
    green = to_linear(dark[..., 1] / 255)
    assert green.std() / green.mean() == pytest.approx(relative, rel=0.1)


def test_cameras_go_from_little_to_much_noise() -> None:
    clean = np.full((64, 64, 3), 180, np.uint8)
    deviations = [darkened("a", clean, camera.in_the_dark(1 / 16)).std() for camera in CAMERAS.values()]
    assert deviations == sorted(deviations)


def test_noise_follows_from_the_name() -> None:
    clean = np.full((16, 16, 3), 180, np.uint8)
    how = CAMERAS["phone"].in_the_dark(1 / 16)
    assert np.array_equal(darkened("a", clean, how), darkened("a", clean, how))
    assert not np.array_equal(darkened("a", clean, how), darkened("b", clean, how))


def test_an_unknown_camera_is_refused() -> None:
    with pytest.raises(UsageError, match="full-frame"):
        get_camera("pinhole")
