"""A new control is written in two places, and everything else knows it.

A copy of the source gets one here: `saturation`, from 0 (grey) to 1 (as it is), in the two files that
CONTRIBUTING.md names for a control.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import relume

PLACES = {
    "options.py": {
        # `Controls`, and the keywords of functions
        "\n    def __post_init__(self) -> None:\n        for each in fields(Controls):\n": (
            '    saturation: float = field(default=1.0, metadata=_told("How much colour to keep.", LOOK))\n'
        ),
        "\n\ndef _check_share(": "    saturation: float\n",
    },
    "steps/controls.py": {
        # what it does to a pixel, and where that stands
        "\n\nclass Change(NamedTuple):\n": "    saturation: Array = 1.0\n",
        ")\n\n\ndef settle(": ", saturation=controls.saturation",
        "    if _is(adjustment.strength, 1):\n": (
            "    enhanced_3HW = _blend(luma(enhanced_3HW)[None], enhanced_3HW, adjustment.saturation)\n"
        ),
    },
}
"""What to insert before what, by file."""

PROBE = """
import inspect, json, sys
import numpy as np
from typer.testing import CliRunner
import relume
from relume.cli.app import app
from relume.look.look import Look
from relume.options import Controls

def colour(photo):
    return int(np.ptp(photo.rgb_HWC.astype(int), axis=2).max())

invoke = CliRunner().invoke
source = relume.read_photo("night.jpg")
enhancer = relume.Enhancer(threads=1)
decided = enhancer.decide(source, Controls(saturation=0.0))
look = Look.from_json(json.loads(json.dumps(decided.to_json())))
grey = ["enhance", "night.jpg", "-o", "grey.png", "--saturation", "0"]
done = invoke(app, [*grey, "--threads", "1", "--explain"])
told = {
    "help": [name for name in sys.argv[1:] if "--saturation" in invoke(app, [name, "--help"]).output],
    "keywords": [
        name
        for name, function in (("enhance", relume.enhance), ("Enhancer.enhance", relume.Enhancer.enhance))
        if "saturation" in inspect.signature(function).parameters
    ],
    "code": done.exit_code,
    "command": colour(relume.read_photo("grey.png")),
    "explained": "saturation 0.0" in done.output,
    "api": colour(relume.enhance(source, saturation=0.0, threads=1)),
    "sent": colour(enhancer.render(source, look)),
    "without": colour(enhancer.enhance(source)) > 30,
}
try:
    from relume.service.orders import Asked, Order
except ImportError:
    pass
else:
    told["service"] = Order.of({"saturation": 0.0}, look_only=False).enhance
    told["described"] = Asked.model_json_schema()["properties"]["saturation"]["description"]
print(json.dumps(told))
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The source with the new control."""
    own = Path(relume.__file__).parent
    copied = shutil.copytree(own, tmp_path / "src" / "relume", ignore=shutil.ignore_patterns("lab", "vendor"))
    for name, inserted in PLACES.items():
        text = (own / name).read_text()
        for place, more in inserted.items():
            assert text.count(place) == 1, place
            text = text.replace(place, more + place)
        (Path(copied) / name).write_text(text)
    return tmp_path / "src"


def test_a_control_is_written_in_two_files_and_known_everywhere(source: Path, tmp_path: Path) -> None:
    shutil.copy(Path(__file__).parents[2] / "docs" / "images" / "night.jpg", tmp_path)
    commands = ["enhance", "video", "watch", "evaluate", "compare"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROBE, *commands],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(source), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told.pop("help") == commands
    assert told.pop("keywords") == ["enhance", "Enhancer.enhance"]
    assert told.pop("described", "How much colour to keep.") == "How much colour to keep."
    assert told.pop("service", {"saturation": 0.0}) == {"saturation": 0.0}
    assert told == {"code": 0, "command": 0, "explained": True, "api": 0, "sent": 0, "without": True}
