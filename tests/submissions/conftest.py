"""What the tests of submissions share: a convex problem in both frameworks, and short runs of an entry on mnist."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import frameworks
from harness.config import load_document
from harness.data import InputQueue
from harness.entry import entries_folder
from harness.seeds import key_words
from harness.spec import Parameter, ParameterType, Workload
from harness.workloads import make_workload
from workloads.init_laws import zeros

PARAMETERS = (
    Parameter("Embed_0.embedding", (5, 8), ParameterType.EMBEDDING, zeros),
    Parameter("Attention_0.query.kernel", (8, 2, 3), ParameterType.ATTENTION_Q, zeros),
    Parameter("Attention_0.out.kernel", (2, 3, 8), ParameterType.ATTENTION_OUT, zeros),
    Parameter("Dense_0.kernel", (8, 6), ParameterType.WEIGHT, zeros),
    Parameter("Dense_0.bias", (6,), ParameterType.BIAS, zeros),
    Parameter("LayerNorm_0.scale", (6,), ParameterType.LAYER_NORM_SCALE, zeros),
    Parameter("Dense_1.kernel", (6, 4), ParameterType.WEIGHT, zeros, is_output=True),
)
"""One parameter of each kind that an optimizer may treat in its own way; torch holds them as declared here."""


@dataclasses.dataclass(frozen=True)
class Quadratic:
    """``sum of curvature (x - goal)^2 / 2`` over PARAMETERS, from ``start``."""

    start: Mapping[str, np.ndarray]
    goal: Mapping[str, np.ndarray]
    curvature: Mapping[str, np.ndarray]

    @classmethod
    def random(cls, seed: int) -> Quadratic:
        rng = np.random.RandomState(seed)

        def draw(low: float, high: float) -> dict[str, np.ndarray]:
            return {p.name: rng.uniform(low, high, p.shape).astype(np.float32) for p in PARAMETERS}

        return cls(draw(-2, 2), draw(-2, 2), draw(0.5, 2))

    def loss(self, values: Mapping[str, np.ndarray]) -> float:
        return float(sum((c * (values[n] - self.goal[n]) ** 2).sum() / 2 for n, c in self.curvature.items()))

    def run_torch(self, module: Any, settings: Mapping[str, Any], rates: list[float], state: Any = None) -> Any:
        """(final values, the optimizer); ``state`` is a state_dict to start from."""
        import torch

        tensors = {n: torch.tensor(v, requires_grad=True) for n, v in self.start.items()}
        optimizer = module.torch([(p, tensors[p.name]) for p in PARAMETERS], **settings)
        if state is not None:
            optimizer.load_state_dict(state)
        goal, curvature = ({n: torch.tensor(v) for n, v in d.items()} for d in (self.goal, self.curvature))
        for rate in rates:
            for group in optimizer.param_groups:
                group["lr"] = rate
            getattr(module, "torch_train", lambda _: None)(optimizer)
            optimizer.zero_grad()
            sum((c * (tensors[n] - goal[n]) ** 2).sum() / 2 for n, c in curvature.items()).backward()
            optimizer.step()
        getattr(module, "torch_eval", lambda _: None)(optimizer)
        return {n: t.detach().numpy().copy() for n, t in tensors.items()}, optimizer

    def run_jax(self, module: Any, settings: Mapping[str, Any], rates: list[float]) -> Mapping[str, np.ndarray]:
        import jax
        import jax.numpy as jnp
        import optax

        table = jnp.asarray(rates)
        optimizer = module.jax(
            {p.name: p for p in PARAMETERS}, **{**settings, "learning_rate": lambda count: table[count]}
        )

        def loss(values: Any) -> Any:
            return sum((c * (values[n] - self.goal[n]) ** 2).sum() / 2 for n, c in self.curvature.items())

        @jax.jit
        def step(values: Any, state: Any) -> Any:
            updates, state = optimizer.update(jax.grad(loss)(values), state, values)
            return optax.apply_updates(values, updates), state

        values = {n: jnp.asarray(v) for n, v in self.start.items()}
        state = optimizer.init(values)
        for _ in rates:
            values, state = step(values, state)
        values = getattr(module, "jax_eval", lambda _, unchanged: unchanged)(state, values)
        return {n: np.asarray(v) for n, v in values.items()}


@pytest.fixture(scope="session")
def parameters() -> tuple[Parameter, ...]:
    return PARAMETERS


@pytest.fixture(scope="session")
def quadratic() -> Quadratic:
    return Quadratic.random(0)


@functools.cache
def bound_mnist(framework: Any) -> Workload:
    return make_workload("mnist", step_hint=40).bind(frameworks.load(framework))


@pytest.fixture(scope="session")
def mnist() -> Callable[[str], Workload]:
    """The mnist workload with a step hint of 40, bound to a framework."""
    return bound_mnist


def composition_data(name: str) -> dict[str, Any]:
    return dict(load_document(entries_folder() / f"{name}.yaml").data)


@pytest.fixture(scope="session")
def entry_data() -> Callable[[str], dict[str, Any]]:
    """The YAML of a ready composition."""
    return composition_data


@dataclasses.dataclass
class Run:
    """What a short run left behind."""

    losses: list[float]
    params: Any
    optimizer_state: Any
    values: Mapping[str, np.ndarray]


def run_functions(
    functions: Any, framework: Any, steps: int, hyperparameters: Any = None, evaluate_every: int | None = None
) -> Run:
    """Trains on mnist as the trial's loop does; ``losses`` are of one fixed batch before each step."""
    from harness.spec import ForwardPassMode

    backend, workload = frameworks.load(framework), bound_mnist(framework)

    def key(stream: int) -> Any:
        return backend.random_key(key_words(7, stream))

    backend.seed_everything(7)
    queue = input_queue(framework)
    probe = next(input_queue(framework))
    params, model_state = workload.init_model_fn(key(1000))
    if hasattr(functions, "init_model_params"):
        params, model_state = functions.init_model_params(
            workload, params, model_state, hyperparameters, queue, key(1001)
        )
    state = functions.init_optimizer_state(workload, params, model_state, hyperparameters, key(1002))
    losses = []
    for step in range(steps):
        if evaluate_every and step % evaluate_every == 0 and hasattr(functions, "prepare_for_eval"):
            state, params, model_state = functions.prepare_for_eval(
                workload, params, None, model_state, hyperparameters, workload.loss_type, state, [], step, key(step)
            )
        if not evaluate_every:
            logits, _ = workload.model_fn(params, probe, model_state, ForwardPassMode.EVAL, key(step), False)
            loss = workload.loss_fn(probe["targets"], logits)
            losses.append(float(loss["summed"]) / float(loss["n_valid_examples"]))
        batch = functions.data_selection(workload, queue, state, params, model_state, hyperparameters, step, key(step))
        state, params, model_state = functions.update_params(
            workload=workload,
            current_param_container=params,
            current_params_types=workload.model_params_types,
            model_state=model_state,
            hyperparameters=hyperparameters,
            batch=batch,
            loss_type=workload.loss_type,
            optimizer_state=state,
            eval_results=[],
            global_step=step,
            rng=key(step),
        )
    return Run(losses, params, state, workload.export_parameters(params))


def input_queue(framework: Any) -> Iterator[Any]:
    train = bound_mnist(framework).load_split("train")
    return InputQueue(train, 64, 3, frameworks.load(framework).to_framework)


@pytest.fixture(scope="session")
def run() -> Callable[..., Run]:
    """Runs an entry's functions on mnist for a number of steps."""
    return run_functions


@pytest.fixture(scope="session")
def queue() -> Callable[[str], Iterator[Any]]:
    """A fresh queue of mnist's training batches, the same ones every time and in both frameworks."""
    return input_queue


@pytest.fixture(scope="session")
def template_folder() -> Callable[[str], Path]:
    return lambda framework: entries_folder() / f"template_{framework}"
