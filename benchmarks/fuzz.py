"""Mutated files of every format that is read, with metadata of every kind: what becomes of them.

    python benchmarks/fuzz.py [--count 20000] [--seed 1] [--patience 20] [--formats jpeg,tiff]

The files are those that the tests make, small and with EXIF, XMP, IPTC, a profile, comments and thumbnails;
mostly their first kilobytes are changed, where all that stands. Each is read; what can be read is written
in one format after another. Faults are tracebacks, crashes, a file that takes longer than the patience, a
process that grows beyond 1.5 GiB, words on stderr, and files left behind. The same seed gives the same files.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from photo import samples
from relume.errors import RelumeError
from relume.photo import FORMATS, Metadata, Part, Photo, encode_photo, read_photo, write_photo
from relume.photo.metadata import EXTENDED_XMP_NAME, PHOTOSHOP

MOST_MEMORY = 1536 << 20
BATCH = 1000
RAW_SHARE = 150
"""One file in so many is camera raw: each is developed in a process of its own."""


def about(**more: object) -> Metadata:
    """Metadata of every kind."""
    blocks = {
        "exif": samples.exif(6).removeprefix(b"Exif\0\0"),
        "xmp": samples.XMP % 6,
        "iptc": samples.IPTC,
        "resources": b"8BIM\x07\xd0\0\0\0\0\0\x04path",
        "icc": samples.icc_profile(*samples.ADOBE_RGB),
        "dpi": (300.0, 150.0),
    }
    return Metadata(**(blocks | more))  # type: ignore[arg-type]


def own(form: str, bits: int = 8, *, alpha: bool = False, **more: object) -> bytes:
    """A file as relume itself writes it."""
    pixels = samples.ramp(bits, 16, 24)
    photo = Photo(pixels, pixels[..., 0].copy() if alpha else None, metadata=about(**more))
    return encode_photo(photo, format=form)[0]


def jpeg(**options: object) -> bytes:
    """A JPEG file of a camera: a thumbnail, a list of pictures, other makers' segments, a trailer."""
    block = samples.exif(6, samples.pillow_file(samples.ramp(8, 8, 8), "JPEG"))
    stream = io.BytesIO()
    pages = [Image.fromarray(samples.ramp(8, 16, 24)) for _ in range(2)]
    more = {"save_all": True, "append_images": pages[1:]} if options.pop("pictures", False) else {}
    form = "MPO" if more else "JPEG"
    pages[0].save(stream, form, exif=block, comment=b"by hand", dpi=(300, 150), **more, **options)
    data = stream.getvalue()
    extra = b"".join(
        b"\xff" + bytes((marker,)) + (len(content) + 2).to_bytes(2, "big") + content
        for marker, content in (
            (0xED, PHOTOSHOP + b"8BIM\x04\x04\0\0\0\0\0\x0c" + samples.IPTC[:12]),
            (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + samples.XMP % 6),
            (0xE1, b"FLIR\0" + bytes(60)),
            (0xE1, EXTENDED_XMP_NAME + b"0" * 40 + samples.XMP % 1),
            (0xEB, b"JP\0\1jumb" + bytes(20)),
        )
    )
    return data[:2] + extra + data[2:] + b"\0\0\0\x18ftypmp42" + bytes(range(64))


def jpeg_out_of_order() -> bytes:
    """A progressive JPEG file whose scans contradict one another."""
    from photo.test_jpeg import scans

    head, (first, second, *others), end = scans(jpeg(progressive=True))
    return b"".join((head, second, first, *others, end))


def png(mode: str = "RGB") -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "Jane Doe")
    info.add_text("Description", "Night in Oslo", zip=True)
    info.add_itxt("XML:com.adobe.xmp", (samples.XMP % 6).decode())
    stream = io.BytesIO()
    icc = samples.icc_profile(*samples.PROPHOTO)
    Image.fromarray(samples.ramp(8, 16, 24)).convert(mode).save(
        stream, "PNG", pnginfo=info, exif=samples.exif(6), icc_profile=icc, dpi=(300, 150)
    )
    return stream.getvalue()


