"""Graphs as arrays, what the generated molecules are, and mean average precision."""

from __future__ import annotations

import dataclasses
import functools

import jax
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.sparse.csgraph import connected_components, shortest_path
from sklearn.metrics import average_precision_score

from harness.data import InputQueue, evaluation_batches
from harness.frameworks import load
from harness.spec import FRAMEWORKS, EvalBatch, ForwardPassMode
from workloads.ogbg import molecules
from workloads.ogbg.generator import generate
from workloads.ogbg.graphs import PADDING, Ragged, collate
from workloads.ogbg.labels import Structure, answers
from workloads.ogbg.metric import average_precision, mean_average_precision
from workloads.ogbg.workload import WORKLOAD

KEY = np.array([0, 7], np.uint32)
NODES, EDGES = 19, 40


@pytest.fixture(scope="module")
def splits():
    return generate(WORKLOAD.settings["mini"].data, {"train": 1_500, "validation": 400, "test": 400})


@pytest.fixture(scope="module")
def stored(splits):
    return {name: array for name, array in splits["train"].items() if name != "groups"}


def picked(arrays, index):
    return {name: array[index] for name, array in arrays.items()}


# ---- graphs as arrays ----


def test_a_collated_batch_holds_every_atom_and_every_bond_both_ways(stored):
    index = np.array([5, 2, 9, 5])
    batch = collate(picked(stored, index), 24, 54)
    assert len(batch["inputs"]) == 4 * 24 + 1 and len(batch["edges"]) == 4 * 54
    assert set(batch) == {"inputs", "edges", "senders", "receivers", "graph_of_node", "graph_of_edge", "targets",
                          "weights"}  # fmt: skip
    for graph, example in enumerate(index):
        atoms = stored["inputs"][example]
        mine = batch["graph_of_node"] == graph
        np.testing.assert_array_equal(batch["inputs"][mine], atoms[atoms[:, 0] != PADDING])
        first = int(np.argmax(mine))
        bonds = stored["bonds"][example]
        expected = {(a, b, *kind) for a, b, *kind in bonds[bonds[:, 0] != PADDING].tolist()}
        expected |= {(b, a, *kind) for a, b, *kind in expected}
        of_graph = batch["graph_of_edge"] == graph
        found = np.column_stack([batch["senders"] - first, batch["receivers"] - first, batch["edges"]])[of_graph]
        assert len(found) == len(expected) and {tuple(row) for row in found.astype(int).tolist()} == expected


def test_padding_is_a_graph_of_its_own(stored):
    batch = collate(picked(stored, np.arange(6)), NODES, EDGES)
    last = len(batch["inputs"]) - 1
    padding = batch["graph_of_edge"] == 6
    assert batch["graph_of_node"][last] == 6 and padding.any()
    assert (batch["senders"][padding] == last).all() and (batch["receivers"][padding] == last).all()
    ends = batch["graph_of_node"][np.stack([batch["senders"], batch["receivers"]])]
    np.testing.assert_array_equal(ends, np.broadcast_to(batch["graph_of_edge"], ends.shape))


def test_batches_have_one_shape_and_grow_only_where_the_graphs_do_not_fit(stored):
    queue = InputQueue(stored, 64, 1, lambda batch: collate(batch, NODES, EDGES))
    assert len({(len(batch["inputs"]), len(batch["edges"])) for batch, _ in zip(queue, range(60), strict=False)}) == 1
    sizes = (stored["inputs"][:, :, 0] != PADDING).sum(axis=1)
    largest = np.argsort(sizes)[-64:]
    batch = collate(picked(stored, largest), NODES, EDGES)
    assert (batch["graph_of_node"] < 64).sum() == sizes[largest].sum() > 64 * NODES
    assert batch["graph_of_node"][-1] == 64
    single = collate(picked(stored, largest[-1:]), 1, 1)
    assert (single["graph_of_node"] == 0).sum() == sizes[largest[-1]] and single["graph_of_node"][-1] == 1


