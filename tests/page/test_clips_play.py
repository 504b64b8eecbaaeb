"""Results of clips play in a browser: their length, size, turn, brightness and sound."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("av")

from video.clips import LIMITED_709, make_clip
from video.test_clip import enhance, facts

PLAY = """async ([data, kind, seconds]) => {
    const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
    const video = document.createElement("video");
    if (!video.canPlayType(kind)) return null;
    const event = name => new Promise((done, failed) => {
        video.addEventListener(name, done, {once: true});
        video.addEventListener("error", () => failed(new Error(video.error.message)), {once: true});
    });
    video.muted = true;
    const loaded = event("loadeddata");
    video.src = URL.createObjectURL(new Blob([bytes], {type: kind.split(";")[0]}));
    await loaded;
    const ended = event("ended");
    await video.play();
    await ended;
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    const context = canvas.getContext("2d", {willReadFrequently: true});
    const means = [];
    for (const second of seconds) {
        const sought = event("seeked");
        video.currentTime = second;
        await sought;
        context.drawImage(video, 0, 0);
        const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
        let sum = 0;
        pixels.forEach((value, index) => { if (index % 4 < 3) sum += value; });
        means.push(sum / (pixels.length * 3 / 4));
    }
    return {
        size: [video.videoWidth, video.videoHeight],
        duration: video.duration,
        means,
        sound: video.webkitAudioDecodedByteCount,
    };
}"""
"""Plays a clip to its end, then looks at some of its pictures."""

MP4 = 'video/mp4; codecs="avc1.64000a, mp4a.40.2"'
WEBM = 'video/webm; codecs="vp9"'


@pytest.mark.parametrize(
    ("suffix", "kind", "options"),
    [
        (".mp4", MP4, {"rotation": 90, "audio": 1, "tags": LIMITED_709}),
        (".mp4", MP4, {"seconds": lambda n: (n * n + 3) / 100, "pixel_format": "yuv444p"}),
        (".mp4", MP4, {"pixel_format": "yuv420p", "tags": (2, 6, 6, 6), "audio": 1}),
        (".avi", MP4, {"codec": "mpeg4"}),
        (".webm", WEBM, {"codec": "libvpx-vp9", "tags": LIMITED_709}),
    ],
    ids=["turned", "variable-rate", "full-range", "avi", "webm"],
)
def test_a_result_plays_in_a_browser(
    tmp_path: Path, chromium: Any, suffix: str, kind: str, options: dict[str, Any]
) -> None:
    path = make_clip(tmp_path / f"a{suffix}", light=lambda n: 0.05 + 0.03 * (n // 4), **options)
    target = tmp_path / ("b.webm" if suffix == ".webm" else "b.mp4")
    enhance(path, target, smooth=0.0)
    known = facts(target)
    chosen = (1, 6, 10)
    middles = [float(known.times[index] + known.durations[index] / 2) for index in chosen]
    page = chromium.new_page()
    seen = page.evaluate(PLAY, [base64.b64encode(target.read_bytes()).decode(), kind, middles])
    page.close()
    if seen is None:
        pytest.skip("this Chromium has no decoder of it")
    width, height = known.size
    assert seen["size"] == ([height, width] if known.rotation % 180 else [width, height])
    end = known.times[-1] + (0 if "seconds" in options else known.durations[-1])
    assert seen["duration"] == pytest.approx(float(end), abs=0.05)
    assert seen["means"] == pytest.approx([known.means[index] for index in chosen], abs=2.5)
    assert seen["means"][2] > seen["means"][0] + 10
    assert (seen["sound"] > 0) == bool(options.get("audio"))
