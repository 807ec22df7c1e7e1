"""One file per paper. A new file in this folder is a new method: nothing else has to know of it."""

from __future__ import annotations

import importlib
import pkgutil

from limbeck.errors import ConfigError, nearest
from limbeck.methods.base import REGISTRY, Bank, Method

__all__ = ["Bank", "Method", "method_class", "methods"]


def methods() -> dict[str, type[Method]]:
    """Every method by name."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return dict(sorted(REGISTRY.items()))


def method_class(name: str) -> type[Method]:
    """The method called ``name``. Raises ConfigError with the nearest name."""
    known = methods()
    if name not in known:
        raise ConfigError(f"unknown method {name!r}", hint=nearest(name, known))
    return known[name]
