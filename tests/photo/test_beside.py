"""What a file holds beside its photo: carried on, or noted; and orientation wherever it stands."""

from __future__ import annotations

import contextlib
import io
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from relume.errors import InputInvalid, RelumeError
from relume.photo import FORMATS, Metadata, Photo, colour, encode_photo, read_photo
from relume.photo.codecs import avif
from relume.photo.metadata import EXTENDED_XMP_NAME, split_photoshop

from . import samples
from .broken import chunk, png, tiff
from .test_read import items, jpeg_with, png_with, segment, xmp

VIDEO = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 20


def file(name: str) -> bytes:
    return samples.pillow_file(samples.ramp(), name.upper())


def resource(number: int, content: bytes, name: bytes = b"") -> bytes:
    named = bytes((len(name),)) + name
    named += b"\0" * (len(named) % 2)
    return (
        b"8BIM"
        + struct.pack(">H", number)
        + named
        + struct.pack(">I", len(content))
        + content
        + b"\0" * (len(content) % 2)
    )


def again(data: bytes, form: str = "") -> tuple[bytes, tuple[str, ...]]:
    return encode_photo(read_photo(data), format=form)


# JPEG


@pytest.mark.parametrize("marker", [0xE0, 0xE1, 0xE2, *range(0xE3, 0xEB), 0xEC, 0xED, 0xEE, 0xEF])
def test_an_unknown_segment_stays(marker: int) -> None:
    unknown = segment(marker, b"Maker\0" + bytes(range(256)))
    photo = read_photo(jpeg_with(unknown, unknown))
    assert photo.notes == ()
    data, notes = encode_photo(photo)
    assert (notes, data.count(unknown)) == ((), 2)
    assert again(data)[0].count(unknown) == 2
    assert encode_photo(photo, format="webp")[1] == (
        f"segment APP{marker - 0xE0} 'Maker' dropped: WebP has no place for it",
    )
    assert unknown not in encode_photo(photo, strip=True)[0]


@pytest.mark.parametrize("name", ["jpeg", "png", "webp"])
def test_data_behind_the_photo_stays(name: str) -> None:
    data, notes = again(file(name) + VIDEO)
    assert data.endswith(VIDEO)
    assert notes == ()
    other = "png" if name == "jpeg" else "jpeg"
    data, notes = again(file(name) + VIDEO, other)
    assert notes == (f"data behind the photo dropped: {FORMATS[other].title} has no place for it",)
    assert VIDEO not in data


@pytest.mark.parametrize(
    "said",
    [
        xmp(b' GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1"'),
        xmp(b" GCamera:MicroVideo='1' GCamera:MicroVideoOffset='40'"),
        xmp(b"", items(b"Primary", b"MotionPhoto")),
    ],
)
def test_a_motion_photo_keeps_its_video_and_what_xmp_says_of_it(said: bytes) -> None:
    head = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + said)
    photo = read_photo(jpeg_with(head, after=VIDEO))
    assert (photo.dropped, photo.metadata.xmp) == ((), said)
    data, notes = encode_photo(photo)
    assert notes == ()
    assert data.endswith(VIDEO)
    assert head in data
    elsewhere, notes = encode_photo(photo, format="png")
    assert len(notes) == 1
    assert read_photo(elsewhere).metadata.xmp == xmp(b"")


def test_the_second_block_of_xmp_stays_in_a_jpeg() -> None:
    said = xmp(b' xmpNote:HasExtendedXMP="0123456789ABCDEF"')
    second = [
        segment(
            0xE1, EXTENDED_XMP_NAME + b"0123456789ABCDEF" * 2 + struct.pack(">II", 6000, at) + bytes(3000)
        )
        for at in (0, 3000)
    ]
    photo = read_photo(jpeg_with(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + said), *second))
    assert (photo.notes, photo.metadata.xmp) == ((), said)
    data, notes = encode_photo(photo)
    assert (notes, read_photo(data).metadata.xmp) == ((), said)
    assert b"".join(second) in data
    elsewhere, notes = encode_photo(photo, format="png")
    assert notes == ("extended XMP dropped: PNG has no place for it",)
    assert read_photo(elsewhere).metadata.xmp == xmp(b"")


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_map_of_depth_does_not_stay_with_a_photo_that_is_turned(orientation: int) -> None:
    second = segment(0xE1, EXTENDED_XMP_NAME + b"0" * 40 + b"<x GDepth:Data='AAAA")
    photo = read_photo(jpeg_with(segment(0xE1, samples.exif(orientation)), second, second))
    assert photo.dropped == (() if orientation == 1 else ("extended XMP dropped",))
    assert encode_photo(photo)[0].count(second) == (2 if orientation == 1 else 0)


