"""Attributes and modules set for a while, and put back."""

from __future__ import annotations

import contextlib
import sys
import warnings
from types import ModuleType
from typing import Any

_ABSENT: Any = object()


def has(owner: Any, name: str) -> bool:
    """Whether an attribute is there; a module may warn or raise for one that it has dropped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            getattr(owner, name)
        except Exception:
            return False
    return True


class Patches(contextlib.ExitStack):
    """Undoes everything that was set, in reverse order, when closed."""

    def set(self, owner: Any, name: str, value: Any) -> None:
        before = vars(owner).get(name, _ABSENT)
        setattr(owner, name, value)
        self.callback(delattr, owner, name) if before is _ABSENT else self.callback(setattr, owner, name, before)

    def add(self, owner: Any, name: str, value: Any) -> None:
        """Sets an attribute that is not there."""
        if not has(owner, name):
            self.set(owner, name, value)

    def module(self, name: str, attributes: dict[str, Any]) -> None:
        """Adds a module that is not there."""
        if name not in sys.modules:
            module = ModuleType(name)
            vars(module).update(attributes)
            sys.modules[name] = module
            self.callback(sys.modules.pop, name, None)
