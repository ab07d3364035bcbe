"""The known answers of ../shared/stats_oracles.json that belong to these functions."""

import math

import numpy as np
import pytest

import scoring.statistics as st


def close(found, expected, case):
    tolerance = case["tolerance"]
    assert np.asarray(found, dtype=float) == pytest.approx(
        np.asarray(expected, dtype=float), rel=tolerance, abs=tolerance, nan_ok=True
    )


def answers(case):
    rows = [row for row, count in case["inputs"]["pattern_counts"] for _ in range(int(count))]
    return np.array(rows)


@pytest.mark.parametrize("name", ["holdout_ci_86_100", "holdout_ci_3_20", "holdout_ci_all_right"])
def test_proportion_intervals(oracles, name):
    case = oracles[name]
    for method, limits in case["expected"].items():
        given = case["inputs"]
        found = st.proportion_interval(given["correct"], given["n"], given["alpha"], method.replace("_", "-"))
        close((found.low, found.high), limits, case)
        assert found.degenerate == (method == "wald" and name == "holdout_ci_all_right")


@pytest.mark.parametrize("name", ["prop_diff_840_1000_860_1000", "prop_diff_90_120_70_110"])
def test_difference_of_proportions(oracles, name):
    case = oracles[name]
    for pooled, word in ((True, "pooled"), (False, "unpooled")):
        found = st.difference_of_proportions(**case["inputs"], pooled=pooled)
        close(found.statistic, case["expected"][f"z_{word}"], case)
        close(found.p, case["expected"][f"p_two_sided_{word}"], case)


def test_both_perfect(oracles):
    case = oracles["prop_diff_both_perfect"]
    for pooled in (True, False):
        found = st.difference_of_proportions(**case["inputs"], pooled=pooled)
        close((found.statistic, found.p), (case["expected"]["statistic"], case["expected"]["p_two_sided"]), case)
        assert found.degenerate


@pytest.mark.parametrize(
    "name", ["mcnemar_9959_11_1_29", "mcnemar_50_8_3_20", "mcnemar_10_30_12_48", "mcnemar_no_discordant"]
)
def test_mcnemar(oracles, name):
    case = oracles[name]
    expected = case["expected"]
    found = {method: st.mcnemar(case["inputs"]["table"], method) for method in ("uncorrected", "corrected", "exact")}
    close(found["uncorrected"].statistic, expected["chi2"], case)
    close(found["uncorrected"].p, expected["p"], case)
    close(found["corrected"].statistic, expected["chi2_corrected"], case)
    close(found["corrected"].p, expected["p_corrected"], case)
    close(found["exact"].p, expected["p_exact"], case)
    if "p_mid" in expected:
        close(st.mcnemar(case["inputs"]["table"], "mid-p").p, expected["p_mid"], case)
    assert all(outcome.degenerate == (name == "mcnemar_no_discordant") for outcome in found.values())


@pytest.mark.parametrize("name", ["cochran_kuncheva", "cochran_two_models", "cochran_all_same"])
def test_cochran_and_looney(oracles, name):
    case = oracles[name]
    expected = case["expected"]
    q, f = st.cochran_q(answers(case)), st.looney_f(answers(case))
    close((q.statistic, q.p, f.statistic), (expected["Q"], expected["Q_p"], expected["F"]), case)
    close(f.p, expected.get("F_p_textbook", expected.get("F_p")), case)
    assert q.df == (expected.get("Q_df", 2),)
    assert q.degenerate == f.degenerate == (name == "cochran_all_same")


def check_five_by_two(differences, case):
    expected = case["expected"]
    t, f = st.five_by_two_cv_t(differences), st.five_by_two_cv_f(differences)
    close((t.statistic, t.p, f.statistic, f.p), [expected[key] for key in ("t", "t_p", "F", "F_p")], case)
    if "s2" in expected:
        close(st.replication_variances(differences), expected["s2"], case)
        close(np.mean(differences), expected["mean_difference"], case)
        assert (*t.df, *f.df) == (expected["t_df"], *expected["F_df"])
    assert t.degenerate == f.degenerate == expected.get("degenerate", False)


@pytest.mark.parametrize(
    "name", ["cv52_clear", "cv52_log_time", "cv52_log_time_par2", "cv52_swap_order", "cv52_all_zero"]
)
def test_five_by_two(oracles, name):
    check_five_by_two(oracles[name]["inputs"]["differences"], oracles[name])


