"""The layout that an entry expects of parameters, model state and batches, laid over a framework's backend."""

from __future__ import annotations

from typing import Any

from harness.compat.conventions import NONE, Conventions
from harness.frameworks import TrialBackend, load
from harness.spec import Framework


def backend_for(framework: Framework, conventions: Conventions) -> TrialBackend:
    """The framework's backend, with what the entry expects on top; a composition gets the plain one."""
    if conventions == NONE:
        return load(framework)
    if framework == "torch":
        from harness.compat.torch_backend import EntryTorchBackend

        return EntryTorchBackend()
    if conventions.jax_era == "pmap":
        from harness.compat.pmap_backend import PmapBackend

        return PmapBackend()
    if conventions.shardings:
        from harness.compat.jit_backend import JitBackend

        return JitBackend()
    return load(framework)


def dropout_arguments(conventions: Conventions, hyperparameters: Any) -> dict[str, Any]:
    """Arguments of ``init_model_fn``: the point's ``dropout_rate``, for an entry that never passes it on itself."""
    if conventions.own_dropout or not hasattr(hyperparameters, "dropout_rate"):
        return {}
    return {"dropout_rate": hyperparameters.dropout_rate}
