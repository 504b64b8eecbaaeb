"""Where results go when photos of different formats share a name."""

from __future__ import annotations

from pathlib import Path

from relume.jobs.plan import Output, plan


def test_namesakes_of_read_only_formats_stay_apart() -> None:
    folder = Path("in")
    inputs = [(folder / name, folder) for name in ("a.HEIC", "a.jpg", "b.heic", "c.dng", "c.nef")]
    names = [job.target.name for job in plan(inputs, Output(path=Path("out")))]
    assert names == ["a.HEIC.jpg", "a.jpg", "b.jpg", "c.dng.tif", "c.nef.tif"]


def test_namesakes_stay_apart_beside_their_inputs_too() -> None:
    folder = Path("in")
    inputs = [(folder / name, folder) for name in ("a.heic", "a.jpg")]
    names = [job.target.name for job in plan(inputs, Output())]
    assert names == ["a.heic.relume.jpg", "a.relume.jpg"]
