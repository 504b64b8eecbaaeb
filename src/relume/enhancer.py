"""The Python API: load a model once, enhance many photos."""

from __future__ import annotations

import inspect
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

import numpy.typing as npt

from relume.errors import UsageError, naming_exhaustion
from relume.images import as_photo
from relume.look.decide import decide
from relume.look.look import Look
from relume.look.model import Model
from relume.look.render import render
from relume.look.trial import try_model
from relume.models import Card, is_shipped, load_card, load_graph
from relume.models.card import graphs_for, has_precision
from relume.models.engines import Engine, available_devices, is_fast_at_int8, load_engine
from relume.options import (
    BFLOAT16,
    DEFAULT_MODEL,
    DEFAULT_TILE,
    ControlKeywords,
    Controls,
    Downsample,
    EnhanceKeywords,
    EnhanceOptions,
)
from relume.photo import Photo, read_photo
from relume.threads import available, begun

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

    Image = TypeVar("Image", Photo, npt.NDArray[Any], PillowImage)

_AS_BY_DEFAULT = Controls()


class Enhancer:
    """A loaded model; thread-safe, so that one serves a whole program.

    It pickles by its options: a worker process that gets one loads the model anew.

    >>> from relume import Enhancer, write_photo
    >>> enhancer = Enhancer(threads=2)
    >>> notes = write_photo(enhancer.enhance("night.jpg"), "night.relume.jpg")

    Args:
        model: name of a shipped model, or the card (a `.json` file) of an exported one.
        engine, precision, device, threads, tile, downsample: see `EnhanceOptions`.

    Raises:
        MissingExtra: the engine is not installed.
        ModelError: no such model, or none of this precision, or its files are damaged, or its graphs do not
            end or return what they must not; those of a card from elsewhere run once on a tiny image to find
            out.
        OutOfResources: too little memory, or no more threads, to load it.
        UsageError: no such device, or a value out of range.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = DEFAULT_MODEL,
        *,
        engine: str = "onnxruntime",
        precision: str = "auto",
        device: str = "auto",
        threads: int = 0,
        tile: int = DEFAULT_TILE,
        downsample: Downsample = "auto",
    ) -> None:
        self.options = EnhanceOptions(
            model=os.fspath(model),
            engine=engine,
            precision=precision,
            device=device,
            threads=threads,
            tile=tile,
            downsample=downsample,
        )
        self.card: Card = load_card(self.options.model)
        self.precision = self._precision()
        graphs = graphs_for(self.card, "float32" if self.precision == BFLOAT16 else self.precision)
        threads = self.options.threads or available()
        # Side by side, as engines compile graphs without holding Python up.
        loading = [
            begun(partial(self._load, graphs[part], threads, part))
            for part in ("global", "local", "image")
            if part in graphs
        ]
        engines = [loaded() for loaded in loading]
        self._model = Model(self.card, engines[0] if len(engines) > 1 else None, engines[-1])
        if not is_shipped(self.options.model):
            try_model(self._model, engines)
        self._pool = ThreadPoolExecutor(threads)
        self._process = os.getpid()

    def _precision(self) -> str:
        """The one that is computed in."""
        if self.options.precision != "auto":
            return self.options.precision
        on_processor = self.options.device == "cpu" or "cuda" not in available_devices()
        fast = on_processor and has_precision(self.card, "int8") and is_fast_at_int8()
        return "int8" if fast else "float32"

    def _load(self, file_name: str, threads: int, part: str) -> Engine:
        graph = load_graph(self.options.model, self.card, file_name)
        chosen = self.options
        # What decides the brightness of every pixel costs next to nothing.
        shortened = self.precision == BFLOAT16 and part != "global"
        return load_engine(chosen.engine, graph, device=chosen.device, threads=threads, bfloat16=shortened)

    def __reduce__(self) -> tuple[Any, ...]:
        model = self.options.model
        card = model if is_shipped(model) else os.path.abspath(model)  # noqa: PTH100 - links stay as they are
        return load_enhancer, (replace(self.options, model=card),)

    @overload
    def enhance(self, photo: str | os.PathLike[str], **controls: Unpack[ControlKeywords]) -> Photo: ...
    @overload
    def enhance(self, photo: Image, **controls: Unpack[ControlKeywords]) -> Image: ...

    def enhance(self, photo: Any, **controls: Unpack[ControlKeywords]) -> Any:
        """Enhance a photo; the result has the same size, depth and type.

        Args:
            photo: a file, whose result is a `Photo`; a `Photo`; sRGB pixels H x W x 3, with alpha H x W x 4,
                or grey H x W, as uint8 or uint16 over their whole range, or as floats in [0, 1] (computed in
                16 bits; a little beyond is clipped); or a Pillow image of mode L, RGB or RGBA.
            controls: the fields of `Controls`. Where the strength is 0, given or found by `auto`, the photo
                itself is returned.

        Raises:
            UsageError: an option out of range, something that is not an image, or a process that was forked
                after this was loaded.
            InputTooLarge: more than memory holds.
            OutOfResources: no more threads can be started.
            RelumeError: what `read_photo` refuses.
        """
        chosen = Controls(**controls)
        with naming_exhaustion():
            given: Any = read_photo(os.fspath(photo)) if isinstance(photo, str | os.PathLike) else photo
            before, back = as_photo(given)
            after = self._enhance(before, chosen)
            return given if after is before else back(after)

    def _check_process(self) -> None:
        """Raise where a fork has left the threads behind, for which everything would wait without end."""
        if os.getpid() != self._process:
            raise UsageError(
                "this Enhancer was loaded before the process was forked, which leaves its threads behind",
                "Load one in each process, or start processes by the method 'spawn'.",
            )

    def _enhance(self, photo: Photo, controls: Controls) -> Photo:
        return self.render(photo, self.decide(photo, controls))

    def decide(
        self,
        photo: Photo,
        controls: Controls = _AS_BY_DEFAULT,
        downsample: Downsample | None = None,
        *,
        framed: bool = True,
    ) -> Look:
        """Find out what a photo needs, without doing it; see `relume.look.decide`.

        Args:
            downsample: another factor than that of the enhancer.
            framed: whether to look for a frame around the photo, which then has no say.

        Raises:
            InputTooLarge: more than memory holds.
        """
        self._check_process()
        with naming_exhaustion():
            factor = downsample or self.options.downsample
            return decide(photo, self._model, controls, factor, framed=framed)

    def render(self, photo: Photo, look: Look) -> Photo:
        """Carry out a look that this enhancer decided on; see `relume.look.render`.

        Raises:
            InputTooLarge: more than memory holds.
        """
        self._check_process()
        with naming_exhaustion():
            return render(photo, self._model, look, self._pool, tile=self.options.tile)


def load_enhancer(options: EnhanceOptions) -> Enhancer:
    """An `Enhancer` as options ask for; their controls are for `Enhancer.enhance`.

    Raises:
        RelumeError: as `Enhancer`.
    """
    return Enhancer(
        options.model,
        engine=options.engine,
        precision=options.precision,
        device=options.device,
        threads=options.threads,
        tile=options.tile,
        downsample=options.downsample,
    )


@overload
def enhance(image: str | os.PathLike[str], **options: Unpack[EnhanceKeywords]) -> Photo: ...
@overload
def enhance(image: Image, **options: Unpack[EnhanceKeywords]) -> Image: ...


def enhance(image: Any, **options: Unpack[EnhanceKeywords]) -> Any:
    """Enhance one image; for many, keep an `Enhancer`.

    >>> import relume
    >>> photo = relume.enhance("night.jpg", strength=0.8)
    >>> photo.width, photo.height, photo.bits, photo.format
    (32, 24, 8, 'jpeg')

    Args:
        image: as for `Enhancer.enhance`.
        options: the fields of `EnhanceOptions`.

    Returns:
        A `Photo` for a file or a `Photo`; otherwise the same kind as `image`.

    Raises:
        RelumeError: what reading, the model or the options refuse.
    """
    fields: dict[str, Any] = {**options, "model": os.fspath(options.get("model", DEFAULT_MODEL))}
    chosen = EnhanceOptions(**fields)
    return load_enhancer(chosen).enhance(image, **asdict(chosen.controls))


def _show_keywords(function: Any, options: type) -> None:
    """Let `help` and editors see the fields of a dataclass as keywords of a function, defaults and all."""
    own = inspect.signature(function)
    kept = [each for each in own.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    named = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for each in inspect.signature(options).parameters.values()
    ]
    function.__signature__ = own.replace(parameters=[*kept, *named])


_show_keywords(enhance, EnhanceOptions)
_show_keywords(Enhancer.enhance, Controls)
