"""Plain models, one file per workload, as one would write them for this task alone.

``TorchModel(workload)`` is a module from a batch to the mean loss. ``jax_model(workload)`` gives ``init(key, batch) ->
(params, state)`` and ``loss(params, state, batch, key) -> (mean loss, state)``; ``state`` is None without running
statistics. Both have exactly as many parameters as the workload's own model.
"""
