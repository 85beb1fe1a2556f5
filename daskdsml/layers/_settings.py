"""What all layers are: frozen dataclasses of settings, shown as one would type them."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from typing import Any, dataclass_transform


def from_weights() -> Any:
    """The field of a number that may be left out where weights are given."""
    return field(default=0, metadata={"by_place": True})


@dataclass_transform(frozen_default=True, field_specifiers=(field, from_weights))
def layer(cls):
    """A frozen dataclass whose repr leaves out settings at their defaults."""
    made: Any = dataclass(frozen=True, repr=False)(cls)
    made.__repr__ = _typed
    return made


def _typed(self) -> str:
    told = []
    for setting in sorted(fields(self), key=lambda setting: bool(setting.kw_only)):
        value = getattr(self, setting.name)
        if setting.default is MISSING or setting.metadata.get("by_place"):
            told.append(repr(value))
        elif value != setting.default:
            told.append(f"{setting.name}={value!r}")
    return f"{type(self).__name__}({', '.join(told)})"
