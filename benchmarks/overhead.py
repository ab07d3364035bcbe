"""Harness overhead per step: the training loop against a bare loop with the same model, optimizer and data.

    python benchmarks/overhead.py [--workload finewebedu_lm] [--rounds 12] [--steps 20]

For each framework one process, pinned to one core, alternates short stretches of both loops and compares their medians,
so that a drifting machine cannot decide. Prints a table and exits with 1 when a ratio is above the limit.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.frameworks import set_thread_environment

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a script, it finds its neighbours

from benchmarks import interleaving
from benchmarks.interleaving import pin_to_one_core

LIMIT = 1.02
LEARNING_RATE = 1e-3
COMPOSITION = {
    "name": "overhead",
    "framework": "both",
    "optimizer": {"name": "adamw", "learning_rate": LEARNING_RATE, "weight_decay": 0.1},
    "schedule": "constant",
    "defaults": {},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", default="finewebedu_lm")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--framework", choices=["torch", "jax"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.framework:
        print(json.dumps(compare(options.framework, options.workload, options.rounds, options.steps)))
        return
    set_thread_environment(1)
    worst = 0.0
    print(f"{'workload':16} {'framework':9} {'bare ms':>9} {'harness ms':>10} {'ratio':>7}")
    for framework in ("torch", "jax"):
        command = [sys.executable, __file__, "--framework", framework, "--workload", options.workload]
        command += ["--rounds", str(options.rounds), "--steps", str(options.steps)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        worst = max(worst, found["ratio"])
        bare, harness = 1e3 * found["bare_sec"], 1e3 * found["harness_sec"]
        print(f"{options.workload:16} {framework:9} {bare:9.2f} {harness:10.2f} {found['ratio']:7.3f}")
    if worst > LIMIT:
        sys.exit(f"overhead above {LIMIT - 1:.0%}")


def compare(framework: str, workload_name: str, rounds: int, steps: int) -> Mapping[str, float]:
    """Median seconds per step of both loops, and the median of their ratios round by round."""
    pin_to_one_core()
    bare, harness = BARE[framework](workload_name), harness_stretch(framework, workload_name)
    found = interleaving.compare(harness, bare, rounds=rounds, steps=steps, clock=time.perf_counter)
    return {"bare_sec": found.second_sec, "harness_sec": found.first_sec, "ratio": found.ratio}


def harness_stretch(framework: str, workload_name: str) -> Callable[[int], None]:
    """The harness's own loop, without a target and with evaluations out of reach."""
    import dataclasses
    import tempfile
    from pathlib import Path

    import yaml

    from harness.clock import Clock
    from harness.entry import find_entry, load_functions
    from harness.frameworks import load
    from harness.plan import plan_trials
    from harness.suite import Request
    from harness.trial import TrainingLoop
    from harness.workloads import make_workload

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "overhead.yaml"
        path.write_text(yaml.safe_dump(COMPOSITION))
        request = Request((workload_name,), ((str(path), framework),), "self_tuning", 1, 1, budget_sec=1e9)
        task = plan_trials(request)[0].task
        functions = load_functions(find_entry(str(path)), framework, defaults=True)
    spec = dataclasses.replace(task.spec, eval_period_steps=10**9, validation_target=None)
    backend = load(framework)
    backend.set_threads(1)
    workload = make_workload(workload_name).bind(backend)
    messages: list[Any] = []
    loop = TrainingLoop(
        dataclasses.replace(task, spec=spec), lambda *m: messages.append(m), Clock(), backend, workload, functions
    )
    loop.initialise()

    def stretch(steps: int) -> None:
        for _ in range(steps):
            loop.advance()
        backend.synchronize(loop.params, loop.optimizer_state)

    return stretch


def bare_torch(workload_name: str) -> Callable[[int], None]:
    import torch
    from torch.nn import functional as F

    from harness.frameworks import load
    from harness.workloads import make_workload

    torch.set_num_threads(1)
    workload = make_workload(workload_name).bind(load("torch"))
    model, _ = workload.init_model_fn([0, 1])
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=0.1, fused=True)
    batches = numpy_batches(workload)

    def stretch(steps: int) -> None:
        for _ in range(steps):
            batch = {name: torch.from_numpy(array) for name, array in next(batches).items()}
            batch = {name: t if t.is_floating_point() else t.long() for name, t in batch.items()}
            optimizer.zero_grad(set_to_none=True)
            logits = model(batch, 0.0)
            targets = batch["targets"]
            if logits.shape == targets.shape or targets.is_floating_point():
                loss = F.binary_cross_entropy_with_logits(logits.reshape(targets.shape), targets)
            else:
                loss = F.cross_entropy(logits.flatten(0, -2), targets.flatten())
            loss.backward()
            optimizer.step()

    return stretch


def bare_jax(workload_name: str) -> Callable[[int], None]:
    import importlib

    import jax
    import jax.numpy as jnp
    import optax

    from harness.frameworks import load
    from harness.workloads import make_workload

    workload = make_workload(workload_name).bind(load("jax"))
    apply = importlib.import_module(f"workloads.{workload.name}.model_jax").apply
    params, _ = workload.init_model_fn([0, 1])
    tx = optax.adamw(LEARNING_RATE, weight_decay=0.1)
    key = jnp.zeros(2, jnp.uint32)
    settings = {"train": True, "rng": key, "dropout_rate": 0.0, "update_batch_norm": True}

    def loss_of(params: Any, batch: Any) -> Any:
        logits, _ = apply(workload.model_config, params, None, batch, **settings)
        targets = batch["targets"]
        if jnp.issubdtype(targets.dtype, jnp.floating):
            return optax.sigmoid_binary_cross_entropy(logits.reshape(targets.shape), targets).mean()
        return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()

    def update(params: Any, state: Any, batch: Any) -> tuple[Any, Any]:
        updates, state = tx.update(jax.grad(loss_of)(params, batch), state, params)
        return optax.apply_updates(params, updates), state

    step = jax.jit(update, donate_argnums=(0, 1))
    held = [params, tx.init(params)]
    batches = numpy_batches(workload)

    def stretch(steps: int) -> None:
        for _ in range(steps):
            held[:] = step(held[0], held[1], {name: jnp.asarray(array) for name, array in next(batches).items()})
        jax.block_until_ready(held)

    return stretch


def numpy_batches(workload: Any) -> Any:
    """The same shuffled batches as a plain generator."""
    from harness.data import shuffled_indices

    arrays = workload.load_split("train")
    for index in shuffled_indices(len(arrays["targets"]), workload.base_settings.batch_size, 0):
        yield workload.collate({name: array[index] for name, array in arrays.items()})


BARE = {"torch": bare_torch, "jax": bare_jax}

if __name__ == "__main__":
    main()
