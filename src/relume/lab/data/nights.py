"""Pictures made by formula: nights and dark screens that are right as they are, and smooth gradients.

A network that only ever sees dark photos with bright targets learns that dark is wrong. These scenes are dark
because the place is: stars, lit windows, street lamps, neon letters, fireworks, the moon, editors with a dark
theme. As input they get noise and JPEG (`relume.lab.darkness.NIGHT`), as target they stay as they are.
Gradients (skies, walls) are bright and smooth; darkened by `relume.lab.darkness.SMOOTH` they show bands of
few levels, and their targets none.

Light is added in linear units, 1 is white; lamps fall off as in `relume.lab.darkness.Lamp`. Lengths are
shares of the picture's height. All of a picture follows from the generator that is given.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from relume.arrays import EightBits
from relume.colour import to_srgb

Floats = npt.NDArray[np.floating]
Random = np.random.Generator

_NEON = (
    (1.0, 0.02, 0.08),
    (0.02, 0.6, 1.0),
    (0.9, 0.03, 0.75),
    (1.0, 0.25, 0.02),
    (0.05, 1.0, 0.2),
    (0.3, 0.1, 1.0),
)
_WARM = ((1.0, 0.62, 0.28), (1.0, 0.78, 0.5), (1.0, 0.9, 0.75), (0.85, 0.95, 1.0), (1.0, 0.5, 0.15))
_SIGNS = (
    "OPEN",
    "BAR",
    "HOTEL",
    "CAFE",
    "24h",
    "PIZZA",
    "Cinema",
    "TAXI",
    "Jazz",
    "Club",
    "Diner",
    "MOTEL",
    "Live",
    "K9",
)
_CODE = (
    "#d4d4d4",
    "#569cd6",
    "#ce9178",
    "#6a9955",
    "#dcdcaa",
    "#c586c0",
    "#9cdcfe",
    "#b5cea8",
    "#f44747",
    "#808080",
)
_LETTERS = "etaoinshrdlucmfwypvbgk"


def night(random: Random, height: int, width: int) -> EightBits:
    """A night scene or a dark screen, without noise.

    Args:
        random: source of all randomness.
        height, width: in pixels, any.

    Returns:
        H x W x 3, sRGB.
    """
    scene = NIGHTS[str(random.choice(list(NIGHTS), p=_SHARES))]
    return scene(random, height, width)


def gradient(random: Random, height: int, width: int) -> EightBits:
    """A bright smooth surface: a flat frame, a slope between two colours, or a sky with a soft cloud or two.

    Args and result as for `night`.
    """
    colours = random.uniform(0.15, 1.0) * random.uniform(0.5, 1.0, (2, 3)) ** random.uniform(0.2, 1.5)
    y, x = _places(height, width)
    angle = random.uniform(0, 2 * math.pi)
    along = x * math.cos(angle) + y * math.sin(angle)
    slope = (along - along.min()) / max(1e-6, float(np.ptp(along)))
    kind = random.integers(4)
    if kind == 0:
        slope = np.zeros_like(slope)
    elif kind == 1:
        slope = slope ** random.uniform(0.5, 2)
    else:
        slope = slope * random.uniform(0, 1) + _clouds(random, height, width, 3) * random.uniform(0.3, 1)
    image = colours[0] + np.clip(slope, 0, 1)[..., None] * (colours[1] - colours[0])
    return _rounded(image.astype(np.float32), random)


def made(kind: str, number: int, height: int = 400, width: int = 600) -> EightBits:
    """The picture with that number of `nights` or `gradients`, always the same."""
    maker = {"nights": night, "gradients": gradient}[kind]
    return maker(np.random.default_rng((zlib.crc32(kind.encode()), number)), height, width)


def stars(random: Random, height: int, width: int) -> EightBits:
    """A starry sky over a dark horizon: background levels of 3 to 15, sometimes a band of haze."""
    y, x = _places(height, width)
    low, high = sorted(random.uniform(2.5, 15, 2) / 255 / 12.92)
    glow = np.clip(y, 0, 1) ** random.uniform(1, 3)
    sky = (low + (high - low) * glow)[..., None] * _tint(random, (0.75, 1.0, 1.4))
    if random.random() < 0.5:
        angle = random.uniform(-1, 1)
        across = (y - 0.5) * math.cos(angle) - (x - 0.5) * math.sin(angle)
        band = np.exp(-((across / random.uniform(0.08, 0.25)) ** 2)) * _clouds(random, height, width, 7)
        sky = sky * (1 + random.uniform(0.5, 2) * band[..., None])
    count = int(random.uniform(40, 500) * max(1.0, width / height))
    points = np.zeros((height, width, 3), np.float32)
    where = random.integers(height, size=count), random.integers(width, size=count)
    # Each magnitude fainter has two to three times as many stars.
    fluxes = 0.03 * random.random(count) ** -random.uniform(0.5, 1.0)
    points[where] = np.minimum(fluxes, 6)[:, None] * _tint(random, (1.0, 1.0, 1.0), 0.15, count)
    sharp = _blurred(points, random.uniform(0.4, 0.8))
    image = sky + sharp * 2 + _blurred(np.maximum(points - 0.5, 0), 0.006 * height)
    return _finished(_horizon(image, random), random)


def skyline(random: Random, height: int, width: int) -> EightBits:
    """Buildings with lit windows below a dark sky, over water in half of the pictures."""
    ground = random.uniform(0.6, 0.95)
    y, _ = _places(height, width)
    sky = (0.0008 + random.uniform(0, 0.006) * np.clip(y / ground, 0, 1) ** 2)[..., None]
    image = np.repeat(sky * _tint(random, (0.8, 0.9, 1.3), 0.3), width, 1).astype(np.float32)
    bottom = round(ground * height)
    left = -random.uniform(0, 0.1) * height
    while left < width:
        size = random.uniform(0.08, 0.3) * height
        top = bottom - round(random.uniform(0.1, 0.75) * bottom)
        _building(image, random, (top, bottom, round(left), round(left + size)))
        left += size * random.uniform(0.7, 1.3)
    image += _blurred(np.maximum(image - 0.1, 0), 0.01 * height) * 0.5
    if random.random() < 0.5:
        _mirror(image, bottom, random)
    else:
        image[bottom:] = 0.002 * random.random()
        for _ in range(random.integers(1, 6)):
            _add_lamp(
                image,
                random,
                bottom / height + random.uniform(-0.08, 0.02),
                random.uniform(0, width / height),
            )
    return _finished(image, random)


def street(random: Random, height: int, width: int) -> EightBits:
    """A facade or a road lit by few lamps, with light only near them."""
    y, x = _places(height, width)
    texture = _wall(random, height, width)
    image = texture * (random.uniform(0.0005, 0.003) * _tint(random, (0.8, 0.95, 1.3), 0.2))
    for _ in range(random.integers(1, 4)):
        colour = _lamp_colour(random)
        place = random.uniform(0.05, 0.6), random.uniform(0, width / height)
        square = (y - place[0]) ** 2 + (x - place[1]) ** 2
        thrown = random.uniform(0.02, 0.25) / (1 + square / random.uniform(0.08, 0.3) ** 2) ** 1.5
        image += texture * thrown[..., None] * colour
        _add_lamp(image, random, *place, colour)
    _windows(image, random)
    if random.random() < 0.5:
        _mirror(image, round(random.uniform(0.65, 0.85) * height), random, random.uniform(0.1, 0.4))
    return _finished(image, random)


def lamp(random: Random, height: int, width: int) -> EightBits:
    """A lamp, or a few, in the dark, and nothing else."""
    image = np.full((height, width, 3), random.uniform(0, 0.002), np.float32)
    for _ in range(random.integers(1, 4)):
        place = random.uniform(0.1, 0.9), random.uniform(0.1, 0.9) * width / height
        _add_lamp(image, random, *place, size=random.uniform(0.008, 0.07))
    return _finished(image, random)


def neon(random: Random, height: int, width: int) -> EightBits:
    """Neon letters and their glow on black or on a wall."""
    wall = _wall(random, height, width) if random.random() < 0.6 else np.ones((height, width, 1), np.float32)
    image = np.full((height, width, 3), random.uniform(0.0003, 0.003), np.float32) * wall
    for line in range(random.integers(1, 4)):
        colour = np.array(_NEON[random.integers(len(_NEON))], np.float32)
        mask = _sign(random, height, width, line)
        tube = _blurred(mask, 0.002 * height)[..., None]
        near, far = (_blurred(mask, share * height)[..., None] for share in (0.012, 0.06))
        image += colour * (0.5 * near + random.uniform(0.5, 2.0) * far) * wall
        image += tube * (colour * 0.9 + random.uniform(0, 0.5))
    return _finished(image, random)


def screen(random: Random, height: int, width: int) -> EightBits:
    """An editor or a terminal with a dark theme: text on levels 15 to 45."""
    level = random.integers(15, 46)
    paper = tuple(int(channel) for channel in np.clip(level + random.integers(-6, 7, 3), 8, 50))
    picture = Image.new("RGB", (width, height), paper)
    draw = ImageDraw.Draw(picture)
    size = int(random.integers(9, 19))
    left = int(random.integers(4, 24))
    if random.random() < 0.5:
        _panels(draw, random, height, width, paper)
        left += round(0.2 * width) if random.random() < 0.5 else 0
    font = ImageFont.load_default(size)
    step = round(size * random.uniform(1.2, 1.7))
    plain, colourful = random.integers(len(_CODE)), random.random() < 0.75
    indent = 0
    for top in range(step, height - size, step):
        indent = int(np.clip(indent + random.integers(-1, 2), 0, 5))
        x = float(left + indent * 2 * size)
        while x < width and random.random() < 0.85:
            text = _word(random)
            colour = _CODE[random.integers(len(_CODE))] if colourful else _CODE[plain]
            draw.text((x, top), text, colour, font=font)
            x += font.getlength(text + " ")
    return np.array(picture)


def moon(random: Random, height: int, width: int) -> EightBits:
    """The moon, clouds that it lights, and a dark horizon."""
    y, x = _places(height, width)
    place = random.uniform(0.1, 0.6), random.uniform(0.1, 0.9) * width / height
    radius = random.uniform(0.02, 0.15)
    distance = np.hypot(y - place[0], x - place[1])
    disc = np.clip((radius - distance) * height + 0.5, 0, 1)
    seas = 0.5 + 0.5 * _clouds(random, height, width, 24)
    halo = random.uniform(0.005, 0.08) / (1 + (distance / (2 * radius)) ** 2)
    clouds = _clouds(random, height, width, 6) ** 2 * random.uniform(0, 1)
    light = 0.0008 + halo * (0.3 + 3 * clouds) + disc * seas * random.uniform(0.3, 1.2)
    image = light[..., None] * _tint(random, (0.95, 1.0, 1.1), 0.1)
    return _finished(_horizon(image.astype(np.float32), random), random)


def fireworks(random: Random, height: int, width: int) -> EightBits:
    """Trails of sparks from few centres, their smoke, a dark horizon."""
    picture = np.zeros((height, width, 3), np.float32)
    for _ in range(random.integers(1, 5)):
        y, x = random.uniform(0.1, 0.6) * height, random.uniform(0.1, 0.9) * width
        colour = np.array(_NEON[random.integers(len(_NEON))]) * 0.8 + 0.2
        reach = random.uniform(0.1, 0.4) * height
        for angle in random.uniform(0, 2 * math.pi, random.integers(30, 120)):
            length = reach * random.uniform(0.6, 1)
            along = np.linspace(random.uniform(0, 0.6), 1, max(4, int(length)))
            rows = y + length * along * math.sin(angle) + 0.25 * length * along**2
            columns = x + length * along * math.cos(angle)
            inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
            light = along[inside, None] ** 2 * colour * random.uniform(0.3, 2)
            picture[rows[inside].astype(int), columns[inside].astype(int)] += light
    smoke = _blurred(picture, 0.05 * height) * (0.3 + _clouds(random, height, width, 8)[..., None])
    image = _blurred(picture, 0.7) * 1.5 + smoke * 0.3 + random.uniform(0.0003, 0.002)
    return _finished(_horizon(image, random), random)


NIGHTS: dict[str, Callable[[Random, int, int], EightBits]] = {
    "stars": stars,
    "skyline": skyline,
    "street": street,
    "lamp": lamp,
    "neon": neon,
    "screen": screen,
    "moon": moon,
    "fireworks": fireworks,
}
_SHARES = (0.2, 0.14, 0.16, 0.1, 0.14, 0.16, 0.05, 0.05)


def _places(height: int, width: int) -> tuple[Floats, Floats]:
    """Centres of pixels, in picture heights: H x 1 and 1 x W."""
    y, x = ((np.arange(count, dtype=np.float32) + 0.5) / height for count in (height, width))
    return y[:, None], x[None]


def _tint(random: Random, middle: Sequence[float], spread: float = 0.2, count: int | None = None) -> Floats:
    """Colours near one, linear RGB; `count` of them or a single one."""
    shape = (3,) if count is None else (count, 3)
    return (np.array(middle) * np.exp(random.uniform(-spread, spread, shape))).astype(np.float32)


def _lamp_colour(random: Random) -> Floats:
    return _tint(random, _WARM[random.integers(len(_WARM))], 0.1)


def _clouds(random: Random, height: int, width: int, nodes: int) -> Floats:
    """Smooth random values in [0, 1]: control points across the height, and finer ones of less weight."""
    total = np.zeros((height, width), np.float32)
    for octave in range(3):
        rows = nodes * 2**octave
        coarse = random.random((rows, max(2, round(rows * width / height)))).astype(np.float32)
        fine = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(fine) * 0.5**octave
    return np.clip(total / 1.75, 0, 1)


def _blurred(light: Floats, deviation: float) -> Floats:
    """Gaussian blur; a wide one is made at a lower resolution."""
    height, width = light.shape[:2]
    shrink = max(1, min(int(deviation / 1.5), height // 4, width // 4))
    if shrink > 1:
        small = _resized(light, width // shrink, height // shrink, Image.Resampling.BOX)
        return _resized(_blurred(small, deviation / shrink), width, height, Image.Resampling.BICUBIC)
    radius = max(1, math.ceil(2.5 * deviation))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(deviation, 1e-3)) ** 2)
    for axis in (0, 1):
        edges = [(radius, radius) if axis == side else (0, 0) for side in range(light.ndim)]
        padded = np.moveaxis(np.pad(light, edges, "edge"), axis, 0)
        count = light.shape[axis]
        total = np.zeros((count, *padded.shape[1:]), np.float32)
        for shift, weight in enumerate(kernel / kernel.sum()):
            total += weight * padded[shift : shift + count]
        light = np.moveaxis(total, 0, axis)
    return light


def _resized(light: Floats, width: int, height: int, how: Image.Resampling) -> Floats:
    planes = light.reshape(*light.shape[:2], -1)
    resized = [
        np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize((width, height), how))
        for plane in np.moveaxis(planes, 2, 0)
    ]
    return np.stack(resized, -1).reshape(height, width, *light.shape[2:]).clip(min=0)


def _horizon(image: Floats, random: Random) -> Floats:
    """Hills or roofs in front of the sky, nearly black, in most of the pictures."""
    height, width = image.shape[:2]
    if random.random() < 0.3:
        return image
    nodes = random.normal(0, 1, int(random.integers(3, 30)))
    line = np.interp(np.linspace(0, len(nodes) - 1, width), np.arange(len(nodes)), nodes)
    top = height * (random.uniform(0.65, 0.95) + 0.04 * line)
    cover = np.clip(np.arange(height)[:, None] - top + 0.5, 0, 1)[..., None].astype(np.float32)
    return image * (1 - cover) + cover * random.uniform(0, 0.0008)


def _add_lamp(
    image: Floats, random: Random, y: float, x: float, colour: Floats | None = None, size: float = 0.0
) -> None:
    """A bulb and its glow."""
    rows, columns = _places(*image.shape[:2])
    size = size or math.exp(random.uniform(math.log(0.004), math.log(0.02)))
    square = (rows - y) ** 2 + (columns - x) ** 2
    peak = math.exp(random.uniform(0, 2.5))
    # Far away, what counts is glow x reach^2: the larger the lamp, the less of both.
    reach = size * random.uniform(2, 6)
    glow = math.exp(random.uniform(math.log(0.002), math.log(0.05))) * min(1.0, (0.06 / reach) ** 2)
    light = peak / (1 + square / size**2) ** 3 + peak * glow / (1 + square / reach**2)
    image += light[..., None] * (_lamp_colour(random) if colour is None else colour)


def _building(image: Floats, random: Random, box: tuple[int, int, int, int]) -> None:
    """A dark block with rows of windows, few of them lit."""
    top, bottom, left, right = box
    height, width = image.shape[:2]
    image[max(top, 0) : bottom, max(left, 0) : max(right, 0)] = random.uniform(0.0003, 0.004) * _tint(
        random, (0.9, 0.95, 1.1)
    )
    pitch = max(3, round(random.uniform(0.012, 0.035) * height))
    size = max(2, round(pitch * random.uniform(0.45, 0.8)))
    lit, colour = random.uniform(0.05, 0.5), _lamp_colour(random)
    for y in range(top + pitch // 2, bottom - size, pitch):
        for x in range(max(left, 0) + pitch // 3, min(right, width) - size, pitch):
            if random.random() < lit:
                image[max(y, 0) : y + size, x : x + size] = colour * random.uniform(0.02, 0.9) ** 1.5


def _windows(image: Floats, random: Random) -> None:
    """Rows of windows of one size, few of them lit."""
    height, width = image.shape[:2]
    size = random.uniform(0.06, 0.16) * height
    tall = size * random.uniform(1, 1.7)
    lit = random.uniform(0, 0.3)
    for top in np.arange(random.uniform(-0.5, 0.5) * tall, height, 2 * tall):
        for left in np.arange(random.uniform(-1, 1) * size, width, 2.5 * size):
            box = (
                max(0, round(top)),
                max(0, round(top + tall)),
                max(0, round(left)),
                max(0, round(left + size)),
            )
            if random.random() < lit:
                _window(image, random, box, random.uniform(0.1, 0.8))
            else:
                image[box[0] : box[1], box[2] : box[3]] *= 0.4


def _window(image: Floats, random: Random, box: tuple[int, int, int, int], strength: float) -> None:
    """A lit window with its bars, brighter in its upper part."""
    top, bottom, left, right = box
    pane = image[top:bottom, left:right]
    if not pane.size:
        return
    fall = np.linspace(1, random.uniform(0.3, 1), pane.shape[0], dtype=np.float32)[:, None, None]
    pane[:] = strength * fall * _lamp_colour(random)
    bar = max(1, round(0.05 * pane.shape[1]))
    middle = pane.shape[1] // 2
    pane[:, middle : middle + bar] *= 0.1
    pane[pane.shape[0] // 3 :][:bar] *= 0.1
    image += _blurred(_only(image, box), 0.03 * image.shape[0]) * random.uniform(0.05, 0.3)


def _only(image: Floats, box: tuple[int, int, int, int]) -> Floats:
    top, bottom, left, right = box
    cut = np.zeros_like(image)
    cut[top:bottom, left:right] = image[top:bottom, left:right]
    return cut


def _wall(random: Random, height: int, width: int) -> Floats:
    """How much light a wall gives back: plaster, or bricks of some height; H x W x 1."""
    surface = 0.5 + 0.5 * _clouds(random, height, width, int(random.integers(4, 20)))
    if random.random() < 0.6:
        size = max(4, round(random.uniform(0.02, 0.07) * height))
        rows, columns = np.arange(height)[:, None], np.arange(width)[None]
        shifted = columns + rows // size % 2 * size
        joint = (rows % size < max(1, size // 8)) | (shifted % (2 * size) < max(1, size // 8))
        tones = random.uniform(0.6, 1.0, 4096).astype(np.float32)
        surface = surface * tones[(rows // size * 61 + shifted // (2 * size) * 7) % 4096]
        surface = np.where(joint, 0.35 * surface, surface)
    grain = random.normal(1, random.uniform(0, 0.12), (height, width)).astype(np.float32)
    return np.clip(surface * grain, 0.02, 1)[..., None]


def _mirror(image: Floats, bottom: int, random: Random, strength: float = 0.5) -> None:
    """Water or wet ground below a line: the mirrored picture, drawn out downwards."""
    height = image.shape[0]
    rows = np.clip(bottom - 1 - np.arange(height - bottom), 0, height - 1)
    below = image[rows]
    if not below.size:
        return
    wide = _blurred(below, 0.003 * height)
    length = max(2, below.shape[0] // 12)
    smeared = sum(np.roll(wide, shift, 0) for shift in range(0, length, max(1, length // 8)))
    count = len(range(0, length, max(1, length // 8)))
    ripples = 0.4 + 0.6 * _clouds(random, below.shape[0], below.shape[1], 30)[..., None]
    image[bottom:] = strength * smeared / count * ripples + 0.0005


def _sign(random: Random, height: int, width: int, line: int) -> Floats:
    """Letters as outlines or as strokes, H x W in [0, 1]."""
    size = max(8, round(random.uniform(0.1, 0.28) * height))
    picture = Image.new("L", (width, height))
    font = ImageFont.load_default(size)
    text = _SIGNS[random.integers(len(_SIGNS))]
    x = random.uniform(-0.05, 0.7) * width
    y = (0.05 + 0.3 * line + random.uniform(0, 0.1)) * height
    ImageDraw.Draw(picture).text((x, y), text, 255, font=font)
    if random.random() < 0.5:
        wide = picture.filter(ImageFilter.MaxFilter(3))
        return (
            np.asarray(wide, np.float32) - np.asarray(picture.filter(ImageFilter.MinFilter(3)), np.float32)
        ) / 255
    return np.asarray(picture, np.float32) / 255


def _panels(
    draw: ImageDraw.ImageDraw, random: Random, height: int, width: int, paper: tuple[int, ...]
) -> None:
    """A side bar, a bar of tabs and a status bar, a little lighter or darker than the paper."""

    def tone() -> tuple[int, ...]:
        return tuple(int(np.clip(channel + random.integers(-10, 14), 5, 60)) for channel in paper)

    draw.rectangle((0, 0, round(0.2 * width), height), tone())
    draw.rectangle((0, 0, width, round(0.05 * height)), tone())
    status = _CODE[random.integers(len(_CODE))] if random.random() < 0.3 else tone()
    draw.rectangle((0, height - round(0.04 * height), width, height), status)


def _word(random: Random) -> str:
    letters = "".join(
        _LETTERS[int(len(_LETTERS) * random.random() ** 1.5)] for _ in range(random.integers(1, 10))
    )
    return letters + ("", "", "(", ")", ":", "=", ".", "_1", "{}", "[0]")[random.integers(10)]


def _finished(light: Floats, random: Random) -> EightBits:
    """Through a lens that is never quite sharp and stray light, to 8 bits."""
    stray = light.mean((0, 1)) * random.uniform(0, 0.02)
    sharp = (
        np.minimum(light, 1.5)
        if random.random() < 0.5
        else _blurred(np.minimum(light, 4), random.uniform(0.4, 0.9))
    )
    return _rounded(to_srgb(np.clip(sharp + stray, 0, 1)), random)


def _rounded(srgb: Floats, random: Random) -> EightBits:
    """To 8 bits, dithered so that slopes have no steps."""
    dither = random.random(srgb.shape[:2], np.float32)[..., None]
    return np.clip(np.floor(srgb * 255 + dither), 0, 255).astype(np.uint8)