def test_the_queue_and_the_evaluation_pad_and_index_graphs_as_they_do_other_examples(stored):
    queue = InputQueue(stored, 8, 3, lambda batch: collate(batch, NODES, EDGES))
    batch = next(queue)
    np.testing.assert_array_equal(batch["targets"], stored["targets"][batch["index"]])
    few = picked(stored, slice(0, 10))
    collated = [collate(batch, NODES, EDGES) for batch in evaluation_batches(few, 4)]
    assert [batch["targets"].shape for batch in collated] == [(4, 16)] * 3
    assert sum(batch["weights"].sum() for batch in collated) == few["weights"].sum()


@given(st.lists(st.integers(0, 6), min_size=1, max_size=8), st.data())
def test_ragged_examples_are_what_was_put_in(lengths, data):
    rows = np.arange(2 * sum(lengths), dtype=np.int16).reshape(-1, 2)
    parts = np.split(rows, np.cumsum(lengths)[:-1])
    ragged = Ragged.of(rows, np.array(lengths))
    assert len(ragged) == len(lengths)
    index = np.array(data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=5)))
    padded = ragged[index]
    assert padded.shape == (len(index), max(lengths[i] for i in index), 2)
    for row, i in zip(padded, index, strict=True):
        np.testing.assert_array_equal(row[: lengths[i]], parts[i])
        assert (row[lengths[i] :] == PADDING).all()
    stop = data.draw(st.integers(0, len(lengths)))
    assert len(ragged[:stop]) == stop
    np.testing.assert_array_equal(ragged[:stop].rows, rows[: sum(lengths[:stop])])


def test_ragged_and_padded_examples_collate_to_the_same_batch(stored):
    def ragged(array):
        real = array[:, :, 0] != PADDING
        return Ragged.of(array[real], real.sum(axis=1))

    packed = {**stored, "inputs": ragged(stored["inputs"]), "bonds": ragged(stored["bonds"])}
    index = np.array([3, 1, 40, 7])
    expected, found = (collate(picked(arrays, index), NODES, EDGES) for arrays in (stored, packed))
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


# ---- the model ----


@functools.cache
def fresh(framework):
    workload = WORKLOAD().bind(load(framework))
    return workload, *workload.init_model_fn(KEY)


def logits_of(framework, batch):
    workload, params, state = fresh(framework)
    (evaluated,) = workload._bound.evaluated(workload, params, state, [batch])
    return evaluated.fetch_logits()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_molecule_has_the_same_logits_alone_and_among_others_whatever_the_padding(framework, stored):
    together = logits_of(framework, collate(picked(stored, np.arange(5)), NODES, EDGES))
    alone = np.concatenate([logits_of(framework, collate(picked(stored, [i]), 30, 70)) for i in range(5)])
    assert together.shape == (5, 16)
    np.testing.assert_allclose(together, alone, atol=2e-5)


def test_the_logits_do_not_depend_on_the_order_of_the_atoms(stored):
    one = picked(stored, np.array([4]))
    count = int((one["inputs"][0, :, 0] != PADDING).sum())
    order = np.random.RandomState(0).permutation(count)
    place = np.append(np.argsort(order), PADDING)
    shuffled = {**one, "inputs": one["inputs"].copy(), "bonds": one["bonds"].copy()}
    shuffled["inputs"][0, :count] = one["inputs"][0, order]
    shuffled["bonds"][0, :, :2] = np.where(one["bonds"][0, :, :2] >= 0, place[one["bonds"][0, :, :2]], PADDING)
    found = logits_of("torch", collate(shuffled, NODES, EDGES))
    np.testing.assert_allclose(found, logits_of("torch", collate(one, NODES, EDGES)), atol=1e-5)