def pixels_twice_as_wide(form: str) -> bytes:
    if form == "png":
        return png_with(chunk(b"pHYs", struct.pack(">IIB", 1, 2, 0)))
    return file("jpeg").replace(b"JFIF\0\1\1\0\0\1\0\1", b"JFIF\0\1\1\0\0\2\0\1")


@pytest.mark.parametrize("form", ["jpeg", "png"])
def test_pixels_that_are_not_square_are_noted(form: str) -> None:
    assert read_photo(pixels_twice_as_wide(form)).dropped == (
        "shape of the pixels dropped: they count as square",
    )
    assert read_photo(file(form)).dropped == ()


def test_what_stands_behind_further_pictures_is_lost_with_a_note() -> None:
    stream = io.BytesIO()
    pages = [Image.fromarray(samples.ramp()) for _ in range(2)]
    pages[0].save(stream, "MPO", save_all=True, append_images=pages[1:])
    more = "only the first of 2 pictures in the file is read"
    assert read_photo(stream.getvalue()).dropped == (more,)
    photo = read_photo(stream.getvalue() + VIDEO)
    assert set(photo.dropped) == {more, "data behind the photo dropped"}


@pytest.mark.parametrize("form", ["jpeg", "tiff"])
def test_photoshops_resources_stay_but_thumbnails(form: str) -> None:
    path = resource(2000, b"a clipping path", b"Path 1")
    iptc = b"\x1c\x02\x05\0\x05Night"
    long = resource(1028 + 1, b"x" * 70_001)
    block = path + resource(0x0404, iptc) + resource(0x040C, b"thumbnail!") + long
    parts = [
        segment(0xED, b"Photoshop 3.0\0" + block[at : at + 60_000]) for at in range(0, len(block), 60_000)
    ]
    photo = read_photo(jpeg_with(*parts))
    assert (photo.notes, photo.metadata.iptc, photo.metadata.resources) == ((), iptc, path + long)
    back = read_photo(encode_photo(photo, format=form)[0]).metadata
    assert (back.iptc, back.resources) == (iptc, path + long)
    assert encode_photo(photo, format="png")[1] == tuple(
        f"{name} dropped: PNG has no place for it" for name in ("IPTC", "Photoshop resources")
    )


def test_damaged_resources_are_noted() -> None:
    cut = resource(2000, b"a clipping path")[:-4]
    assert split_photoshop(cut) == (None, None, False)
    photo = read_photo(jpeg_with(segment(0xED, b"Photoshop 3.0\0" + cut)))
    assert photo.dropped == ("damaged Photoshop resources dropped",)


def test_many_parts_are_bounded_in_time() -> None:
    started = time.process_time()
    tiny = segment(0xE4, b"x")
    photo = read_photo(jpeg_with(*[tiny] * 20_000))
    assert len(photo.metadata.parts) == 5000
    assert len(photo.dropped) == 1
    scans = b"\xff\xda\0\x08\1\1\0\0\x3f\0\0" * 60_000
    with contextlib.suppress(RelumeError):
        read_photo(jpeg_with(scans))
    with contextlib.suppress(RelumeError):
        read_photo(png_with(*[chunk(b"vpAg", b"")] * 60_000))
    assert time.process_time() - started < 15


# PNG and WebP


def test_chunks_that_may_be_copied_stay() -> None:
    own, stale = chunk(b"vpAg", b"whatever"), chunk(b"prVW", b"a preview")
    photo = read_photo(png_with(own, stale))
    assert photo.dropped == ("chunk prVW dropped: it may not hold for changed pixels",)
    data, notes = encode_photo(photo)
    assert notes == ()
    assert own in data
    assert stale not in data
    assert encode_photo(photo, format="tiff")[1] == ("chunk vpAg dropped: TIFF has no place for it",)


