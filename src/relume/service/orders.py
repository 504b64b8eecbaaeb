"""What a request asks for, from the one options of relume; and as it goes to a worker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

from relume.models import list_models
from relume.options import EnhanceOptions, Saving, Told
from relume.photo.formats import FORMATS
from relume.service.options import OF_A_PHOTO

_SHARE = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_FORMATS = tuple(
    dict.fromkeys(name.lstrip(".") for one in FORMATS.values() for name in (one.name, *one.suffixes))
)

_RANGES: dict[str, Any] = {
    "model": Literal[tuple(list_models())],
    "downsample": Annotated[int, Field(ge=1, le=4)] | Literal["auto"],
    "format": Literal[("", *_FORMATS)],
    "quality": Annotated[int, Field(ge=1, le=100)],
}
"""Types of options that say more than their fields in the dataclasses."""


def _schema(name: str, kind: Any) -> Any:
    """The type of an option with its range; None is not among its values, but that it is not given."""
    kinds = (part for part in get_args(kind) or (kind,) if part is not NoneType)
    parts = tuple(_SHARE if part is float else part for part in kinds)
    return _RANGES.get(name) or Union[parts]  # noqa: UP007 - known only here


def _without_null(schema: dict[str, Any]) -> None:
    if schema.get("default", "") is None:
        del schema["default"]


def _asked() -> type[BaseModel]:
    """The options of a request: those of `EnhanceOptions` and `Saving` that strangers may choose."""
    told: dict[str, Any] = {}
    for options in (EnhanceOptions, Saving):
        types = get_type_hints(options)
        for each in fields(options):
            if options is EnhanceOptions and each.name not in OF_A_PHOTO:
                continue
            about: Told = each.metadata["told"]
            kind = _schema(each.name, types[each.name])
            default = None if each.name == "model" else each.default  # that of the service
            field = Field(default=default, description=about.help, json_schema_extra=_without_null)
            told[each.name] = (kind, field)
    return create_model("Options", __config__=ConfigDict(extra="forbid"), **told)


if TYPE_CHECKING:

    class Asked(BaseModel):
        """Its fields are known only when it is made."""

else:
    Asked = _asked()


@dataclass(frozen=True)
class Order:
    """What a worker is to do with a photo.

    Attributes:
        enhance: the fields of `EnhanceOptions` that were asked for.
        saving: how the result is saved; None asks for the look alone.
    """

    enhance: Mapping[str, Any]
    saving: Saving | None

    @staticmethod
    def of(asked: Mapping[str, Any], *, look_only: bool) -> Order:
        """An order from the fields of `Asked` that were given.

        Raises:
            UsageError: a value out of range.
        """
        chosen = {name: value for name, value in asked.items() if name in OF_A_PHOTO}
        EnhanceOptions(**chosen)
        saving = Saving(**{name: value for name, value in asked.items() if name not in chosen})
        return Order(chosen, None if look_only else saving)

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @staticmethod
    def from_bytes(said: bytes) -> Order:
        table = json.loads(said)
        saving = table["saving"]
        return Order(table["enhance"], None if saving is None else Saving(**saving))