def test_dropout_acts_in_training_only_and_its_rate_may_be_traced(stored):
    batch = collate(picked(stored, np.arange(5)), NODES, EDGES)
    workload, params, state = fresh("jax")
    assert workload.dropout_rate == 0.1

    @jax.jit
    def trained(rate):
        return workload.model_fn(params, batch, state, ForwardPassMode.TRAIN, jax.random.key(1), True, rate)[0]

    plain = logits_of("jax", batch)
    np.testing.assert_allclose(trained(0.0), plain, atol=1e-5)
    assert np.abs(np.asarray(trained(0.5) - plain)).max() > 0.1

    workload, params, state = fresh("torch")
    tensors = workload._bound.to_framework(batch)

    def logits(mode, rate):
        return workload.model_fn(params, tensors, state, mode, KEY, True, rate)[0]

    plain = logits(ForwardPassMode.EVAL, 0.5)
    assert torch.equal(logits(ForwardPassMode.TRAIN, 0.0), plain)
    assert not torch.equal(logits(ForwardPassMode.TRAIN, 0.5), plain)
    assert not torch.equal(logits(ForwardPassMode.TRAIN, None), plain)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_full_scale_model_trains_on_molecules(framework, stored):
    workload = WORKLOAD("base", "full").bind(load(framework))
    params, state = workload.init_model_fn(KEY)
    answers = np.tile(stored["targets"][:4], 8)
    batch = {**picked(stored, np.arange(4)), "targets": answers, "weights": np.ones_like(answers)}
    tensors = workload._bound.to_framework(workload.collate(batch))

    def loss_of(params):
        logits, _ = workload.model_fn(params, tensors, state, ForwardPassMode.TRAIN, KEY, True, 0.0)
        loss = workload.loss_fn(tensors["targets"], logits, tensors["weights"])
        return loss["summed"] / loss["n_valid_examples"]

    if framework == "torch":
        before = loss_of(params)
        before.backward()
        torch.optim.SGD(params.parameters(), 0.1).step()
        after = loss_of(params).item()
    else:
        loss_and_slopes = jax.jit(jax.value_and_grad(loss_of))
        before, slopes = loss_and_slopes(params)
        after, _ = loss_and_slopes(jax.tree.map(lambda value, slope: value - 0.1 * slope, params, slopes))
    assert after < before < 5


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_missing_answers_do_not_enter_the_loss(framework, stored):
    workload = WORKLOAD().bind(load(framework))
    batch = picked(stored, np.arange(6))
    logits = np.random.RandomState(0).standard_normal(batch["targets"].shape).astype(np.float32)
    other = np.where(batch["weights"] > 0, batch["targets"], 1 - batch["targets"])
    losses = []
    for targets in (batch["targets"], other):
        placed = workload._bound.to_framework({"t": targets, "l": logits, "w": batch["weights"]})
        losses.append(workload.loss_fn(placed["t"], placed["l"], placed["w"]))
    assert float(losses[0]["summed"]) == float(losses[1]["summed"])
    assert float(losses[0]["n_valid_examples"]) == batch["weights"].sum() < batch["weights"].size
    assert tuple(losses[0]["per_example"].shape) == (6, 16)


# ---- metric ----


@given(st.integers(1, 40).flatmap(lambda n: st.tuples(
    arrays.arrays(np.int64, n, elements=st.integers(0, 1)), arrays.arrays(np.int64, n, elements=st.integers(-3, 3))
)).filter(lambda case: case[0].any()))  # fmt: skip
def test_average_precision_is_scikit_learns_with_ties(case):
    labels, scores = case
    assert average_precision(labels, scores.astype(np.float32)) == pytest.approx(
        average_precision_score(labels, scores), abs=1e-12
    )


def test_mean_average_precision_is_scikit_learns_over_the_known_entries_of_tasks_with_both_labels():
    random = np.random.RandomState(0)
    labels, scores = (random.random_sample((300, 6)) < 0.2).astype(np.float32), random.standard_normal((300, 6))
    known = (random.random_sample((300, 6)) < 0.6).astype(np.float32)
    labels[:, 2], labels[:, 4] = 0, np.where(known[:, 4] > 0, 1, 0)
    rows = known > 0
    expected = [average_precision_score(labels[rows[:, i], i], scores[rows[:, i], i]) for i in (0, 1, 3, 5)]
    assert mean_average_precision(labels, scores, known) == pytest.approx(np.mean(expected), abs=1e-12)


def test_a_network_that_has_diverged_or_a_split_without_both_labels_has_no_score():
    labels, known = np.array([[1.0], [0.0], [0.0]]), np.array([[1.0], [1.0], [0.0]])
    assert np.isnan(mean_average_precision(labels, np.array([[np.nan], [0.0], [0.0]]), known))
    assert mean_average_precision(labels, np.array([[1.0], [0.0], [np.nan]]), known) == 1.0
    assert mean_average_precision(labels, np.array([[-np.inf], [-np.inf], [0.0]]), known) == 0.5
    assert np.isnan(mean_average_precision(np.zeros((3, 1)), np.zeros((3, 1)), known))


