"""A model for darktable: a bundle that its preferences import, and a script for its `darktable.ai`.

darktable 5.6 finds models as folders of `config.json` and ONNX graphs, which a `.dtmodel` file packs: a ZIP
archive whose only folder has the model's id for its name. A script loads graphs from it by their names, and
gets photos from the pipeline as planar float32, 1 x 3 x H x W; it can cut pieces out of them and put them
together again. Its own slot for denoising shows a model tiles alone, whose surroundings of 64 pixels are
narrower than this one looks, and never the whole photo; the bundle is for none of the slots.

`Darktable` runs the very script with what it asks of darktable, so that what it makes can be compared.

References: `src/lua/ai.c` and `src/common/ai_models.c` of github.com/darktable-org/darktable, and
`examples/ai_denoise.lua` of github.com/darktable-org/lua-scripts.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from relume.arrays import EightBits, Floats
from relume.colour import to_linear, to_srgb
from relume.lab.graphs import decision_graph, default_controls, tile_graph
from relume.models import Card
from relume.models.engines import OnnxEngine
from relume.version import __version__

TILE = 1024
"""Side of a tile that the script keeps, in pixels."""

_SAME_DATE = (1980, 1, 1, 0, 0, 0)
_SCRIPT = Path(__file__).with_suffix(".lua")


def bundle(card: Card, parts: Mapping[str, bytes]) -> bytes:
    """The `.dtmodel` of a model of two passes.

    Args:
        card: the model's card.
        parts: its graphs, `global` and `local`.
    """
    config = {
        "id": model_id(card),
        "name": f"relume {card.name}",
        "description": card.summary,
        "task": "general",
        "backend": "onnx",
        "version": __version__,
        "num_inputs": 2,
    }
    files = {
        "config.json": json.dumps(config, indent=2).encode() + b"\n",
        "global.onnx": decision_graph(parts, card.thumbnail_size or 0, card.margin),
        "local.onnx": tile_graph(parts, card.margin),
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, held in files.items():
            archive.writestr(zipfile.ZipInfo(f"{model_id(card)}/{name}", _SAME_DATE), held)
    return content.getvalue()


def model_id(card: Card) -> str:
    """What darktable calls the model."""
    return f"relume-{card.name}".lower()


def script(card: Card, tile: int = TILE) -> str:
    """The script for the bundle of a model.

    Args:
        card: the model's card.
        tile: side of a tile; a multiple of the card's `size_multiple`.
    """
    facts: dict[str, Any] = {
        "id": model_id(card),
        "name": f"relume {card.name}",
        "halo": card.halo or 0,
        "tile": tile,
        **default_controls(),
    }
    text = _SCRIPT.read_text()
    for name, fact in facts.items():
        text = text.replace(f"@{name}@", str(fact))
    return text


class Darktable:
    """What a script finds as `require "darktable"`, as far as this one asks; see `relume.lab.darktable.lua`.

    Arrays, their limits and their conversions are those of darktable 5.6.

    Args:
        content: the bundle.
        text: the script.
    """

    def __init__(self, content: bytes, text: str) -> None:
        import lupa.lua54

        interpreter: Any = lupa.lua54
        self._lua = interpreter.LuaRuntime(unpack_returned_tuples=True, register_eval=False)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            self._files = {name: archive.read(name) for name in archive.namelist()}
        self.messages: list[str] = []
        self._photo, self._filename = np.zeros((1, 1, 3), np.uint8), ""
        self._saved: Floats | None = None
        self.widgets: list[Any] = []
        self._lua.globals().package.loaded["darktable"] = self._module()
        self._lua.execute(text)

    def enhance(self, pixels_HWC: EightBits, filename: str = "photo.jpg") -> EightBits | None:
        """What the script saves of a photo in 8 bits, sRGB-encoded; None where it saves nothing."""
        self._photo, self._filename, self._saved = pixels_HWC, filename, None
        [button] = [each for each in self.widgets if each["clicked_callback"]]
        button["clicked_callback"]()
        if self._saved is None:
            return None
        tensor = Tensor(self._saved.copy(), self._lua)
        tensor.linear_to_srgb()
        return np.rint(255 * tensor.array[0].transpose(1, 2, 0).clip(0, 1)).astype(np.uint8)

    def _module(self) -> Any:
        ai = {
            "load_model": self._load_model,
            "create_tensor": lambda shape: Tensor(np.zeros([*shape.values()], np.float32), self._lua),
            "load_image": self._load_image,
        }
        gui = {
            "selection": self._selection,
            "create_job": lambda *_: self._table(valid=True, percent=0.0),
            "views": self._table(lighttable="lighttable"),
        }
        return self._table(
            ai=self._table(**ai),
            gui=self._table(**gui),
            database=self._table(**{"import": lambda _: None}),
            print=self.messages.append,
            register_lib=lambda *_: None,
            new_widget=lambda _: self._widget,
        )

    def _table(self, **fields: Any) -> Any:
        return self._lua.table_from(fields)

    def _widget(self, told: Any) -> Any:
        self.widgets.append(told)
        return told

    def _selection(self) -> Any:
        return self._lua.table_from([self._table(filename=self._filename, path="/nowhere", save=self._save)])

    def _load_image(self, _: object) -> Tensor:
        encoded = self._photo.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255)
        tensor = Tensor(encoded, self._lua)
        tensor.srgb_to_linear()
        return tensor

    def _save(self, array: Floats) -> None:
        self._saved = array

    def _load_model(self, model: str, _: object, file: str) -> Session:
        return Session(self._files[f"{model}/{file}"], self._lua)


class Tensor:
    """An array of a script.

    Args:
        array: float32, of 1 to 8 dimensions.
        lua: the script's interpreter.
    """

    def __init__(self, array: Floats, lua: Any) -> None:
        if array.dtype != np.float32 or not 1 <= array.ndim <= 8:
            raise ValueError(f"darktable has no tensors of {array.ndim} dimensions, {array.dtype}")
        self.array, self._lua = array, lua

    def shape(self) -> Any:
        """Its sides."""
        return self._lua.table_from(self.array.shape)

    def get(self, where: Any) -> float:
        """One value."""
        return float(self.array[*where.values()])

    def set(self, where: Any, value: float) -> None:
        """Replace one value."""
        self.array[*where.values()] = value

    def crop(self, y: int, x: int, height: int, width: int) -> Tensor:
        """A copy of part of it."""
        return Tensor(self.array[..., *self._inside(y, x, height, width)].copy(), self._lua)

    def paste(self, source: Tensor, y: int, x: int) -> None:
        """Put another one into it."""
        self.array[..., *self._inside(y, x, *source.array.shape[-2:])] = source.array

    def linear_to_srgb(self) -> None:
        """sRGB's curve."""
        self.array[:] = to_srgb(self.array.clip(0))

    def srgb_to_linear(self) -> None:
        """The inverse of sRGB's curve."""
        self.array[:] = to_linear(self.array.clip(0))

    def save_tiff(self, _: str, bits: int, image: Any) -> None:
        """Hand it to what keeps the result."""
        assert bits in (16, 32)  # noqa: S101 - darktable takes no others
        image["save"](self.array)

    def _inside(self, y: int, x: int, height: int, width: int) -> tuple[slice, slice]:
        rows, columns = self.array.shape[-2:]
        if min(y, x) < 0 or min(height, width) <= 0 or y + height > rows or x + width > columns:
            raise ValueError(f"{(y, x, height, width)} is beyond {(rows, columns)}")
        return slice(y, y + height), slice(x, x + width)


class Session:
    """A graph of a script, which takes its inputs in their order.

    Args:
        graph: the graph.
        lua: the script's interpreter.
    """

    def __init__(self, graph: bytes, lua: Any) -> None:
        model = onnx.load_from_string(graph).graph
        self._engine, self._lua = OnnxEngine(graph, device="cpu"), lua
        self._inputs = [each.name for each in model.input]
        self._outputs = [each.name for each in model.output]

    def run(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The outputs in their order."""
        given = {name: each.array for name, each in zip(self._inputs, tensors, strict=True)}
        found = self._engine.run(**given)
        return tuple(Tensor(found[name], self._lua) for name in self._outputs)

    def close(self) -> None:
        """Nothing is left open."""