def test_content_credentials_are_noted_in_png_and_webp() -> None:
    webp = file("webp")
    chunked = webp + b"C2PA\x04\0\0\0jumb"
    chunked = chunked[:4] + struct.pack("<I", len(chunked) - 8) + chunked[8:]
    for data in (png_with(chunk(b"caBX", b"jumb")), chunked):
        (note,) = read_photo(data).dropped
        assert "C2PA" in note


def test_what_an_avif_cannot_carry_on_is_noted() -> None:
    avif = file("avif")
    assert "C2PA" in read_photo(avif + b"\0\0\0\x20uuid" + bytes(24)).dropped[0]
    at = avif.index(b"infe") - 4
    item = b"\0\0\0\x15infe\2\0\0\0\0\x09\0\0tmap\0"
    # The list of items grows by one, and so do the boxes around it and the place of the pixels.
    changed = bytearray(avif[:at] + item + avif[at:])
    meta, iinf, mdat = avif.index(b"meta") - 4, avif.index(b"iinf") - 4, avif.index(b"mdat") + 4
    for place in (meta, iinf):
        struct.pack_into(">I", changed, place, struct.unpack_from(">I", changed, place)[0] + len(item))
    struct.pack_into(">H", changed, iinf + 12, 2)
    pixels = avif.index(struct.pack(">I", mdat), avif.index(b"iloc"))
    struct.pack_into(">I", changed, pixels, mdat + len(item))
    assert read_photo(changed).dropped == ("gain map dropped",)


@pytest.mark.parametrize(
    ("behind", "note"),
    [
        (struct.pack(">I", 20) + b"mpvd" + bytes(12), "box mpvd dropped"),
        (b"PK\3\4 a ZIP archive", "data behind the photo dropped"),
        (b"short", "data behind the photo dropped"),
        (struct.pack(">I", 20) + b"free" + bytes(12), ""),
        (bytes(40), ""),
    ],
)
def test_what_stands_behind_an_avif_is_noted(behind: bytes, note: str) -> None:
    assert read_photo(file("avif") + behind).dropped == ((note,) if note else ())


@pytest.mark.parametrize(
    ("known", "other", "note"),
    [
        (b"Exif\0", b"cdsc\0", "item of type cdsc dropped"),
        (b"application/rdf+xml", b"application/rdf+jsn", "item of type mime application/rdf+jsn dropped"),
        (
            b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha",
            b"urn:mpeg:mpegB:cicp:systems:auxiliary:depth",
            "depth map or other picture dropped",
        ),
    ],
)
def test_what_an_avif_lists_beside_its_picture_is_noted(known: bytes, other: bytes, note: str) -> None:
    pixels = samples.ramp()
    about = Metadata(exif=samples.exif().removeprefix(b"Exif\0\0"), xmp=samples.XMP % 1)
    data = encode_photo(Photo(pixels, pixels[..., 0].copy(), metadata=about), format="avif")[0]
    assert read_photo(data).dropped == ()
    assert known in data
    assert read_photo(data.replace(known, other, 1)).dropped == (note,)


def test_unknown_chunks_of_a_webp_stay() -> None:
    webp = file("webp") + b"ABCD\x05\0\0\0abcde\0"
    photo = read_photo(webp[:4] + struct.pack("<I", len(webp) - 8) + webp[8:])
    assert photo.dropped == ()
    data = encode_photo(photo)[0]
    assert data.endswith(b"ABCD\x05\0\0\0abcde\0")
    assert read_photo(data).metadata.parts == photo.metadata.parts


@pytest.mark.parametrize("packed", [False, True])
def test_metadata_of_a_png_is_found_wherever_it_stands(packed: bool) -> None:
    block = samples.exif(6)
    text = zlib.compress(samples.XMP % 6) if packed else samples.XMP % 6
    more = chunk(b"eXIf", block) + chunk(b"iTXt", b"XML:com.adobe.xmp\0" + bytes((packed, 0, 0, 0)) + text)
    data = file("png")
    for at in (33, len(data) - 12):
        photo = read_photo(data[:at] + more + data[at:])
        assert photo.rgb_HWC.shape == (32, 24, 3)
        assert photo.metadata.xmp == samples.XMP % 1
        assert samples.exif_facts(encode_photo(photo)[0]) == samples.FACTS