def test_evaluation_joins_batches_and_leaves_padding_and_missing_answers_out():
    def batch(logits, targets, weights, loss, n_valid):
        arrays = {"targets": np.array(targets, np.float32), "weights": np.array(weights, np.float32)}
        return EvalBatch(arrays, loss, n_valid, lambda: np.array(logits, np.float32))

    first = batch([[2.0, 0.0], [1.0, 5.0]], [[1, 0], [0, 1]], [[1, 1], [1, 0]], 1.5, 3)
    padded = batch([[3.0, 1.0], [9.0, 9.0]], [[0, 1], [0, 0]], [[1, 1], [0, 0]], 0.5, 2)
    # The first task orders 0, 1, 0 (average precision 1/2); the second, without its missing entry, 1, 0 (1).
    assert WORKLOAD().evaluate([first, padded]) == {
        "mean_average_precision": pytest.approx(0.75), "loss": pytest.approx(0.4)
    }  # fmt: skip


# ---- generated molecules ----


def atoms_and_bonds(split, i):
    atoms, bonds = split["inputs"][i], split["bonds"][i]
    return atoms[atoms[:, 0] != PADDING], bonds[bonds[:, 0] != PADDING]


def matrix(count, bonds):
    joined = np.zeros((count, count))
    joined[bonds[:, 0], bonds[:, 1]] = 1
    return joined


def test_molecules_are_connected_and_keep_the_limits_of_valence(splits):
    order = {molecules.SINGLE: 1, molecules.DOUBLE: 2, molecules.TRIPLE: 3}
    for i in range(300):
        atoms, bonds = atoms_and_bonds(splits["train"], i)
        joined = matrix(len(atoms), bonds)
        assert connected_components(joined, directed=False)[0] == 1
        np.testing.assert_array_equal((joined + joined.T).sum(axis=0), atoms[:, 2])
        for atom, (element, *_, charge, hydrogens, _, _, aromatic, _) in enumerate(atoms):
            if not aromatic:
                used = sum(order[kind] for a, b, kind, *_ in bonds if atom in (a, b))
                assert used + hydrogens == molecules.VALENCE[element] + charge - molecules.NEUTRAL
        assert (bonds[:, 2] == molecules.AROMATIC).sum() >= 5 * (atoms[:, 7].sum() >= 5)
        assert (atoms[:, 8] >= atoms[:, 7]).all(), "aromatic atoms are in a ring"


def test_molecules_have_the_declared_size_and_fit_the_usual_batch(splits):
    data = WORKLOAD.settings["mini"].data
    expected = (("inputs", data["nodes_per_graph"], (15, 19)), ("bonds", data["edges_per_graph"], (16, 20)))
    for array, per_graph, bounds in expected:
        counts = (splits["train"][array][:, :, 0] != PADDING).sum(axis=1)
        assert bounds[0] < counts.mean() < bounds[1] and counts.min() >= 8
        directed = counts if array == "inputs" else 2 * counts
        assert 64 * directed.mean() + 4 * 8 * directed.std() < 64 * per_graph


def test_validation_has_other_scaffolds_than_training(splits):
    """A scaffold is what is left when atoms with one neighbour are taken away again and again (Bemis & Murcko 1996)."""

    def scaffolds(split, rows):
        found = []
        for i in rows:
            atoms, bonds = atoms_and_bonds(split, i)
            joined = matrix(len(atoms), bonds)
            joined += joined.T
            while (joined.sum(axis=0) == 1).any():
                joined[joined.sum(axis=0) == 1] = 0
                joined = np.minimum(joined, joined.T)
            kind = [tuple(atom) for atom in atoms[:, [0, 6, 7]]]
            kept = np.flatnonzero(joined.sum(axis=0))
            found.append(
                tuple(sorted((kind[a], tuple(sorted(kind[b] for b in np.flatnonzero(joined[a])))) for a in kept))
            )
        return found

    known = set(scaffolds(splits["train"], range(1_100)))
    again = np.mean([scaffold in known for scaffold in scaffolds(splits["train"], range(1_100, 1_500))])
    new = np.mean([scaffold in known for scaffold in scaffolds(splits["validation"], range(400))])
    assert new < 0.5 * again
    groups = splits["train"]["groups"]
    assert len(np.unique(groups)) > 100 and len(groups) == len(splits["train"]["targets"])


