"""Layer outputs of functional models, for initializers that look at them."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

from harness.interface import Tensor

_captured: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar("captured", default=None)


def record_layer(kernel_name: str, output: Tensor) -> None:
    """Called by functional (jax) layers with their output before the activation; kept only inside capture_layers."""
    captured = _captured.get()
    if captured is not None:
        captured[kernel_name] = output


def is_capturing() -> bool:
    """Whether ``record_layer`` keeps anything; for outputs that are computed to be recorded only."""
    return _captured.get() is not None


@contextlib.contextmanager
def capture_layers() -> Iterator[dict[str, Any]]:
    """Collects what ``record_layer`` is told, by the kernel's declared name, in the order of the forward pass."""
    outputs: dict[str, Any] = {}
    token = _captured.set(outputs)
    try:
        yield outputs
    finally:
        _captured.reset(token)
