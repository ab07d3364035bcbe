"""What the tests of submissions share: a convex problem in both frameworks, and short runs of an entry on mnist."""

from __future__ import annotations

import dataclasses
import functools
import pickle
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
from harness.spec import LossType, Parameter, ParameterType, Workload
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

    def astype(self, dtype: Any) -> Quadratic:
        return Quadratic(*({n: v.astype(dtype) for n, v in d.items()} for d in dataclasses.astuple(self)))

    @property
    def dtype(self) -> Any:
        return next(iter(self.start.values())).dtype

    def run_torch(
        self,
        module: Any,
        settings: Mapping[str, Any],
        rates: list[float],
        state: Any = None,
        saved_at: int | None = None,
    ) -> Any:
        """(final values, the optimizer); ``state`` is a state_dict to start from.

        Before step ``saved_at``, tensors and optimizer are pickled and read back.
        """
        import torch

        from harness.frameworks.torch import from_torch_layout, to_torch_layout

        def tensors_of(values: Mapping[str, np.ndarray]) -> dict[str, Any]:
            return {p.name: torch.tensor(np.ascontiguousarray(to_torch_layout(p, values[p.name]))) for p in PARAMETERS}

        tensors = {n: t.requires_grad_() for n, t in tensors_of(self.start).items()}
        optimizer = module.torch([(p, tensors[p.name]) for p in PARAMETERS], **settings)
        if state is not None:
            optimizer.load_state_dict(state)
        goal, curvature = tensors_of(self.goal), tensors_of(self.curvature)
        for i, rate in enumerate(rates):
            if i == saved_at:
                tensors, optimizer = pickle.loads(pickle.dumps((tensors, optimizer)))
            for group in optimizer.param_groups:
                group["lr"] = rate
            getattr(module, "torch_train", lambda _: None)(optimizer)

            def evaluate(optimizer: Any = optimizer, tensors: Any = tensors) -> Any:
                optimizer.zero_grad()
                loss = sum((c * (tensors[n] - goal[n]) ** 2).sum() / 2 for n, c in curvature.items())
                loss.backward()
                return loss

            given = {"loss": ("loss", evaluate().detach()), "gradient": ("closure", torch.enable_grad()(evaluate))}
            optimizer.step(**dict(given[need] for need in getattr(module, "NEEDS", ())))
        getattr(module, "torch_eval", lambda _: None)(optimizer)
        values = {p.name: from_torch_layout(p, tensors[p.name].detach().numpy()).copy() for p in PARAMETERS}
        return values, optimizer

    def run_jax(
        self, module: Any, settings: Mapping[str, Any], rates: list[float], saved_at: int | None = None
    ) -> Mapping[str, np.ndarray]:
        """Final values; before step ``saved_at``, values and state are written and read back."""
        import jax
        import jax.numpy as jnp

        with jax.enable_x64(self.dtype == np.float64):
            init, step = jax_steps(module.__name__, tuple((k, v) for k, v in settings.items() if k != "learning_rate"))
            table = jnp.asarray(np.pad(np.asarray(rates, self.dtype), (0, LONGEST - len(rates))))
            values, goal, curvature = (
                {n: jnp.asarray(v) for n, v in d.items()} for d in (self.start, self.goal, self.curvature)
            )
            state = init(values, table)
            for i in range(len(rates)):
                if i == saved_at:
                    leaves, structure = jax.tree.flatten((values, state))
                    leaves = pickle.loads(pickle.dumps([np.asarray(leaf) for leaf in leaves]))
                    values, state = jax.tree.unflatten(structure, leaves)
                values, state = step(values, state, table, goal, curvature)
            values = getattr(module, "jax_eval", lambda _, unchanged: unchanged)(state, values)
            return {n: np.asarray(v) for n, v in values.items()}

    def state_size_torch(self, module: Any, settings: Mapping[str, Any]) -> int:
        """Number of values in the arrays that an optimizer holds after a step."""
        import torch

        _, optimizer = self.run_torch(module, settings, [settings["learning_rate"]])

        def count(held: Any) -> int:
            if isinstance(held, torch.Tensor):
                return held.numel() if held.numel() > 1 else 0
            inner = held.values() if isinstance(held, Mapping) else held if isinstance(held, list | tuple) else ()
            return sum(map(count, inner))

        return count(optimizer.state_dict())

    def state_size_jax(self, module: Any, settings: Mapping[str, Any]) -> int:
        import jax

        declared = {p.name: p for p in PARAMETERS}
        optimizer = module.jax(declared, **settings)
        leaves = jax.tree.leaves(jax.eval_shape(optimizer.init, dict(self.start)))
        return sum(leaf.size for leaf in leaves if leaf.size > 1)


