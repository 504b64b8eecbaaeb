"""Published weights in our networks give the figures that everyone measures with them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from shared import Result

PAIRS = 15


@pytest.mark.slow
def test_zero_dce_scores_what_its_published_weights_score(relume: Callable[..., Result]) -> None:
    root = Path(os.environ.get("RELUME_DATA", "nowhere"))
    eval15, weights = root / "lol_v1/eval15", root / "zero_dce/Epoch99.pth"
    if not weights.exists() or len(list((eval15 / "low").glob("*"))) != PAIRS:
        pytest.skip("needs LOL-v1's eval15 and Zero-DCE's published weights under RELUME_DATA")
    scored = relume("evaluate", eval15 / "low", eval15 / "high", "--network", f"zero-dce={weights}", "--json")
    report = json.loads(scored.out)
    assert report["n"] == PAIRS
    assert report["params"] == 79_416
    assert report["psnr"] == pytest.approx(14.86, abs=0.01)
    assert report["ssim_uniform7"] == pytest.approx(0.562, abs=0.002)
