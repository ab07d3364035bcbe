"""The calibration's data, splits and trainer against independent ones, and a small run of the whole."""

import functools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from benchmarks.two_views import command, data, page, runs
from benchmarks.two_views.figure import figure, power_of_t
from benchmarks.two_views.measure import Rate, Row, calibrate, rate
from benchmarks.two_views.procedures import PROCEDURES
from benchmarks.two_views.trainer import MOMENTUM, Recipe, answers, gradient, train

ROOT = Path(__file__).resolve().parents[2]
LABELS = np.repeat(np.arange(data.CLASSES), data.PER_CLASS)


@pytest.mark.parametrize("design", data.DESIGNS)
def test_splits_are_disjoint_stratified_and_ordered_by_class(design):
    plan = data.DESIGNS[design]
    train_part, test_part = plan.splits(np.random.default_rng(1), 3, plan.rounds)
    for trained, tested in zip(
        train_part.reshape(-1, train_part.shape[-1]), test_part.reshape(-1, test_part.shape[-1]), strict=True
    ):
        assert sorted([*trained, *tested]) == list(range(data.EXAMPLES))
        for part in (trained, tested):
            assert (np.diff(LABELS[part]) >= 0).all()
            assert (np.bincount(LABELS[part]) == len(part) // data.CLASSES).all()


def test_each_halving_is_used_both_ways_and_folds_cover_all_examples_once():
    trained, tested = data.halves(np.random.default_rng(2), 2, 5)
    assert trained.shape == tested.shape == (2, 10, data.EXAMPLES // 2)
    assert (trained[:, 0::2] == tested[:, 1::2]).all() and (trained[:, 1::2] == tested[:, 0::2]).all()
    assert len({tuple(sorted(row)) for row in trained[0]}) == 10
    _, tested = data.folds(np.random.default_rng(2), 2, 10)
    assert (np.sort(tested.reshape(2, -1)) == np.arange(data.EXAMPLES)).all()


def test_studies_share_their_split():
    trained, _ = data.one_split(np.random.default_rng(0), 2, 5)
    assert (trained == trained[:, :1]).all() and (trained[0] != trained[1]).any()


def test_views_share_their_class_means_and_nothing_else():
    sets = data.make_data(np.random.default_rng(0), 40, extra_noise=2.0).astype(float)
    assert (sets[..., -1] == 1).all()
    means = sets[..., :-1].reshape(40, data.CLASSES, data.PER_CLASS, data.VIEWS + 1, -1).mean(axis=2)
    gap = means[:, :, 0] - means[:, :, 1]
    assert gap.std() == pytest.approx((2 / data.PER_CLASS) ** 0.5, rel=0.1)
    gram = means[:, :, 0] @ np.swapaxes(means[:, :, 0], 1, 2)
    assert gram.mean(axis=0) == pytest.approx(data.SEPARATION**2 * np.eye(data.CLASSES), abs=0.25)
    within = sets[..., :-1] - np.repeat(means, data.PER_CLASS, axis=1)
    spread = within.std(axis=(0, 1, 3))
    assert spread == pytest.approx([1, 1, 1, 2], rel=0.03)
    pairs = np.corrcoef(within[:, :, 0].ravel(), within[:, :, 1].ravel())
    assert abs(pairs[0, 1]) < 0.02


def one_data_set():
    sets = data.make_data(np.random.default_rng(3), 2)
    trained, tested = data.halves(np.random.default_rng(3), 2, 1)
    own = np.repeat(np.arange(2), 2)[:, None]
    return (sets[own, part.reshape(4, -1), 0].astype(float) for part in (trained, tested))


def test_gradient_is_that_of_the_cross_entropy():
    inputs, _ = one_data_set()
    labels = torch.arange(data.CLASSES).repeat_interleave(inputs.shape[1] // data.CLASSES)
    weights = np.random.default_rng(0).standard_normal((4, inputs.shape[2], data.CLASSES))
    found = gradient(weights, inputs, np.eye(data.CLASSES)[labels][None])
    for w, x, expected in zip(weights, inputs, found, strict=True):
        w = torch.tensor(w, requires_grad=True)
        torch.nn.functional.cross_entropy(torch.tensor(x) @ w, labels).backward()
        assert w.grad.numpy() == pytest.approx(expected, abs=1e-12)


def test_full_batches_follow_torchs_momentum_and_tested_errors_are_its_errors():
    inputs, tested = one_data_set()
    recipe = Recipe(steps=30, period=10, batch=inputs.shape[1])
    found = train(np.random.default_rng(5), inputs, tested, data.CLASSES, 0.02, recipe)
    start = np.random.default_rng(5).standard_normal(found.weights.shape) * recipe.spread
    labels = torch.arange(data.CLASSES).repeat_interleave(inputs.shape[1] // data.CLASSES)
    for run in range(4):
        w = torch.tensor(start[run], requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=0.02, momentum=MOMENTUM)
        x, held_out = torch.tensor(inputs[run]), torch.tensor(tested[run])
        errors = []
        for step in range(recipe.steps):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(x @ w, labels).backward()
            optimizer.step()
            if (step + 1) % recipe.period == 0:
                right = (held_out @ w).argmax(dim=1) == labels
                errors.append(1 - right.double().mean().item())
        assert found.weights[run] == pytest.approx(w.detach().numpy(), abs=1e-10)
        assert found.errors[run] == pytest.approx(errors) and (found.right[run] == right.numpy()).all()


def test_long_training_comes_to_the_maximum_likelihood_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    inputs, tested = one_data_set()
    recipe = Recipe(steps=3_000, period=3_000, batch=inputs.shape[1])
    found = train(np.random.default_rng(0), inputs, tested, data.CLASSES, 0.1, recipe)
    labels = np.repeat(np.arange(data.CLASSES), inputs.shape[1] // data.CLASSES)
    for run in range(4):
        best = LogisticRegression(C=1e6, tol=1e-8, max_iter=2_000).fit(inputs[run][:, :-1], labels)
        z = inputs[run] @ found.weights[run]
        shares = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        assert shares == pytest.approx(best.predict_proba(inputs[run][:, :-1]), abs=1e-3)


def test_algorithms_share_seeds_and_other_seeds_differ():
    recipe = Recipe(steps=4)
    first = runs.simulate("studies", ["A", "A, other seeds"], 2, 0, recipe)
    again = runs.simulate("studies", ["A"], 1, 0, recipe)
    assert (first["A"].errors[:1] == again["A"].errors).all()
    assert (first["A"].errors != first["A, other seeds"].errors).any()
    assert (runs.simulate("studies", ["A"], 1, 1, recipe)["A"].errors != again["A"].errors).any()


def test_a_miss_counts_twice_the_budget():
    recipe = Recipe(steps=6, period=2)
    errors = np.array([[[0.5, 0.2, 0.3], [0.5, 0.4, 0.4]]])
    found = runs.respond(runs.Runs(errors, np.ones((1, 3), dtype=bool)), 0.2, recipe)
    assert found.steps.tolist() == [[4, 6]] and found.reached.tolist() == [[True, False]]
    assert np.exp(found.log_time) == pytest.approx(np.array([[4, 12]]))
    assert found.error.tolist() == [[0.3, 0.4]]


def test_answers_count_the_largest_logit():
    weights = np.eye(2)[None]
    tested = np.array([[[3.0, 1.0], [1.0, 3.0], [5.0, 2.0], [0.0, 1.0]]])
    assert answers(weights, np.swapaxes(tested, 1, 2)).tolist() == [[True, False, False, True]]


@pytest.fixture(scope="module")
def small():
    """The F and the naive t on 60 comparisons."""
    chosen = tuple(p for p in PROCEDURES if p.words in ("5x2cv combined F", "naive resampled t", "corrected t (+1/2)"))
    return calibrate(
        60, seed=1, procedures=chosen, scenarios=("null", "seeds", "2.5x"), recipe=Recipe(steps=60, period=4)
    )


def rejected(found, words, response, scenario="null"):
    [row] = [row for row in found.rows if (row.procedure.words, row.response) == (words, response)]
    return row.rates[scenario].rejected


@pytest.mark.parametrize("response", ["error", "log_time"])
def test_the_naive_t_fails_where_the_f_and_the_corrected_t_hold(small, response):
    naive = rejected(small, "naive resampled t", response)
    assert naive > 0.2
    for words in ("5x2cv combined F", "corrected t (+1/2)"):
        held = rejected(small, words, response)
        assert held < naive / 2
        assert stats.binom.sf(round(60 * held) - 1, 60, 0.06) > 1e-3  # not more than 6% can explain
    assert rejected(small, "naive resampled t", response, "seeds") < naive / 2


def test_a_clear_difference_is_found_more_often(small):
    for words in ("5x2cv combined F", "corrected t (+1/2)"):
        assert rejected(small, words, "log_time", "2.5x") > rejected(small, words, "log_time") + 0.1


def test_rates_are_counted_over_comparisons():
    [f] = [p for p in PROCEDURES if p.words == "5x2cv combined F"]
    rng = np.random.default_rng(0)

    def responses(offset):
        error = rng.standard_normal((4, 10)) + np.array([0, 0, 100, 0])[:, None] * offset
        error[3] = 0.0
        return runs.Responses(error, error, error > 0, error, error > 0)

    found = rate(f, [responses(0), responses(1)], "error")
    assert found == Rate(0.25, 0.25)


def test_every_test_that_compare_offers_is_calibrated():
    from scoring.comparison import DESIGNS

    assert {p.option for p in PROCEDURES} - {""} == set(DESIGNS)


def test_the_page_is_the_same_for_the_same_numbers(small):
    assert page.markdown(small) == page.markdown(small)
    drawn = figure(small)
    assert drawn == figure(small) and len(drawn) < 200_000 and "</svg>" in drawn
    assert "60 simulated comparisons, seed 1" in page.markdown(small)


@pytest.mark.parametrize(
    ("null", "verdict"), [(0.3, "**fails**"), (0.05, "holds"), (0.065, "holds"), (0.005, "holds, cautious")]
)
def test_verdicts_allow_for_chance(null, verdict):
    row = Row(PROCEDURES[0], "error", {"null": Rate(null, 0.0)})
    assert page.judgement(row, 1_000) == verdict


def test_the_command_refuses_no_comparisons(capsys):
    with pytest.raises(SystemExit, match="2"):
        command.main(["--comparisons", "0"])
    assert "0: needs at least 1" in capsys.readouterr().err


def test_the_script_finds_the_package_beside_a_script_of_the_same_name():
    script = [sys.executable, str(ROOT / "benchmarks" / "calibration.py"), "--help"]
    done = subprocess.run(script, capture_output=True, text=True, check=True, cwd=ROOT / "docs")
    assert "--comparisons" in done.stdout


def test_the_command_writes_a_page_with_every_procedure(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command, "PAGE", tmp_path / "calibration.md")
    monkeypatch.setattr(command, "FIGURE", tmp_path / "figures" / "power.svg")
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "calibrate", functools.partial(calibrate, recipe=Recipe(steps=8, period=4)))
    command.main(["--comparisons", "4", "--seed", "3", "--write"])
    text = (tmp_path / "calibration.md").read_text()
    assert text == capsys.readouterr().out
    for procedure in PROCEDURES:
        lines = [line for line in text.splitlines() if line.startswith(f"| {procedure.words} |")]
        assert len(lines) == len(procedure.responses)
    assert (tmp_path / "figures" / "power.svg").read_text().startswith("<svg")


def test_the_committed_page_holds_the_levels_asked_for():
    text = (ROOT / "docs" / "calibration.md").read_text()
    assert "1,000 simulated comparisons" in text
    time, error = (text.split(f"## {title}")[1].split("\n## ")[0] for title in ("Log time", "Error at"))

    def null(part, name):
        [line] = [line for line in part.splitlines() if line.startswith(f"| {name} ")]
        return float(line.split("**")[1].rstrip("%"))

    for part in (time, error):
        assert 2 <= null(part, "5x2cv combined F") <= 6
        assert 27 <= null(part, "naive resampled t") <= 50
    assert 3 <= null(error, "corrected t (+1/2)") <= 7
    assert (ROOT / "docs" / "figures" / "power.svg").stat().st_size < 200_000


def test_power_of_the_5x2cv_t_is_that_of_the_review():
    found = power_of_t(np.array([1, 1.5, 2, 2.5, 3]))
    assert found == pytest.approx([0.12, 0.24, 0.39, 0.55, 0.69], abs=0.015)
    assert page.detectable() == pytest.approx(2.5, abs=0.05)