def tiff(**options: object) -> bytes:
    stream = io.BytesIO()
    tags = {270: "night", 271: "Maker", 33550: (1.0, 1.0, 0.0), 50001: b"\1\2\3", 700: samples.XMP % 6}
    Image.fromarray(samples.ramp(8, 16, 24)).save(stream, "TIFF", tiffinfo=tags, **options)
    return stream.getvalue()


def tiff_of_several() -> bytes:
    """A TIFF file with a picture in a directory below its first one."""
    from photo.test_beside import with_further_directory

    return with_further_directory(tiff(), 0)


def swapped_tiff() -> bytes:
    """A big-endian file, as Pillow writes such pixels."""
    stream = io.BytesIO()
    tags = {270: "night", 271: "Maker", 33550: (1.0, 1.0, 0.0), 50001: b"\1\2\3"}
    pixels = samples.ramp(16, 16, 24)[..., 0].astype(">u2")
    Image.frombytes("I;16B", (24, 16), pixels.tobytes()).save(stream, "TIFF", tiffinfo=tags)
    return stream.getvalue()


def pillow(form: str, mode: str = "RGB", **options: object) -> Callable[[], bytes]:
    def make() -> bytes:
        stream = io.BytesIO()
        Image.fromarray(samples.ramp(8, 16, 24)).convert(mode).save(stream, form, **options)
        return stream.getvalue()

    return make


def heic() -> bytes:
    from photo.test_heif import heic as make

    return make(samples.ramp(8, 16, 24), exif=samples.exif(6), xmp=samples.XMP % 6)


def jxl() -> bytes:
    import pillow_jxl as _  # noqa: F401 - Pillow's writer

    return pillow("JXL", exif=samples.exif(6), xmp=samples.XMP % 6)()


def raw() -> bytes:
    from photo.test_raw import dng, mosaic

    return dng(mosaic(24, 32))


PART = (Part("png", "chunk vpAg", b"vpAg", b"whatever"),)
SEEDS: dict[str, tuple[Callable[[], bytes], ...]] = {
    "jpeg": (
        jpeg,
        lambda: jpeg(progressive=True),
        lambda: jpeg(pictures=True),
        lambda: own("jpeg"),
        jpeg_out_of_order,
    ),
    "png": (png, lambda: png("P"), lambda: png("RGBA"), lambda: own("png", 16, alpha=True, parts=PART)),
    "webp": (
        lambda: own("webp") + b"PK\3\4 a trailer",
        lambda: own("webp", alpha=True),
        pillow("WEBP", lossless=True),
    ),
    "tiff": (
        tiff,
        lambda: tiff(big_tiff=True),
        lambda: own("tiff", 16, alpha=True),
        swapped_tiff,
        tiff_of_several,
    ),
    "avif": (lambda: own("avif"), lambda: own("avif", 16, alpha=True)),
    "heif": (heic,),
    "jxl": (jxl,),
    "gif": (pillow("GIF"),),
    "bmp": (pillow("BMP"), pillow("BMP", "P")),
    "pnm": (pillow("PPM"), lambda: b"P3 2 2 255\n" + b"1 2 3 " * 4),
    "raw": (raw,),
}


