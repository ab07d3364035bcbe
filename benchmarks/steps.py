"""Training steps of the mini workloads' models against plain ones, written by hand as one would without timetrial.

    python benchmarks/steps.py [--workload mnist] [--framework torch] [--rounds 9] [--seconds 0.5]

``benchmarks/plain/<workload>.py`` holds the plain model in both frameworks; a workload is measured as soon as it has
one. Both sides take the same batches, of the mini batch size, and the same AdamW; forward pass, loss, gradient and
update are timed, in process CPU time of one thread, in short stretches that take turns. The ratio is below 1 where
timetrial's step is the faster one.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.frameworks import set_thread_environment

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a script, it finds its neighbours

from benchmarks.interleaving import Comparison, Stretch, compare, pin_to_one_core

LEARNING_RATE, WEIGHT_DECAY = 1e-3, 0.1
BATCHES = 4
"""Different batches that are trained on in turn; they are made beforehand."""
ROUNDS, SECONDS = 9, 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", action="append", choices=plain_names(), help="Repeatable. Default: all.")
    parser.add_argument("--framework", choices=["torch", "jax"])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="Length of a stretch.")
    parser.add_argument("--inner", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inner:
        found = measure(options.workload[0], options.framework, options.rounds, options.seconds)
        print(json.dumps(dataclasses.asdict(found)))
        return
    set_thread_environment(1)
    print("| workload | framework | steps per CPU second | plain | CPU time of a step, ours / plain (quartiles) |")
    print("|---|---|---|---|---|")
    for name in options.workload or plain_names():
        for framework in [options.framework] if options.framework else ["torch", "jax"]:
            command = [sys.executable, __file__, "--inner", "--workload", name, "--framework", framework]
            command += ["--rounds", str(options.rounds), "--seconds", str(options.seconds)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            print(row(name, framework, Comparison(**json.loads(done.stdout))), flush=True)


def row(name: str, framework: str, found: Comparison) -> str:
    ours, plain = 1 / found.first_sec, 1 / found.second_sec
    return f"| {name} | {framework} | {ours:.4g} | {plain:.4g} | {found.ratio:.2f} ({found.low:.2f}-{found.high:.2f}) |"


def plain_names() -> list[str]:
    """Workloads that have a plain counterpart."""
    return sorted(path.stem for path in (Path(__file__).parent / "plain").glob("[a-z]*.py"))


def measure(name: str, framework: str, rounds: int, seconds: float) -> Comparison:
    """CPU seconds per step, timetrial's first."""
    pin_to_one_core()
    workload = bound(name, framework)
    batches = mini_batches(workload)
    ours, plain = (make(workload, batches) for make in STEPS[framework])
    for stretch in (ours, plain):
        stretch(3)  # compiled before a step's length is estimated
    started = time.process_time()
    ours(3)
    steps = max(1, round(3 * seconds / (time.process_time() - started)))
    return compare(ours, plain, rounds=rounds, steps=steps, clock=time.process_time)


def bound(name: str, framework: str) -> Any:
    from harness.frameworks import load
    from harness.workloads import make_workload

    return make_workload(name).bind(load(framework))  # type: ignore[arg-type]


def mini_batches(workload: Any, count: int = BATCHES) -> list[Mapping[str, Any]]:
    """Augmented, collated training batches on the host."""
    arrays, size = workload.load_split("train"), workload.base_settings.batch_size
    found = []
    for number in range(count):
        batch = {name: array[np.arange(number * size, (number + 1) * size)] for name, array in arrays.items()}
        augmented = workload.augment(batch, np.random.RandomState(number)) if workload.augments else batch
        found.append(workload.collate(augmented))
    return found


def plain_module(name: str) -> Any:
    return importlib.import_module(f"benchmarks.plain.{name}")


def torch_stretch(model: Any, loss_of: Any, batches: list[Any]) -> Stretch:
    import torch

    torch.set_num_threads(1)
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)
    endless = itertools.cycle(batches)

    def stretch(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            loss_of(next(endless)).backward()
            optimizer.step()

    return stretch


def our_torch(workload: Any, batches: list[Any]) -> Stretch:
    from harness.spec import ForwardPassMode

    model, state = workload.init_model_fn(np.array([0, 1], np.uint32))

    def loss_of(batch: Any) -> Any:
        logits, _ = workload.model_fn(model, batch, state, ForwardPassMode.TRAIN, None, True)
        loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
        return loss["summed"] / loss["n_valid_examples"]

    return torch_stretch(model, loss_of, [workload._bound.to_framework(batch) for batch in batches])


def plain_torch(workload: Any, batches: list[Any]) -> Stretch:
    model = plain_module(workload.name).TorchModel(workload)
    model.train()
    return torch_stretch(model, model, [workload._bound.to_framework(batch) for batch in batches])


def jax_stretch(params: Any, state: Any, loss_of: Any, batches: list[Any]) -> Stretch:
    """``loss_of(params, state, batch, key)`` gives the loss and the new model state."""
    import jax
    import optax

    tx = optax.adamw(LEARNING_RATE, weight_decay=WEIGHT_DECAY)

    def update(params: Any, state: Any, optimizer: Any, batch: Any, key: Any) -> tuple[Any, Any, Any]:
        gradient, state = jax.grad(loss_of, has_aux=True)(params, state, batch, key)
        updates, optimizer = tx.update(gradient, optimizer, params)
        return optax.apply_updates(params, updates), state, optimizer

    step = jax.jit(update, donate_argnums=(0, 1, 2))
    held = [params, state, tx.init(params)]
    endless, numbers = itertools.cycle(batches), itertools.count()

    def stretch(steps: int) -> None:
        for _ in range(steps):
            held[:] = step(*held, next(endless), np.array([0, next(numbers)], np.uint32))
        jax.block_until_ready(held)

    return stretch


def our_jax(workload: Any, batches: list[Any]) -> Stretch:
    from harness.spec import ForwardPassMode

    def loss_of(params: Any, state: Any, batch: Any, key: Any) -> tuple[Any, Any]:
        logits, state = workload.model_fn(params, batch, state, ForwardPassMode.TRAIN, key, True)
        loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
        return loss["summed"] / loss["n_valid_examples"], state

    params, state = workload.init_model_fn(np.array([0, 1], np.uint32))
    return jax_stretch(params, state, loss_of, [workload._bound.to_framework(batch) for batch in batches])


def plain_jax(workload: Any, batches: list[Any]) -> Stretch:
    import jax

    on_device = [workload._bound.to_framework(batch) for batch in batches]
    init, loss_of = plain_module(workload.name).jax_model(workload)
    return jax_stretch(*init(jax.random.key(0), on_device[0]), loss_of, on_device)


STEPS = {"torch": (our_torch, plain_torch), "jax": (our_jax, plain_jax)}

if __name__ == "__main__":
    main()