def test_codes_of_a_png_go_before_its_profile() -> None:
    adobe = chunk(b"iCCP", b"icc\0\0" + zlib.compress(samples.icc_profile(*samples.ADOBE_RGB)))
    assert read_photo(png_with(chunk(b"cICP", bytes((12, 13, 0, 1))), adobe)).metadata.icc == colour.builtin(
        "p3"
    )
    assert read_photo(png_with(chunk(b"cICP", bytes((1, 13, 0, 1))), adobe)).metadata.icc is None
    unknown = read_photo(png_with(chunk(b"cICP", bytes((9, 16, 0, 1))), adobe))
    assert unknown.metadata.icc == samples.icc_profile(*samples.ADOBE_RGB)
    assert unknown.notes == ()


def test_apples_own_png_is_refused_in_true_words() -> None:
    data = png(4, 4, data=zlib.compress(bytes(52)))
    with pytest.raises(InputInvalid, match="CgBI"):
        read_photo(data[:8] + chunk(b"CgBI", b"\x50\0\x20\x06") + data[8:])


# TIFF


@pytest.mark.parametrize(("bits", "photometric"), [(8, 8), (8, 9), (16, 9), (8, 10)])
def test_cielab_of_other_kinds_is_refused_in_true_words(bits: int, photometric: int) -> None:
    with pytest.raises(InputInvalid, match="CIELAB"):
        read_photo(tiff(bits=bits, photometric=photometric))


def test_planes_in_tiles_are_refused_in_true_words() -> None:
    data = tiff()
    planes, rows = struct.pack("<HHIHH", 284, 3, 1, 1, 0), struct.pack("<HH", 278, 4)
    assert planes in data
    changed = data.replace(planes, struct.pack("<HHIHH", 284, 3, 1, 2, 0))
    with pytest.raises(InputInvalid, match="tiles"):
        read_photo(changed.replace(rows, struct.pack("<HH", 322, 4)))


def big_tiff(**tags: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(samples.ramp()).save(stream, "TIFF", big_tiff=True, **tags)
    return stream.getvalue()


def test_a_bigtiff_tells_what_it_holds() -> None:
    data = big_tiff(tiffinfo={270: "a night", 271: "Maker", 42113: "-9999", 50001: b"\1\2\3"})
    assert data[:3] == b"II+"
    photo = read_photo(data)
    assert photo.dropped == ()
    with Image.open(io.BytesIO(encode_photo(photo)[0])) as image:
        tags = image.tag_v2  # type: ignore[attr-defined]
        assert [tags[tag] for tag in (270, 271, 42113)] == ["a night", "Maker", "-9999"]
        assert tags[50001] == b"\1\2\3"
    with Image.open(io.BytesIO(encode_photo(photo, format="jpeg")[0])) as image:
        assert image.getexif()[270] == "a night"


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_place_on_earth_stays_with_pixels_that_stay(orientation: int) -> None:
    place = {33550: (1.0, 1.0, 0.0), 274: orientation}
    stream = io.BytesIO()
    Image.fromarray(samples.ramp()).save(stream, "TIFF", tiffinfo=place)
    photo = read_photo(stream.getvalue())
    assert [part.key for part in photo.metadata.parts] == [33550] * (orientation == 1)
    assert len(photo.dropped) == (orientation != 1)


def with_further_directory(data: bytes, kind: int) -> bytes:
    """A TIFF file whose picture stands once more in a directory below the first one, as this kind."""
    first = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[first : first + 2], "little")
    entries = [data[at : at + 12] for at in range(first + 2, first + 2 + 12 * count, 12)]
    below = len(data) + len(data) % 2
    data = data.ljust(below, b"\0") + struct.pack("<HHHII", count + 1, 254, 4, 1, kind)
    data += b"".join(entries) + bytes(4)
    above = len(data)
    entries.append(struct.pack("<HHII", 330, 4, 1, below))
    entries.sort(key=lambda entry: int.from_bytes(entry[:2], "little"))
    data += struct.pack("<H", count + 1) + b"".join(entries) + bytes(4)
    return data[:4] + struct.pack("<I", above) + data[8:]


