"""Options of networks and methods: signatures name them, and they are checked before anything is built."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, TypeAlias, get_type_hints

from pydantic import ConfigDict, Field, ValidationError, create_model

from relume.errors import RelumeError, UsageError

Positive: TypeAlias = Annotated[int, Field(gt=0)]
Count: TypeAlias = Annotated[int, Field(ge=0)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
NotNegative: TypeAlias = Annotated[float, Field(ge=0)]
Widths: TypeAlias = Annotated[tuple[Positive, ...], Field(min_length=1)]
"""Channels per level."""

_STRICT_KEYS = ConfigDict(extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)


def checked_options(
    component: Callable[..., object],
    options: Mapping[str, Any],
    what: str,
    given: Collection[str] = (),
    error: type[RelumeError] = UsageError,
) -> dict[str, Any]:
    """The options of a component, with the types that its signature names.

    Args:
        component: a class whose `__init__` has a type for each option.
        options: by name, as recipes hold them.
        what: what to call the options in errors.
        given: parameters that are no options.
        error: what to raise.

    Raises:
        RelumeError: an option that the component does not have, or a value of another type.
    """
    function: Any = component.__init__ if inspect.isclass(component) else component
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {
        name: (hints[name], ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in inspect.signature(component).parameters.items()
        if name not in given
    }
    try:
        found = create_model("Options", __config__=_STRICT_KEYS, **fields)(**options)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if "[" not in str(part))
        reason = f"{what} have no '{where}'" if first["type"] == "extra_forbidden" else ""
        raise error(
            reason or f"{what}: '{where}': {first['msg'].removeprefix('Value error, ').lower()}",
            f"They are: {', '.join(fields)}.",
        ) from wrong
    return {name: getattr(found, name) for name in fields}