def made(names: list[str]) -> list[bytes]:
    """The files to mutate, of each format several."""
    return [seed() for name in names for seed in SEEDS[name]]


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """The file with a few changes, mostly in its first kilobytes."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        reach = len(changed) if rng.random() < 0.2 else min(len(changed), 2048)
        at = int(rng.integers(0, max(reach, 1)))
        kind = int(rng.integers(0, 7))
        if kind <= 2:
            changed[at : at + 1] = bytes((int(rng.integers(0, 256)),))
        elif kind == 3:
            extreme = (
                b"\xff\xff\xff\xff",
                bytes(4),
                b"\x7f\xff\xff\xff",
                b"\0\0\0\1",
                b"\1\0\0\0",
                b"\x80\0\0\0",
            )
            changed[at : at + 4] = extreme[int(rng.integers(0, len(extreme)))]
        elif kind == 4:
            del changed[at : at + int(rng.integers(1, 40))]
        elif kind == 5:
            again = int(rng.integers(0, max(reach, 1)))
            changed[at:at] = changed[again : again + int(rng.integers(1, 40))]
        elif rng.random() < 0.3:
            del changed[at:]
    return bytes(changed)


def work(names: list[str], seed: int, first: int, last: int, patience: int, folder: Path) -> None:
    """Read and write the files of these numbers; a line of JSON for each, printed at once."""
    seeds = made([name for name in names if name != "raw"])
    camera = made(["raw"]) if "raw" in names else []
    forms = list(FORMATS)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for number in range(first, last):
        rng = np.random.default_rng((seed, number))
        chosen = camera if camera and (number % RAW_SHARE == 0 or not seeds) else seeds
        data = mutated(chosen[int(rng.integers(0, len(chosen)))], rng)
        print(json.dumps({"number": number}), flush=True)
        signal.alarm(patience)
        started = time.process_time()
        fact: dict[str, object] = {"number": number, "became": "refused"}
        try:
            photo = read_photo(data)
            fact["became"] = "read"
            write_photo(photo, folder / f"new.{forms[number % len(forms)]}", strip=rng.random() < 0.2)
            fact["became"] = "written"
        except RelumeError as error:
            if "\n" in str(error) or len(str(error)) > 400:
                fact["fault"] = f"a long message: {error!s:.300}"
        except Exception as error:  # noqa: BLE001 - what is looked for
            fact["fault"] = repr(error)[:300]
        signal.alarm(0)
        fact["seconds"] = round(time.process_time() - started, 3)
        fact["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        for left in folder.glob("new.*"):
            left.unlink()
        print(json.dumps(fact), flush=True)


def run(arguments: argparse.Namespace) -> Iterator[dict[str, object]]:
    """What became of each file; of one that its process did not survive, the process's end."""
    number = 0
    with tempfile.TemporaryDirectory(prefix="relume-fuzz-") as name:
        folder = Path(name)
        while number < arguments.count:
            last = min(number + BATCH, arguments.count)
            command = [
                sys.executable,
                __file__,
                "--work",
                str(number),
                str(last),
                "--formats",
                arguments.formats,
            ]
            command += ["--seed", str(arguments.seed), "--patience", str(arguments.patience)]
            environment = {**os.environ, "TMPDIR": name}
            done = subprocess.run(
                command, cwd=name, env=environment, capture_output=True, text=True, check=False
            )
            facts = [json.loads(line) for line in done.stdout.splitlines()]
            yield from (fact for fact in facts if "became" in fact)
            if done.stderr.strip():
                yield {
                    "number": number,
                    "became": "noise",
                    "fault": f"on stderr: {done.stderr.strip()[-300:]}",
                }
            reached = facts[-1]["number"] if facts else number
            if done.returncode:
                yield {
                    "number": reached,
                    "became": "ended",
                    "fault": f"the process ended with {done.returncode}",
                }
            number = last if not done.returncode else reached + 1
            left = sorted(path.name for path in folder.iterdir())
            if left:
                yield {"number": number, "became": "left", "fault": f"left behind: {left[:5]}"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--patience", type=int, default=20, help="most seconds a file")
    parser.add_argument("--formats", default=",".join(SEEDS), help="comma-separated names")
    parser.add_argument("--work", nargs=2, type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    names = arguments.formats.split(",")
    if arguments.work:
        work(names, arguments.seed, *arguments.work, arguments.patience, Path.cwd())
        return 0
    became: Counter[str] = Counter()
    slowest, memory, faults = 0.0, 0, 0
    for fact in run(arguments):
        became[str(fact["became"])] += 1
        slowest = max(slowest, float(str(fact.get("seconds", 0))))
        memory = max(memory, int(str(fact.get("memory", 0))))
        if "fault" in fact:
            faults += 1
            print(f"file {fact['number']}: {fact['fault']}", flush=True)
    used = f"slowest {slowest:.1f} s of processor time; peak {memory / 2**20:.0f} MiB"
    print(f"{dict(became)}; {used}; {faults} faults")
    return int(faults > 0 or memory > MOST_MEMORY)


if __name__ == "__main__":
    sys.exit(main())
