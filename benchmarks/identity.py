"""Whether photos of every kind come out bit for bit as they did at an earlier revision.

    python benchmarks/identity.py BEFORE [AFTER] [--own-models]    # AFTER: the working tree, if left out
    python benchmarks/identity.py --cuts [N ...]    # those of `revisions.CUTS`, from 1; all by default

Both sources run on this machine, at the same time, with the model files of the first (`--own-models`: each
with its own), over the same photos and files.

- In memory: both depths, grey, transparent, tiny, well-lit, black and large photos; every shipped model, all
  controls, factors and sizes of tiles. Pixels are compared.
- Files, by the command line: every format that is read without extras, depths, grey, transparency, palettes,
  CMYK, profiles, orientations, metadata, odd and broken files; every format that is written, qualities, with
  and without metadata, in place. Whole files are compared, and exit codes.

Results are compared by their checksums; nothing is tolerated. Ends with 1 where they differ.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import machine
import numpy as np
from revisions import CUTS, HERE, ROOT, Source, same_models, sources

_WRITTEN = ("jpg", "png", "webp", "tif", "avif")
_READ_ONLY = (".bmp", ".gif", ".ppm")
_TO_ALL = ("16 bits alpha.png", "exif orientation 6.jpg", "grey 16 bits.tif", "adobe rgb.jpg")
"""Files that are written in all formats."""

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


def make_files(folder: Path) -> None:
    """Files of every kind, which both sources are to read."""
    import pyvips
    from PIL import Image

    sys.path.insert(0, str(ROOT / "tests"))
    from photo import samples

    eight, sixteen = scene(120, 160, 0.1, 8), scene(120, 160, 0.1, 16)
    alpha = scene(120, 160, 1.0, 16, seed=1)[..., :1]
    image = Image.fromarray(eight)
    for ending in (*_WRITTEN, "bmp", "gif", "ppm"):
        image.save(folder / f"plain.{ending}")
    for mode in ("L", "CMYK"):
        image.convert(mode).save(folder / f"{mode}.jpg")
        image.convert(mode).save(folder / f"{mode}.tif")
    image.convert("P").save(folder / "palette.png")
    image.save(folder / "progressive.jpg", progressive=True, quality=80, subsampling=2)
    image.convert("L").save(folder / "grey.png")
    image.convert("L").save(folder / "grey profile.jpg", icc_profile=samples.grey_profile())
    for name, data in (
        ("adobe rgb", samples.ADOBE_RGB),
        ("prophoto", samples.PROPHOTO),
        ("linear", samples.LINEAR),
    ):
        image.save(folder / f"{name}.jpg", icc_profile=samples.icc_profile(*data), quality=95)
    image.save(folder / "tables.png", icc_profile=samples.table_profile(both_ways=True))
    for turn in range(1, 9):
        image.save(folder / f"exif orientation {turn}.jpg", exif=samples.exif(turn), dpi=(300, 200))
        image.save(folder / f"xmp orientation {turn}.png", pnginfo=_xmp(samples.XMP % turn))
    pyvips.Image.new_from_array(sixteen).copy(interpretation="rgb16").write_to_file(
        str(folder / "16 bits.png")
    )
    with_alpha = np.concatenate([sixteen, alpha], axis=2)
    deep = pyvips.Image.new_from_array(with_alpha).copy(interpretation="rgb16")
    deep.write_to_file(str(folder / "16 bits alpha.png"))
    deep.write_to_file(str(folder / "16 bits alpha.tif"), compression="deflate", predictor="horizontal")
    grey = pyvips.Image.new_from_array(sixteen[..., 0]).copy(interpretation="grey16")
    grey.write_to_file(str(folder / "grey 16 bits.tif"))
    shallow = Image.fromarray((with_alpha >> 8).astype(np.uint8), "RGBA")
    for ending in ("webp", "avif"):
        shallow.save(folder / f"alpha.{ending}")
    data = (folder / "plain.jpg").read_bytes()
    (folder / "cut off.jpg").write_bytes(data[: len(data) // 2])
    (folder / "words.jpg").write_text("no photo")
    Image.fromarray(scene(120, 160, 0.9, 8)).save(folder / "well lit.jpg")
    for odd in sorted((ROOT / "tests" / "cases").iterdir()):
        shutil.copy(odd, folder / f"case {odd.name}")
    shutil.copy(ROOT / "docs" / "images" / "night.jpg", folder / "night.jpg")


def _xmp(packet: bytes) -> Any:
    from PIL import PngImagePlugin

    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", packet.decode())
    return info


def commands(folder: Path) -> Iterator[tuple[Path, str, list[str]]]:
    """Each file, the name of its result ("" for the file itself) and options."""
    for file in sorted(folder.iterdir()):
        yield file, f"kept{file.suffix if file.suffix not in _READ_ONLY else '.png'}", []
        if file.name in _TO_ALL:
            for ending in _WRITTEN:
                yield file, f"written.{ending}", []
                yield file, f"stripped.{ending}", ["--strip"]
            for ending in ("jpg", "webp", "avif"):
                yield file, f"quality.{ending}", ["--quality", "60", "--strength", "0.7", "--denoise", "0.5"]
        if file.suffix in (".jpg", ".png", ".tif"):
            yield file, "", ["--in-place"]


def written(folder: Path) -> Iterator[tuple[str, str]]:
    """Each command over files with the checksum of what it wrote, or how it ended."""
    from relume.cli.app import app
    from relume.errors import RelumeError

    with tempfile.TemporaryDirectory() as out:
        for file, name, options in commands(folder):
            target = Path(out) / (name or file.name)
            if not name:
                shutil.copy(file, target)
            places = [str(file), "-o", str(target)] if name else [str(target)]
            try:
                with redirect_stderr(io.StringIO()):
                    code: Any = app(
                        ["enhance", *places, *options, "--threads", "1", "-q"], standalone_mode=False
                    )
            except SystemExit as ended:
                code = ended.code
            except RelumeError as error:
                code = int(error.exit_code)
            result = hashlib.sha256(target.read_bytes()).hexdigest() if target.exists() else "nothing"
            yield f"{file.name} -> {name or 'itself'} {' '.join(options)}".strip(), f"{result}, {code or 0}"
            target.unlink(missing_ok=True)


def checksums() -> Iterator[tuple[str, str]]:
    """Each case with the checksum of its result."""
    from relume import Enhancer, Photo, read_photo

    def result(name: str, enhancer: Any, photo: Any, **controls: Any) -> tuple[str, str]:
        done = enhancer.enhance(photo, **controls)
        same = " (the photo itself)" if done is photo else ""
        return name, hashlib.sha256(done.rgb_HWC.tobytes()).hexdigest() + same

    read = [(name, read_photo(ROOT / "docs" / "images" / name)) for name in ("night.jpg",)]
    for model, every in (("photo", 1), ("lol", 3)):
        for factor, tile in ((1, 64), (2, 0), (2, 32), (3, 48), (4, 2048)):
            enhancer = Enhancer(model, tile=tile, downsample=factor, threads=1)
            for name, photo in photos() if factor < 4 else read:
                for about, controls in list(CONTROLS.items())[::every]:
                    yield result(f"{model} /{factor} {tile}: {name}, {about}", enhancer, photo, **controls)
    automatic = Enhancer(threads=1)
    large = Photo(scene(2500, 3300, 0.1, 8))
    for name, photo in [*read, ("large", large)]:
        yield result(f"automatic: {name}", automatic, photo)
    yield result("automatic: large, denoise", automatic, large, denoise=0.5)


def results_of(found: Sequence[Source], folder: Path) -> Iterator[dict[str, str]]:
    """The checksums as each source computes them, all at the same time."""
    processes = [each.start(__file__, "--cases", str(folder)) for each in found]
    for source, process in zip(found, processes, strict=True):
        told, _ = process.communicate()
        if process.returncode:
            sys.exit(f"the source of {source.revision} ended with {process.returncode}")
        yield json.loads(told.splitlines()[-1])


def compare(before: str, after: str, *, own_models: bool = False) -> dict[str, Any]:
    """Compare two revisions; prints what differs, and returns a row about it."""
    with (
        sources(before, after, own_models=own_models) as found,
        tempfile.TemporaryDirectory() as folder,
    ):
        make_files(Path(folder))
        same_files = same_models(found)
        first, second = results_of(found, Path(folder))
    different = [name for name in first if first[name] != second.get(name)]
    for name in different:
        print("differs:", name)
    print(f"{len(first) - len(different)} of {len(first)} results of {after} are those of {before}")
    of_files = [name for name in first if " -> " in name]
    return {
        "before": before,
        "after": after,
        "same_models": same_files,
        "results": len(first),
        "of_files": len(of_files),
        "different": len(different),
        "named": "; ".join(different[:5]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", nargs="?", help="a revision")
    parser.add_argument("after", nargs="?", default=HERE, help="a revision; the working tree if left out")
    parser.add_argument("--own-models", action="store_true", help="each with the model files of its own")
    every = range(1, len(CUTS) + 1)
    parser.add_argument("--cuts", nargs="*", type=int, choices=every, help="which of `revisions.CUTS`; all")
    parser.add_argument("--cases", type=Path, help="print the checksums of the source in use")
    options = parser.parse_args()
    if options.cases:
        print(json.dumps({**dict(checksums()), **dict(written(options.cases))}))
        return
    if options.cuts is not None:
        asked = [CUTS[number - 1] for number in options.cuts or every]
        rows = [{"what": what, **compare(before, after, own_models=True)} for what, before, after in asked]
        print(machine.store("identity", rows, beside="before"))
    elif options.before:
        rows = [compare(options.before, options.after, own_models=options.own_models)]
    else:
        parser.error("name a revision, or --cuts")
    sys.exit(any(row["different"] for row in rows))


if __name__ == "__main__":
    main()
