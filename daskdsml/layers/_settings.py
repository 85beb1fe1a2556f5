"""What all layers are: frozen dataclasses of settings, shown as one would type them."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import Any, dataclass_transform


@dataclass_transform(frozen_default=True)
def layer(cls):
    """A frozen dataclass whose repr leaves out settings at their defaults."""
    made: Any = dataclass(frozen=True, repr=False)(cls)
    made.__repr__ = _typed
    return made


def _typed(self) -> str:
    told = []
    for field in fields(self):
        value = getattr(self, field.name)
        if field.default is MISSING:
            told.append(repr(value))
        elif value != field.default:
            told.append(f"{field.name}={value!r}")
    return f"{type(self).__name__}({', '.join(told)})"
