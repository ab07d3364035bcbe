"""Resampling plans: which examples a fold trains on and is validated on."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.plan import plan_trials
from harness.resampling import PLAN_FORMS, Fold, Resampling, _Pool, _split, parse_fold, parse_plan
from harness.spec import LossType, Settings
from harness.suite import Request
from harness.workloads import make_workload


class Pool:
    """As much of a workload as a plan looks at."""

    name = "pool"

    def __init__(self, size=60, classes=3, groups=0, validation=1000):
        self.num_pool_examples = size
        self._strata = np.arange(size) % classes if classes else None
        self._groups = np.arange(size) * groups // size if groups else None
        self.base_settings = Settings({}, {}, 1, 1, 1, 1.0, 1.0, {"train": size, "validation": validation})

    def strata(self):
        return self._strata

    def groups(self):
        return self._groups


def parts(plan, pool, seed=0, **changes):
    folds = parse_plan(plan).folds_of(pool)
    return [Resampling(dataclasses.replace(fold, **changes), seed).indices(pool) for fold in folds]


@pytest.mark.parametrize(
    ("name", "folds", "fraction"),
    [
        ("5x2cv", 10, 0.5),
        ("kfold-10", 10, 0.9),
        ("repeated-kfold-3x5", 15, 0.8),
        ("repeated-holdout-7", 7, 2 / 3),
        ("bootstrap-4", 4, 0.632),
        ("nested-5x3", 5, 0.8),
        ("leave-one-out", 60, 1.0),
    ],
)
def test_a_plan_has_its_number_of_folds_and_its_share_of_the_data(name, folds, fraction):
    pool = Pool()
    found = parse_plan(name).folds_of(pool)
    assert len(found) == len({fold.label for fold in found}) == folds
    assert Resampling(found[0], 0).train_fraction == pytest.approx(fraction)
    for train, held_out in parts(name, pool):
        assert not set(train) & set(held_out)
        assert len(np.unique(train)) / 60 == pytest.approx(fraction, abs=0.15)


@pytest.mark.parametrize("name", ["5x2cv", "kfold-10", "repeated-kfold-2x3", "leave-one-out"])
def test_every_example_is_held_out_once_per_replication(name):
    pool = Pool()
    counts = np.zeros(60)
    for _, held_out in parts(name, pool):
        counts[held_out] += 1
    assert set(counts) == {parse_plan(name).replications}


@given(
    size=st.integers(20, 200),
    classes=st.integers(2, 4),
    k=st.integers(2, 5),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=40)
def test_stratified_folds_hold_every_class_in_proportion(size, classes, k, seed):
    pool = Pool(size, classes)
    for train, held_out in parts(f"kfold-{k}", pool, seed):
        assert sorted([*train, *held_out]) == list(range(size))
        for label in range(classes):
            expected = np.sum(pool.strata() == label) / k
            assert abs(np.sum(pool.strata()[held_out] == label) - expected) <= 1


@pytest.mark.parametrize("plan", ["5x2cv", "repeated-holdout-5", "bootstrap-5", "leave-one-out", "nested-3x2"])
@pytest.mark.parametrize("classes", [0, 2])
def test_groups_stay_on_one_side(plan, classes):
    pool = Pool(120, classes, groups=24)
    for train, held_out in parts(plan, pool):
        assert not set(pool.groups()[train]) & set(pool.groups()[held_out])
        assert len(held_out)


def test_halves_of_5x2cv_change_roles_and_replications_differ():
    found = parts("5x2cv", Pool())
    for first, second in zip(found[::2], found[1::2], strict=True):
        assert list(first[0]) == list(second[1]) and list(first[1]) == list(second[0])
    assert len({tuple(train) for train, _ in found}) == 10


def test_a_bootstrap_sample_has_repeats_and_is_validated_out_of_the_bag():
    (train, held_out), *_ = parts("bootstrap-1", Pool(classes=0))
    assert len(train) == 60 > len(set(train))
    assert set(train) | set(held_out) == set(range(60))


def test_inner_folds_split_the_training_part_and_never_touch_the_outer_one():
    pool = Pool()
    (fold, *_) = parse_plan("nested-5x3").folds()
    outer_train, outer_held_out = Resampling(fold, 0).indices(pool)
    held_out = []
    for inner in fold.inside(3):
        resampling = Resampling(inner, 0)
        train, validation = resampling.indices(pool)
        assert set(train) | set(validation) == set(outer_train) and not set(validation) & set(outer_held_out)
        assert resampling.train_fraction == pytest.approx(0.8 * 2 / 3)
        held_out += list(validation)
    assert sorted(held_out) == sorted(outer_train)
    (one,) = fold.inside(1)
    train, validation = Resampling(one, 0).indices(pool)
    assert len(validation) == 16 and set(train) | set(validation) == set(outer_train)


def test_the_seed_moves_the_splits_and_nothing_else_does():
    pool = Pool()
    assert all(
        (a == b).all() for one, two in zip(parts("5x2cv", pool, 1), parts("5x2cv", pool, 1), strict=True)
        for a, b in zip(one, two, strict=True)
    )  # fmt: skip
    assert list(parts("5x2cv", pool, 1)[0][0]) != list(parts("5x2cv", pool, 2)[0][0])


def test_validation_examples_are_capped_so_that_evaluation_stays_cheap():
    train, held_out = parts("5x2cv", Pool(400, validation=10))[0]
    assert len(train) == 200 and len(held_out) == 50 == len(set(held_out))


@given(st.sampled_from(["5x2cv", "kfold-7", "nested-4x2"]), st.integers(1, 9), st.integers(1, 9), st.integers(0, 3))
def test_labels_are_read_back(plan, replication, part, inner):
    fold = Fold(plan, replication, part, inner, 3 if inner else 0)
    assert parse_fold(fold.label) == fold


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tenfold", "no resampling plan 'tenfold'; there is: " + ", ".join(PLAN_FORMS)),
        ("kfold-1", "resampling plan 'kfold-1': the least kfold-K is kfold-2"),
        ("nested-5x1", "the least nested-OxI is nested-2x2"),
        ("repeated-kfold-0x5", "the least repeated-kfold-RxK is repeated-kfold-1x2"),
    ],
)
def test_a_plan_that_does_not_exist_is_refused(name, message):
    with pytest.raises(UsageError, match=message):
        parse_plan(name)


def test_data_that_cannot_be_split_is_refused():
    with pytest.raises(UsageError, match=r"the training pool cannot be split by kfold into 5 parts: .*n_splits=5"):
        _split(_Pool(3, None, None), "kfold", 5, 1, 0)
    rare = Pool(30, classes=2)
    rare._strata = (np.arange(30) == 7).astype(int)
    with pytest.raises(UsageError, match=r"cannot be split by kfold into 3 parts: The least populated class"):
        parts("kfold-3", rare)
    with pytest.raises(UsageError, match=r"bootstrap-\d+/r\df1 of pool would train on one class only"):
        parts("bootstrap-9", rare)
    with pytest.raises(UsageError, match="'5x2cv/1' is not a fold; one looks like 5x2cv/r1f2"):
        parse_fold("5x2cv/1")


# ---- through workloads and plans ----


def test_a_workload_hands_out_its_fold_and_keeps_its_test_split():
    whole, fold = make_workload("mnist"), Fold("5x2cv", 2, 1)
    part = make_workload("mnist", resampling=Resampling(fold, 0))
    train, held_out = part.examples("train"), part.examples("validation")
    assert len(train["targets"]) == part.num_train_examples and part.num_validation_examples == len(held_out["targets"])
    assert abs(part.num_train_examples - 5000) < 100
    assert set(train) == {"inputs", "targets"} == set(whole.load_split("train"))
    pool, indices = whole.load_split("train"), Resampling(fold, 0).indices(part)
    assert (train["inputs"] == pool["inputs"][indices[0]]).all()
    assert (held_out["inputs"] == pool["inputs"][indices[1]]).all()
    assert (part.examples("test")["inputs"] == whole.load_split("test")["inputs"]).all()
    assert part.num_test_examples == whole.num_test_examples
    shares = [np.bincount(split["targets"]) / len(split["targets"]) for split in (train, held_out)]
    assert np.abs(shares[0] - shares[1]).max() < 0.02
    glyphs = whole.groups()
    assert not set(glyphs[indices[0]]) & set(glyphs[indices[1]])
    assert part.loss_type is LossType.SOFTMAX_CROSS_ENTROPY


def test_the_fold_is_part_of_a_trials_identity_and_all_submissions_share_splits_and_seeds():
    request = Request(
        ("mnist",), (("nadamw_cosine", "torch"), ("adamw_linear", "torch")), "self_tuning", 1, 1,
        folds=parse_plan("5x2cv").folds()[:4], stop_at_target=False, max_steps=10, target_required=False,
    )  # fmt: skip
    planned = plan_trials(request)
    assert len(planned) == 8 == len({trial.digest for trial in planned})
    assert [trial.key.submission[0] for trial in planned] == list("naannaan"), "turns are taken A B, B A"
    by_fold = {}
    for trial in planned:
        by_fold.setdefault(trial.key.fold, set()).add((trial.task.spec.seed, trial.task.spec.split_seed))
    assert all(len(seeds) == 1 for seeds in by_fold.values())
    assert len({seeds.pop() for seeds in by_fold.values()}) == 4
    assert planned[0].key.folder.startswith("5x2cv/r1f1/nadamw_cosine_torch/study_1/mnist_pytorch/trial_1")


def test_a_missing_target_for_less_data_names_the_command():
    fold = Fold("kfold-97", 1, 1)
    with pytest.raises(
        Exception,
        match=r"mnist \(mini\) has no target for 0\.99 of its training data; set one with "
        r"`timetrial targets mnist --variant base --plan kfold-97 --write`",
    ):
        _ = make_workload("mnist", resampling=Resampling(fold, 0)).target
    inner = fold.inside(2)[0]
    with pytest.raises(Exception, match=r"--plan kfold-97 --inner 2 --write"):
        _ = make_workload("mnist", resampling=Resampling(inner, 0)).target