@pytest.mark.parametrize("name", ["cv52_nan", "cv52_inf"])
def test_five_by_two_names_the_cell(oracles, name):
    for test in (st.five_by_two_cv_t, st.five_by_two_cv_f):
        with pytest.raises(ValueError, match="replication 1, half 1 is (nan|inf)"):
            test(oracles[name]["inputs"]["differences"])


def test_paired_t(oracles):
    for name, test in (("kfold_paired_t", st.k_fold_paired_t), ("resampled_paired_t", st.resampled_paired_t)):
        case = oracles[name]
        d, expected = case["inputs"]["differences"], case["expected"]
        naive, corrected = test(d), st.corrected_t(d, case["inputs"]["test_train_ratio"])
        close((naive.statistic, naive.p), (expected["t"], expected["p"]), case)
        close((corrected.statistic, corrected.p), (expected["t_corrected"], expected["p_corrected"]), case)
        assert naive.df == corrected.df == (expected["df"],)
        assert "overlap" in naive.note and "corrected t" in naive.note


def test_corrected_repeated_k_fold(oracles):
    case = oracles["repeated_kfold_corrected_t"]
    found = st.corrected_t(case["inputs"]["differences"], case["inputs"]["test_train_ratio"])
    close((found.statistic, found.p, *found.df), [case["expected"][key] for key in ("t", "p", "df")], case)


def test_correlated_t(oracles):
    case = oracles["bayes_correlated_t_rope"]
    found = st.correlated_t(**case["inputs"])
    # baycomp calls the side on which the first is larger "left"
    expected = [case["expected"][key] for key in ("p_right", "p_rope", "p_left")]
    close((found.below, found.within, found.above), expected, case)


def test_paired_samples(oracles):
    case = oracles["paired_permutation_wilcoxon_sign"]
    expected = case["expected"]
    d = st.paired_differences(case["inputs"]["x"], case["inputs"]["y"])
    signed_rank = st.wilcoxon(d)
    close(st.paired_permutation(d).p, expected["permutation_p"], case)
    close((signed_rank.statistic, signed_rank.p), (expected["wilcoxon_W"], expected["wilcoxon_p"]), case)
    close(st.sign_test(d).p, expected["sign_p"], case)
    close(st.k_fold_paired_t(d).p, expected["t_p"], case)


def test_wilcoxon_zero_rules(oracles):
    case = oracles["wilcoxon_zeros_ties"]
    for rule, expected in case["expected"].items():
        found = st.wilcoxon(case["inputs"]["differences"], rule, exact=False)
        close((found.statistic, found.p), (expected["W"], expected["p"]), case)
        assert rule in found.method


def test_wilcoxon_floor(oracles):
    case = oracles["wilcoxon_floor"]
    sizes = case["inputs"]["n_workloads"]
    close([st.signed_rank_floor(n) for n in sizes], case["expected"]["min_p"], case)
    close([st.wilcoxon(np.arange(1, n + 1)).p for n in sizes], case["expected"]["min_p"], case)


def test_friedman(oracles):
    case = oracles["friedman_nemenyi_8x4"]
    found, expected = st.friedman(-np.array(case["inputs"]["matrix"])), case["expected"]
    close((found.chi2, found.p), (expected["chi2"], expected["p"]), case)
    close((found.f, found.f_p), (expected["iman_davenport_F"], expected["iman_davenport_p"]), case)
    close(found.mean_ranks, expected["mean_ranks"], case)
    assert found.critical_difference == pytest.approx(expected["critical_difference"], abs=1e-6)
    assert found.nemenyi_p == pytest.approx(np.array(expected["nemenyi_p"]), abs=1e-6)
    same = st.friedman(np.array(oracles["friedman_all_equal"]["inputs"]["matrix"]))
    assert (same.chi2, same.p, same.degenerate) == (0.0, 1.0, True)


def test_multiplicity(oracles):
    case = oracles["multiplicity"]
    for method, expected in case["expected"].items():
        close(st.adjust(case["inputs"]["p"], method.replace("_", "-")), expected, case)


def test_effect_sizes(oracles):
    case = oracles["effect_sizes"]
    x, y = case["inputs"]["x"], case["inputs"]["y"]
    close(st.cohens_dz(x, y).value, case["expected"]["cohens_dz"], case)
    close(st.cohens_d(x, y).value, case["expected"]["cohens_d_pooled"], case)
    close(
        (st.a12(x, y), st.cliffs_delta(x, y)),
        [case["expected"][k] for k in ("a12_prob_x_greater", "cliffs_delta")],
        case,
    )
    close(st.cohens_h(0.84, 0.86), case["expected"]["cohens_h_84_86"], case)


