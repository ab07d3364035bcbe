"""What a record tells of an exception that ended a trial."""

from __future__ import annotations

import re
import traceback
from typing import TYPE_CHECKING, Any

from results.record import StopReason

if TYPE_CHECKING:
    from harness.task import TrialTask

TRACEBACK_LINES = 30
TOLD_CHARACTERS = 1000
"""Of what an entry says: a record is no place to keep data in."""
_ADVICE = (
    (
        r"derivative for aten::_scaled_dot_product\w+_backward is not implemented",
        "torch's fast attention has no second derivative: put `with torch.nn.attention.sdpa_kernel("
        "torch.nn.attention.SDPBackend.MATH):` around workload.model_fn",
    ),
    (
        r"derivative for aten::\w*ctc_loss\w* is not implemented",
        "torch's CTC loss has no second derivative: where loss_type is CTC_LOSS, estimate curvature from gradients "
        "alone (their squares, as Gauss-Newton-Bartlett and an empirical Fisher do, or differences of gradients)",
    ),
)
"""What is known of errors whose text does not say how to mend them."""
_OUT_OF_MEMORY_SIGNS = ("out of memory", "can't allocate memory", "cannot allocate memory", "resource_exhausted")


def advice(error: BaseException) -> str:
    """How to mend what raised an exception; empty where nothing is known of it."""
    return next((known for pattern, known in _ADVICE if re.search(pattern, str(error))), "")


def describe_failure(error: BaseException, task: TrialTask) -> dict[str, Any]:
    """Stop reason, one line and the traceback's end for an exception that ended a trial.

    Args:
      error: the exception.
      task: the trial; the line names the innermost place in its entry's own files.
    """
    from harness.compat.sources import place_in
    from harness.entry import InvalidSubmissionError

    lines = "".join(traceback.format_exception(error)).splitlines()
    text = str(error).strip().partition("\n")[0][:TOLD_CHARACTERS]
    if isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _OUT_OF_MEMORY_SIGNS):
        reason = StopReason.OUT_OF_MEMORY
    elif isinstance(error, InvalidSubmissionError):
        reason = StopReason.INVALID_SUBMISSION
    else:
        reason = StopReason.CRASHED
    detail = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if reason is StopReason.CRASHED:
        known = f"; {advice(error)}" if advice(error) else ""
        hints = _missing_hyperparameters(error, task) + _confined(error, task) + known
        detail += place_in(task.entry.path, error) + hints
    return {"stop_reason": reason, "stop_detail": detail, "traceback": "\n".join(lines[-TRACEBACK_LINES:])}


def _confined(error: BaseException, task: TrialTask) -> str:
    if not isinstance(error, PermissionError) or task.folder is None:
        return ""
    return (
        "; a trial may write into its own temporary folder and nowhere else, and has no network, shared memory or "
        "processes of its own (docs/harness.md, isolation)"
    )


def _missing_hyperparameters(error: BaseException, task: TrialTask) -> str:
    asks_none = isinstance(error, AttributeError) and error.obj is None and error.name is not None
    if not asks_none or task.spec.hyperparameters is not None:
        return ""
    return (
        "; the self-tuning ruleset gives an entry in code hyperparameters=None: put the values into the source, or run "
        "it with --ruleset external and a search space"
    )
