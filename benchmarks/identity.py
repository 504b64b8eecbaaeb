"""Whether photos of every kind come out bit for bit as they did at an earlier revision.

    python benchmarks/identity.py REVISION [--cases]

Both sources run on this machine, one after the other, over the same photos: both depths, grey, transparent,
tiny, well-lit, black and large ones, files of every format that is read without extras, every shipped model,
all controls, factors and sizes of tiles. Results are compared by their checksums; nothing is tolerated. Ends
with 1 where they differ.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
CONTROLS: dict[str, dict[str, Any]] = {
    "default": {},
    "model alone": {"strength": 1.0, "highlight_guard": 0.0, "colour_guard": 0.0},
    "strength": {"strength": 0.4, "highlight_guard": 0.0},
    "denoise": {"denoise": 0.3},
    "exposure": {"exposure": 0.5, "colour_guard": 0.0},
    "guards": {"highlight_guard": 0.5, "colour_guard": 0.2, "strength": 0.8},
    "all": {
        "strength": 0.9,
        "denoise": 0.6,
        "exposure": 0.35,
        "highlight_guard": 0.7,
        "colour_guard": 1.0,
    },
}


def scene(height: int, width: int, light: float, bits: int, seed: int = 0) -> np.ndarray:
    """A noisy scene with patches, a lamp and a gradient, H x W x 3; `light` scales all but the lamp."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(0.05, 1, (-(-height // 25), -(-width // 25), 3)).repeat(25, 0).repeat(25, 1)
    image = light * coarse[:height, :width] * np.linspace(0.4, 1, width)[:, None]
    image += random.normal(0, 0.01, image.shape)
    image[: height // 6, : width // 8] = 0.97
    top = 2**bits - 1
    return np.rint(np.clip(image, 0, 1) * top).astype(f"uint{bits}")


def photos() -> Iterator[tuple[str, Any]]:
    """Names and photos."""
    from relume import Photo

    for bits in (8, 16):
        for light in (0.02, 0.15, 0.4, 0.9):
            yield f"light {light} at {bits} bits", Photo(scene(150, 203, light, bits))
        grey = np.repeat(scene(90, 70, 0.1, bits)[..., :1], 3, axis=2)
        yield f"grey at {bits} bits", Photo(grey, grey=True)
        alpha = scene(150, 203, 1.0, bits, seed=1)[..., 0].copy()
        alpha[40:90, 30:120] = 0
        yield f"transparent at {bits} bits", Photo(scene(150, 203, 0.15, bits), alpha)
        for size in ((1, 1), (1, 131), (3, 2)):
            yield f"{size} at {bits} bits", Photo(scene(*size, 0.1, bits) // 8)
    yield "black", Photo(np.zeros((40, 50, 3), np.uint8))


def files() -> Iterator[tuple[str, Any]]:
    """Names and photos as they are read from files of each format."""
    from PIL import Image

    from relume import read_photo

    yield "night.jpg", read_photo(ROOT / "docs" / "images" / "night.jpg")
    image = Image.fromarray(scene(120, 160, 0.1, 8))
    for form in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
        for mode in ("RGB", "L", "CMYK") if form in ("JPEG", "TIFF") else ("RGB",):
            stream = io.BytesIO()
            image.convert(mode).save(stream, form)
            yield f"{form} {mode}", read_photo(stream.getvalue())


def checksums() -> Iterator[tuple[str, str]]:
    """Each case with the checksum of its result."""
    from relume import Enhancer, Photo

    def result(name: str, enhancer: Any, photo: Any, **controls: Any) -> tuple[str, str]:
        done = enhancer.enhance(photo, **controls)
        same = " (the photo itself)" if done is photo else ""
        return name, hashlib.sha256(done.rgb_HWC.tobytes()).hexdigest() + same

    read = list(files())
    for model in ("photo", "lol"):
        for factor, tile in ((1, 64), (2, 0), (2, 32), (3, 48), (4, 2048)):
            enhancer = Enhancer(model, tile=tile, downsample=factor, threads=1)
            small = list(photos()) if factor < 4 else read[1:]
            for name, photo in small:
                for about, controls in CONTROLS.items():
                    yield result(f"{model} /{factor} {tile}: {name}, {about}", enhancer, photo, **controls)
    automatic = Enhancer(threads=1)
    large = Photo(scene(2500, 3300, 0.1, 8))
    for name, photo in [*read, ("large", large)]:
        yield result(f"automatic: {name}", automatic, photo)
    yield result("automatic: large, denoise", automatic, large, denoise=0.5)


def run_at(source: Path) -> dict[str, str]:
    """The checksums as the source in a folder computes them."""
    environment = {**os.environ, "PYTHONPATH": str(source), "CI": "1"}
    command = [sys.executable, __file__, "--cases", "here"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def unpack(revision: str, folder: Path) -> Path:
    """The source of a revision, in a folder."""
    command = ["git", "-C", str(ROOT), "archive", revision, "src"]
    archive = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder / "src"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("revision")
    parser.add_argument("--cases", action="store_true", help="print the checksums of the source in use")
    options = parser.parse_args()
    if options.cases:
        print(json.dumps(dict(checksums())))
        return
    with tempfile.TemporaryDirectory() as folder:
        before, after = run_at(unpack(options.revision, Path(folder))), run_at(ROOT / "src")
    different = [name for name in before if before[name] != after.get(name)]
    for name in different:
        print("differs:", name)
    print(f"{len(before) - len(different)} of {len(before)} results are those of {options.revision}")
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