@pytest.mark.parametrize(("kind", "counts"), [(0, True), (1, False), (2, True)])
def test_pictures_below_the_first_directory_are_noted(kind: int, counts: bool) -> None:
    photo = read_photo(with_further_directory(file("tiff"), kind))
    assert photo.dropped == (("only the first of 2 pictures in the file is read",) if counts else ())


def test_damaged_exif_in_a_tiff_is_noted() -> None:
    data = samples.pillow_file(samples.ramp(), "TIFF", tiffinfo={34665: 99_999_999})
    assert read_photo(data).dropped == ("damaged or very large TIFF tags dropped",)


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "avif"])
def test_every_tag_of_exif_comes_along_into_a_tiff(form: str) -> None:
    told = {0x9C9B: b"T\0i\0\0\0", 0x4746: 5, 0xC4A5: b"PrintIM\0" + bytes(20), 0x010F: "Maker"}
    block = Image.Exif()
    block.update(told)
    photo = read_photo(samples.pillow_file(samples.ramp(), form.upper(), exif=block.tobytes()))
    data, notes = encode_photo(photo, format="tiff")
    assert notes == ()
    with Image.open(io.BytesIO(data)) as image:
        assert {tag: image.getexif().get(tag) for tag in told} == told
    np.testing.assert_array_equal(read_photo(data).rgb_HWC, photo.rgb_HWC)


def test_layers_and_pointers_are_dropped_with_notes() -> None:
    stream = io.BytesIO()
    tags = {37724: b"layers", 33424: 8, 50002: b"\0\0\0\0"}
    Image.fromarray(samples.ramp()).save(stream, "TIFF", tiffinfo=tags)
    data = bytearray(stream.getvalue())
    at = data.index(struct.pack("<H", 50002))
    struct.pack_into("<HI", data, at + 2, 13, 1)  # a directory
    notes = read_photo(data).dropped
    assert len(notes) == 3
    assert notes[0].startswith("Photoshop layers")
    assert notes[1].startswith("TIFF tag 33424")
    assert notes[2].startswith("TIFF tag 50002")


@pytest.mark.parametrize("size", [60 << 20, 80 << 20])
def test_layers_of_any_size_keep_no_photo_from_being_read(size: int) -> None:
    stream = io.BytesIO()
    Image.fromarray(samples.ramp()).save(stream, "TIFF", tiffinfo={37724: bytes(size)})
    photo = read_photo(stream.getvalue())
    np.testing.assert_array_equal(photo.rgb_HWC, samples.ramp())
    assert len(photo.dropped) == 1


