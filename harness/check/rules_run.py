"""Rules that are seen when an entry runs; :mod:`harness.check.probe` looks for them."""

from __future__ import annotations

from harness.check.findings import declare

declare(
    "run",
    {
        "crashes": (
            "error",
            "runs on every type of loss",
            "mend it; `timetrial check PATH --loss NAME` tries one type of loss alone",
        ),
        "hangs": ("error", "goes on", "see where it stands; every call must come back"),
        "memory": ("error", "needs memory in proportion to the parameters", "look for what grows from step to step"),
        "returns": (
            "error",
            "returns what the contract says",
            "return (optimizer_state, current_param_container, model_state) from update_params and prepare_for_eval",
        ),
        "batch-size": (
            "warning",
            "has batches that are smaller than the training set",
            "give a size for that workload, or raise ValueError in get_batch_size to get the workload's own",
        ),
        "diverges": (
            "error",
            "stays finite for some steps on every type of loss",
            "look at the first step that is not finite; a smaller learning rate or a gradient clip may be enough",
        ),
        "does-not-train": ("warning", "changes the parameters", "see that update_params applies its update"),
        "compile-time": (
            "warning",
            "compiles in a small share of the time that it has",
            "compile fewer and smaller functions (one for all parameters of a shape, say), or none",
        ),
        "not-reproducible": (
            "error",
            "gives the same parameters for the same seed",
            "draw all random numbers from rng, and keep no state between trials",
        ),
        "ignores-seed": (
            "error",
            "gives other random numbers for another seed",
            "pass the rng of update_params on to model_fn, and seed nothing with a constant",
        ),
        "checkpoint": (
            "error",
            "goes on from a checkpoint as if nothing had happened",
            "keep everything that later steps depend on in optimizer_state, as arrays or with a state_dict",
        ),
        "changes-workload": (
            "error",
            "leaves the workload as it is",
            "copy what you want to change, or keep it in optimizer_state",
        ),
        "changes-batch": ("error", "leaves batches as they are", "make a new batch: {**batch, 'inputs': ...}"),
        "changes-data": ("error", "leaves the training data as it is", "work on copies"),
        "changes-model": (
            "error",
            "leaves the model as it is: names, shapes and types of its parameters, settings of its modules",
            "change values of parameters only; keep other copies in optimizer_state",
        ),
    },
)
