"""A look as JSON: kept, sent, and carried out later to the same bits."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relume import Enhancer, Photo
from relume.errors import DataError
from relume.look.look import Look
from relume.options import Controls


def photo(light: float = 0.1) -> Photo:
    random = np.random.default_rng(0)
    return Photo((random.uniform(0, light, (70, 90, 3)) * 255).astype(np.uint8))


@pytest.mark.parametrize("model", ["photo", "lol"])
@pytest.mark.parametrize(
    "controls", [{}, {"denoise": 0.3}, {"exposure": 0.4, "strength": 0.7}, {"strength": 1, "colour_guard": 0}]
)
def test_a_look_that_was_sent_renders_to_the_same_bits(model: str, controls: dict[str, Any]) -> None:
    enhancer = Enhancer(model, threads=1)
    look = enhancer.decide(photo(), Controls(**controls))
    sent = Look.from_json(json.loads(json.dumps(look.to_json())))
    assert (sent.summary(), str(sent)) == (look.summary(), str(look))
    expected = enhancer.render(photo(), look).rgb_HWC
    assert np.array_equal(enhancer.render(photo(), sent).rgb_HWC, expected)
    assert not np.array_equal(expected, photo().rgb_HWC)


def test_a_look_that_leaves_the_photo_alone() -> None:
    look = Look.from_json(Look().to_json())
    assert look.adjustment is None
    assert look.summary() == {"strength": 0.0}


def record() -> dict[str, Any]:
    return json.loads(
        json.dumps(Enhancer("photo", threads=1).decide(photo(), Controls(denoise=0.5)).to_json())
    )


def changed(**changes: Any) -> dict[str, Any]:
    return record() | changes


def gain(**changes: Any) -> dict[str, Any]:
    whole = record()
    whole["adjustment"]["gain_C"] |= changes
    return whole


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        {},
        changed(factor=5),
        changed(factor=True),
        changed(factor="2"),
        changed(factor=[2]),
        changed(arrays=3),
        changed(arrays={"gain": {}}),
        changed(adjustment={"strength": 1}),
        changed(adjustment=record()["adjustment"] | {"strength": 2}),
        changed(adjustment=record()["adjustment"] | {"denoise": float("nan")}),
        gain(type="object"),
        gain(shape=[4]),
        gain(shape=[-1]),
        gain(shape=[1 << 40]),
        gain(data="?"),
        gain(data="AAAAAAAAAAAAAAAA"),
        gain(data=np.array([1, np.inf, 1], "<f4").tobytes().hex()),
    ],
)
def test_what_is_no_look_is_refused(wrong: Any) -> None:
    with pytest.raises(DataError, match="look"):
        Look.from_json(wrong)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(key=st.sampled_from(["arrays", "adjustment", "factor"]), value=_JSON)
def test_anything_else_is_a_look_or_refused(key: str, value: Any) -> None:
    whole = {"arrays": {}, "adjustment": None, "factor": 1, key: value}
    with contextlib.suppress(DataError):
        assert isinstance(Look.from_json(whole), Look)