@pytest.mark.parametrize(("kind", "kept"), [(0, False), (2, True)])
def test_a_fourth_channel_is_kept_only_as_transparency(kind: int, kept: bool) -> None:
    photo = read_photo(tiff(2, 2, channels=4, extra=kind, data=bytes(range(16))))
    assert (photo.alpha_HW is not None) == kept
    assert (photo.dropped == ()) == kept
    assert photo.rgb_HWC[0, 1].tolist() == [4, 5, 6]


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "avif"])
@pytest.mark.parametrize("size", [0, 50_000])
def test_exif_stays_byte_for_byte(name: str, size: int) -> None:
    block = samples.exif(1).removeprefix(b"Exif\0\0") + bytes(range(256)) * (size // 256)
    photo = read_photo(samples.pillow_file(samples.ramp(), "JPEG", exif=b"Exif\0\0" + block))
    data, notes = encode_photo(photo, format=name)
    assert notes == ()
    written = read_photo(data)
    assert written.metadata.exif == photo.metadata.exif
    assert written.notes == ()
    assert samples.exif_facts(data) == samples.FACTS
    np.testing.assert_array_equal(
        written.rgb_HWC, read_photo(encode_photo(Photo(photo.rgb_HWC), format=name)[0]).rgb_HWC
    )


@pytest.mark.parametrize("kind", ["CMYK", "HDR", "gamma"])
def test_colours_that_cannot_come_back_are_a_loss(kind: str) -> None:
    if kind == "CMYK":
        data = _cmyk()
    elif kind == "HDR":
        data = png_with(chunk(b"cICP", bytes((9, 16, 0, 1))))
    else:
        data = png_with(chunk(b"gAMA", struct.pack(">I", 100000)))
    photo = read_photo(data)
    assert len(photo.dropped) == 1
    assert photo.dropped == photo.notes


def _cmyk() -> bytes:
    stream = io.BytesIO()
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(stream, "JPEG")
    return stream.getvalue()


def _with_limited_alpha(data: bytes, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The file, whose transparency says that it has the range of video."""
    seen: list[tuple[bytes, int]] = []
    read = avif._range_of

    def noted(bits: avif._Bits) -> int:
        value = read(bits)
        seen.append((bits._data, bits.at - 1))
        return value

    with monkeypatch.context() as patch:
        patch.setattr(avif, "_range_of", noted)
        assert not avif.has_limited_alpha(lambda at, size: data[at : at + size])
    picture, bit = seen[0]
    changed = bytearray(data)
    changed[data.index(picture) + bit // 8] ^= 0x80 >> bit % 8
    return bytes(changed)


@pytest.mark.parametrize("bits", [8, 16])
def test_transparency_of_an_avif_with_the_range_of_video(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = samples.ramp(bits)
    data = encode_photo(Photo(pixels, pixels[..., 0].copy()), format="avif")[0]
    limited = _with_limited_alpha(data, monkeypatch)
    with Image.open(io.BytesIO(limited)) as image:  # by libavif
        expected = np.asarray(image)[..., 3]
    photo, plain = read_photo(limited), read_photo(data)
    assert photo.alpha_HW is not None
    assert plain.alpha_HW is not None
    assert np.abs(photo.alpha_HW / (2**bits - 1) * 255 - expected).max() < 1
    assert np.abs(photo.alpha_HW.astype(int) - plain.alpha_HW).max() > 2 ** (bits - 5)
    np.testing.assert_array_equal(photo.rgb_HWC, plain.rgb_HWC)


# Orientation


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "tiff"])
def test_orientation_in_xmp_alone_is_applied(name: str) -> None:
    options: dict[str, object] = {"xmp": samples.XMP % 6}
    if name == "png":
        data = png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + samples.XMP % 6))
    elif name == "tiff":
        data = samples.pillow_file(samples.ramp(), "TIFF", tiffinfo={700: samples.XMP % 6})
    else:
        data = samples.pillow_file(samples.ramp(), name.upper(), quality=95, **options)
    photo = read_photo(data)
    assert photo.metadata.xmp == samples.XMP % 1
    assert photo.rgb_HWC.shape == (32, 24, 3)
    assert np.abs(photo.rgb_HWC.astype(int) - np.rot90(samples.ramp(), -1)).max() < 20


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("prefixes", [1, 2])
@pytest.mark.parametrize("kind", [3, 4])
def test_orientation_of_every_writer_is_applied(order: str, prefixes: int, kind: int) -> None:
    value = struct.pack(order + ("H" if kind == 3 else "I"), 6).ljust(4, b"\0")
    table = struct.pack(order + "HHHI", 1, 0x0112, kind, 1) + value + bytes(4)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    data = jpeg_with(segment(0xE1, b"Exif\0\0" * prefixes + head + table))
    photo = read_photo(data)
    assert photo.rgb_HWC.shape == (32, 24, 3)
    assert photo.notes == ()
    written = read_photo(encode_photo(photo)[0])
    assert written.rgb_HWC.shape == (32, 24, 3)
    assert written.metadata.exif == head + table.replace(
        value, struct.pack(order + ("H" if kind == 3 else "I"), 1).ljust(4, b"\0")
    )


def test_exifs_orientation_goes_before_xmps() -> None:
    data = samples.pillow_file(samples.ramp(), "JPEG", exif=samples.exif(1), xmp=samples.XMP % 6)
    assert read_photo(data).rgb_HWC.shape == (24, 32, 3)