LONGEST = 64
"""Most steps of a run in jax: a table of learning rates always has this length, so that a step is compiled once."""


@functools.cache
def jax_steps(module_name: str, settings: tuple[tuple[str, Any], ...]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """``init(values, table)`` and the compiled ``step(values, state, table, goal, curvature)`` on a Quadratic."""
    import importlib

    import jax
    import optax

    module = importlib.import_module(module_name)
    needs = getattr(module, "NEEDS", ())

    def built(table: Any) -> Any:
        declared = {p.name: p for p in PARAMETERS}
        return module.jax(declared, learning_rate=lambda count: table[count], **dict(settings))

    def step(values: Any, state: Any, table: Any, goal: Any, curvature: Any) -> Any:
        def loss(values: Any) -> Any:
            return sum((c * (values[n] - goal[n]) ** 2).sum() / 2 for n, c in curvature.items())

        value, gradients = jax.value_and_grad(loss)(values)
        given = {"loss": ("value", value), "gradient": ("grad_fn", lambda values, *_: jax.grad(loss)(values))}
        updates, state = built(table).update(gradients, state, values, **dict(given[need] for need in needs))
        return optax.apply_updates(values, updates), state

    return lambda values, table: built(table).init(values), jax.jit(step)


CLASSES, INPUTS, EXAMPLES, LENGTH = 4, 6, 12, 5


def train_linear_model(loss_type: LossType, module: Any, settings: Mapping[str, Any], steps: int = 12) -> list[float]:
    """Mean losses before each step and at the end of a linear model in torch on one batch of random numbers."""
    import torch

    rng = np.random.RandomState(0)
    inputs = torch.tensor(rng.standard_normal((EXAMPLES, LENGTH, INPUTS)), dtype=torch.float32)
    if loss_type is not LossType.CTC_LOSS:
        inputs = inputs[:, 0]
    labels = {
        LossType.SOFTMAX_CROSS_ENTROPY: torch.tensor(rng.randint(0, CLASSES, EXAMPLES)),
        LossType.SIGMOID_CROSS_ENTROPY: torch.tensor(rng.randint(0, 2, (EXAMPLES, CLASSES)), dtype=torch.float32),
        LossType.CTC_LOSS: torch.tensor(rng.randint(1, CLASSES, (EXAMPLES, 2))),
    }.get(loss_type, torch.tensor(rng.standard_normal((EXAMPLES, CLASSES)), dtype=torch.float32))
    if loss_type is LossType.CTC_LOSS:
        labels = (labels, torch.zeros(labels.shape))
    kernel = Parameter("Dense_0.kernel", (INPUTS, CLASSES), ParameterType.WEIGHT, zeros)
    bias = Parameter("Dense_0.bias", (CLASSES,), ParameterType.BIAS, zeros)
    layer = torch.nn.Linear(INPUTS, CLASSES)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(rng.uniform(-0.5, 0.5, (CLASSES, INPUTS))))
        layer.bias.zero_()
    optimizer = module.torch([(kernel, layer.weight), (bias, layer.bias)], **settings)
    losses = []

    def evaluate() -> Any:
        optimizer.zero_grad()
        found = frameworks.load("torch").loss(loss_type, labels, layer(inputs), None, 0.0)
        loss = found["summed"] / found["n_valid_examples"]
        loss.backward()
        return loss

    getattr(module, "torch_train", lambda _: None)(optimizer)
    for _ in range(steps):
        loss = evaluate()
        losses.append(float(loss.detach()))
        given = {"loss": ("loss", loss.detach()), "gradient": ("closure", torch.enable_grad()(evaluate))}
        optimizer.step(**dict(given[need] for need in getattr(module, "NEEDS", ())))
    getattr(module, "torch_eval", lambda _: None)(optimizer)
    return [*losses, float(evaluate().detach())]


@pytest.fixture(scope="session")
def loss_problem() -> Callable[..., list[float]]:
    """Trains a linear model in torch with a loss of the given type."""
    return train_linear_model


@pytest.fixture(scope="session")
def parameters() -> tuple[Parameter, ...]:
    return PARAMETERS


@pytest.fixture(scope="session")
def quadratic() -> Quadratic:
    return Quadratic.random(0)


STEP_HINT = 40


@functools.cache
def bound_mnist(framework: Any, step_hint: int = STEP_HINT) -> Workload:
    return make_workload("mnist", step_hint=step_hint).bind(frameworks.load(framework))


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
    """Trains on mnist as the trial's loop does; ``losses`` are of one fixed batch before each step. A run of more steps
    than the usual hint is half of one with a longer hint."""
    from harness.spec import ForwardPassMode

    hint = STEP_HINT if steps <= STEP_HINT else 2 * steps
    backend, workload = frameworks.load(framework), bound_mnist(framework, hint)

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