def test_bootstrap_by_enumeration(oracles):
    case = oracles["bootstrap_exact_n3"]
    data, expected = case["inputs"]["data"], case["expected"]
    means = st.bootstrap_replicates(data, np.mean, draws=None)
    close(np.sort(means), expected["mean_replicates_sorted"], case)
    close(means.std(), expected["mean_se"], case)
    for statistic, key in ((np.mean, "mean_ci"), (np.median, "median_ci")):
        found = st.bootstrap_interval(data, statistic, draws=None)
        close((found.low, found.high), expected[key], case)
    medians = st.bootstrap_replicates(data, np.median, draws=None)
    for value, share in expected["median_distribution"].items():
        close(np.mean(medians == float(value)), share, case)


def test_bootstrap_of_medians_of_five(oracles):
    case = oracles["bootstrap_median_of_five"]
    medians = st.bootstrap_replicates(case["inputs"]["data"], np.median, draws=None)
    close([np.mean(medians == value) for value in case["inputs"]["data"]], case["expected"]["probabilities"], case)
    case = oracles["bootstrap_median_two_misses"]
    medians = st.bootstrap_replicates(case["inputs"]["data"], np.median, draws=None)
    close(np.mean(np.isinf(medians)), case["expected"]["p_median_is_inf"], case)
    found = st.bootstrap_interval(case["inputs"]["data"], np.median, draws=None)
    assert (found.value, found.low, found.high) == (case["expected"]["median"], 10.0, math.inf)


def test_bootstrap_intervals_from_replicates(oracles):
    case = oracles["bootstrap_percentile_bca"]
    given = case["inputs"]
    for method in ("percentile", "basic", "bca"):
        found = st.bootstrap_interval(given["data"], np.mean, given["alpha"], method, given["replicates"])
        close((found.low, found.high), case["expected"][method], case)


def test_random_bootstrap(oracles):
    case = oracles["bootstrap_scipy_loose"]
    found = st.bootstrap_interval(case["inputs"]["data"], np.mean, draws=case["inputs"]["n_resamples"])
    close((found.low, found.high), case["expected"]["ci"], case)


@pytest.mark.parametrize("name", ["boot632_ordinary", "boot632_no_information", "boot632_R_clipped"])
def test_bootstrap_632(oracles, name):
    case = oracles[name]
    found = st.bootstrap_632_plus(**case["inputs"])
    values = (found.error_632, found.overfitting_rate, found.weight, found.error_632_plus)
    close(values, [case["expected"][key] for key in ("err_632", "R", "weight", "err_632_plus")], case)
    assert found.degenerate == (name == "boot632_R_clipped")


def test_no_information_rate(oracles):
    case = oracles["no_information_rate"]
    close(st.no_information_rate(**case["inputs"]), case["expected"]["gamma"], case)


def test_one_standard_error_rule(oracles):
    case = oracles["one_se_rule"]
    candidates = case["inputs"]["candidates"]
    columns = [[candidate[key] for candidate in candidates] for key in ("mean", "se", "complexity")]
    chosen, threshold = st.one_standard_error_rule(*columns)
    assert candidates[chosen]["name"] == case["expected"]["selected"]
    close(threshold, case["expected"]["threshold"], case)


def test_fold_summary(oracles):
    case = oracles["kfold_summary"]
    found, expected = st.fold_summary(case["inputs"]["fold_scores"]), case["expected"]
    close((found.mean, found.sd, found.se), [expected[key] for key in ("mean", "sd", "se")], case)
    close(found.interval, expected["t_ci"], case)


def test_survival(oracles):
    case = oracles["logrank"]
    found = st.log_rank(**case["inputs"])
    close((found.statistic, found.p), (case["expected"]["chi2"], case["expected"]["p"]), case)
    case = oracles["logrank_stratified"]
    found = st.stratified_log_rank(**case["inputs"])
    close((found.statistic, found.p), (case["expected"]["chi2"], case["expected"]["p"]), case)
    case = oracles["km_rmst"]
    given = case["inputs"]
    curve = st.kaplan_meier(given["time"], given["reached"])
    close(curve.at(case["expected"]["at"]), case["expected"]["survival_at"], case)
    close(st.restricted_mean_time(**given).value, case["expected"]["rmst"], case)


