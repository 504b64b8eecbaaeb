"""One photo through the pipeline: what changes and what stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from relume import Enhancer, Photo
from relume.look.model import Model
from relume.look.render import enhance_photo
from relume.models import load_card
from relume.options import MODEL_ALONE
from relume.photo import Metadata
from shared import dark


@pytest.fixture
def enhancer(kept_enhancer: Callable[..., Enhancer]) -> Enhancer:
    return kept_enhancer(tile=32)


def grey(bits: int) -> np.ndarray:
    return np.repeat(dark(40, 50, bits)[..., :1], 3, axis=2)


def test_only_the_colours_change(enhancer: Enhancer) -> None:
    alpha = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.uint8)
    about, notes = Metadata(exif=b"x", dpi=(300.0, 300.0)), ("a note",)
    photo = Photo(dark(40, 50), alpha, False, about, "png", notes, "png", notes)
    result = enhancer.enhance(photo)
    assert result.rgb_HWC.mean() > photo.rgb_HWC.mean()
    assert vars(replace(result, rgb_HWC=photo.rgb_HWC)) == vars(photo)
    np.testing.assert_array_equal(photo.rgb_HWC, dark(40, 50))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("strength", [0.4, 1.0])
def test_a_grey_photo_stays_grey(enhancer: Enhancer, bits: int, strength: float) -> None:
    result = enhancer.enhance(Photo(grey(bits), grey=True), strength=strength)
    assert result.grey
    assert result.bits == bits
    assert result.rgb_HWC.mean() > grey(bits).mean()
    assert (result.rgb_HWC == result.rgb_HWC[..., :1]).all()


def test_a_photo_is_enhanced_the_same_at_both_depths(enhancer: Enhancer) -> None:
    at_8, at_16 = enhancer.enhance(dark()), enhancer.enhance(dark().astype(np.uint16) * 257)
    # Only the bands of whole steps of 8 bits are smoothed.
    assert np.abs(at_8.astype(int) * 257 - at_16).mean() <= 257


class Fixed:
    """Stands for the local pass: gives the image back, or one value everywhere."""

    def __init__(self, value: float | None = None) -> None:
        self.value = value

    def run(self, *, image: np.ndarray) -> dict[str, np.ndarray]:
        assert image.dtype == np.float32
        assert 0 <= image.min() <= image.max() <= 1
        return {"enhanced": image if self.value is None else np.full_like(image, self.value)}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_values_keep_their_range(dtype: type) -> None:
    top = np.iinfo(dtype).max
    every = np.arange(3 * 21888).reshape(144, 152, 3) % (top + 1)
    photo, card = Photo(every.astype(dtype)), load_card("lol")
    for tile in (0, 50):
        same = enhance_photo(photo, Model(card, None, Fixed()), controls=MODEL_ALONE, tile=tile)
        np.testing.assert_array_equal(same.rgb_HWC, photo.rgb_HWC)
    white = enhance_photo(photo, Model(card, None, Fixed(1.0)), controls=replace(MODEL_ALONE, strength=0.7))
    assert white.rgb_HWC.max() == top
    np.testing.assert_allclose(white.rgb_HWC, 0.3 * photo.rgb_HWC + 0.7 * top, atol=0.6)
    assert not enhance_photo(photo, Model(card, None, Fixed(0.0)), controls=MODEL_ALONE).rgb_HWC.any()
