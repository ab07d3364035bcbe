"""What a submission's function returned, as the tuple that it should be, or an error that says what it is instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.entry import InvalidSubmissionError

_NAMES: Mapping[int, tuple[str, ...]] = {
    2: ("model_params", "model_state"),
    3: ("optimizer_state", "current_param_container", "model_state"),
}


def unpacked(
    function: str, result: Any, size: int, container: int, is_container: Callable[[Any], bool]
) -> tuple[Any, ...]:
    """The result as a tuple of ``size``, of which the value at ``container`` is a parameter container.

    Raises:
      InvalidSubmissionError: it is something else.
    """
    names = _NAMES[size]
    if not isinstance(result, tuple | list) or len(result) != size:
        found = f"{len(result)} values" if isinstance(result, tuple | list) else type(result).__name__
        raise InvalidSubmissionError(f"{function} returned {found}; return ({', '.join(names)})")
    if not is_container(result[container]):
        raise InvalidSubmissionError(
            f"{function} returned {type(result[container]).__name__} as {names[container]}; "
            "return a parameter container of the same kind and structure as the one it was given"
        )
    return tuple(result)