def test_rank_agreement(oracles):
    case = oracles["kendall"]
    given, expected = case["inputs"], case["expected"]
    close(st.rank_agreement(given["x"], given["y"]).statistic, expected["tau"], case)
    close(st.rank_agreement(given["x"], given["y"], "spearman").statistic, expected["spearman"], case)
    close(st.rank_agreement(given["x_ties"], given["y_ties"]).statistic, expected["tau_b_ties"], case)


def test_geometric_ratio(oracles):
    case = oracles["geometric_speedup"]
    found = st.geometric_ratio(case["inputs"]["ratios"])
    close((found.value, found.low, found.high), (case["expected"]["gmean"], *case["expected"]["t_ci"]), case)


def test_power(oracles):
    case = oracles["power"]
    given, expected = case["inputs"], case["expected"]
    close(st.paired_t_sample_size(given["dz"], given["power"], given["alpha"]), expected["n_for_80"], case)
    close(st.paired_t_power(given["dz"], given["n"], given["alpha"]), expected["power_at_n10"], case)
    close(st.two_proportion_sample_size(0.84, 0.86), expected["n_per_arm_84_86"], case)


def test_aggregates(oracles):
    case = oracles["rliable_aggregates"]
    scores, other = case["inputs"]["scores"], case["inputs"]["other"]
    close(st.interquartile_mean(scores), case["expected"]["iqm"], case)
    close(st.optimality_gap(scores), case["expected"]["optimality_gap"], case)
    close(st.probability_of_improvement(scores, other), case["expected"]["probability_of_improvement"], case)


def test_five_by_two_end_to_end(oracles):
    from sklearn.datasets import load_breast_cancer
    from sklearn.model_selection import train_test_split
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier

    case = oracles["cv52_end_to_end"]
    X, y = load_breast_cancer(return_X_y=True)
    scores = np.empty((2, 5, 2))
    for i, seed in enumerate(map(int, case["inputs"]["split_seeds"])):
        first, second = train_test_split(np.arange(len(y)), test_size=0.5, random_state=seed)
        for j, (train, test) in enumerate(((first, second), (second, first))):
            for m, model in enumerate((KNeighborsClassifier(1), GaussianNB())):
                scores[m, i, j] = model.fit(X[train], y[train]).score(X[test], y[test])
    differences = st.paired_differences(*scores, axes=("replication", "half"))
    close(differences, case["expected"]["differences"], case)
    check_five_by_two(differences, case)


def test_cross_validation_end_to_end(oracles):
    from sklearn.datasets import load_breast_cancer, load_iris
    from sklearn.model_selection import (
        GridSearchCV,
        LeaveOneOut,
        RepeatedStratifiedKFold,
        StratifiedKFold,
        cross_val_score,
        cross_validate,
    )
    from sklearn.neighbors import KNeighborsClassifier

    X, y = load_iris(return_X_y=True)
    case = oracles["repeated_kfold_end_to_end"]
    folds = RepeatedStratifiedKFold(n_splits=10, n_repeats=3, random_state=0)
    found = st.fold_summary(cross_val_score(KNeighborsClassifier(5), X, y, cv=folds).reshape(3, 10))
    close(found.mean, case["expected"]["mean"], case)
    close(found.per_repeat, case["expected"]["per_repeat"], case)

    case = oracles["loocv_end_to_end"]
    right = cross_val_score(KNeighborsClassifier(5), X, y, cv=LeaveOneOut())
    close(right.mean(), case["expected"]["accuracy"], case)
    close(st.proportion_standard_error(int(right.sum()), len(y)), case["expected"]["binomial_se"], case)

    case = oracles["nested_cv_end_to_end"]
    X, y = load_breast_cancer(return_X_y=True)
    inner, outer = (StratifiedKFold(k, shuffle=True, random_state=seed) for k, seed in ((3, 1), (5, 0)))
    search = GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 5, 15]}, cv=inner)
    outcome = cross_validate(search, X, y, cv=outer, return_estimator=True)
    close(outcome["test_score"], case["expected"]["outer_scores"], case)
    close([fitted.best_params_["n_neighbors"] for fitted in outcome["estimator"]], case["expected"]["chosen"], case)
    close(st.fold_summary(outcome["test_score"]).mean, case["expected"]["mean"], case)