def test_answers_are_rare_missing_and_wrong_as_often_as_declared(splits):
    data = WORKLOAD.settings["mini"].data
    weights, targets = splits["train"]["weights"], splits["train"]["targets"]
    assert weights.mean() == pytest.approx(1 - data["missing"], abs=0.01)
    assert (targets[weights == 0] == 0).all()
    true = answers(Structure(splits["train"]["inputs"], splits["train"]["bonds"]))
    assert (true != targets)[weights > 0].mean() == pytest.approx(data["wrong"], abs=0.003)
    shares = true.mean(axis=0)
    assert shares.min() > 0.03 and shares.max() < 0.4 and shares.max() > 4 * shares.min()


def test_questions_are_answered_as_by_walking_through_the_molecule(splits):
    """Some of the questions, by other means: paths by scipy, groups by lists of neighbours."""
    train = splits["train"]
    found = answers(Structure(train["inputs"][:300], train["bonds"][:300]))
    carbon, nitrogen, oxygen = molecules.CARBON, molecules.NITROGEN, molecules.OXYGEN
    halogens = (molecules.FLUORINE, molecules.CHLORINE, molecules.BROMINE)
    for i in range(300):
        atoms, bonds = atoms_and_bonds(train, i)
        path = shortest_path(matrix(len(atoms), bonds), directed=False, unweighted=True)
        element = atoms[:, 0]
        beside = {atom: [] for atom in range(len(atoms))}
        for a, b, kind, *_ in bonds:
            beside[a].append((b, kind))
            beside[b].append((a, kind))

        def near(first, second, low, high, path=path):
            return any(low <= path[a, b] <= high for a in first for b in second)

        oxygens = [atom for atom in beside if element[atom] == oxygen]

        def holds_oxygen(c, kind, hydrogens, beside=beside, atoms=atoms):
            found = [o for o, bond in beside[c] if bond == kind and atoms[o, 0] == oxygen]
            return any(atoms[o, 4] == hydrogens for o in found)

        carbonyls = [c for c in beside if element[c] == carbon and holds_oxygen(c, molecules.DOUBLE, 0)]
        acids = [c for c in carbonyls if holds_oxygen(c, molecules.SINGLE, 1)]
        donors = [atom for atom in beside if element[atom] in (nitrogen, oxygen) and atoms[atom, 4] > 0]
        in_halogens = [atom for atom in beside if element[atom] in halogens]
        assert found[i, 0] == bool(acids)
        assert found[i, 2] == (((element == nitrogen) & (atoms[:, 7] == 1)).sum() >= 2)
        assert found[i, 3] == near(donors, set(carbonyls) - set(acids), 2, 3)
        assert found[i, 4] == near(in_halogens, oxygens, 2, 4)
        assert found[i, 5] == (path.max() >= 12)
        assert found[i, 10] == near(in_halogens, in_halogens, 3, 5)
        assert found[i, 15] == near(carbonyls, carbonyls, 3, 7)


def test_no_molecule_is_made_twice(splits):
    rows = [row.tobytes() for split in splits.values() for row in split["inputs"]]
    assert len(rows) == len(set(rows))


def test_a_mini_batch_is_collated_in_the_sizes_of_its_configuration():
    workload = WORKLOAD()
    settings = dataclasses.replace(workload.base_settings, splits={"train": 80, "validation": 20, "test": 20})
    workload.base_settings = settings
    batch = workload.collate(picked(workload.generate()["train"], np.arange(64)))
    assert len(batch["inputs"]) == 64 * settings.data["nodes_per_graph"] + 1
    assert len(batch["edges"]) == 64 * settings.data["edges_per_graph"]
