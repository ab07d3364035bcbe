"""Statistics of Raschka's review (arXiv 1811.12808) on plain arrays; see docs/statistics.md.

Every test returns an :class:`Outcome`, every interval or effect an :class:`Estimate`. Degenerate input gives a defined
value with a flag and a note; NaN, infinite or misshapen input a ``ValueError`` that names the cell.
"""

from scoring.ranktests import RankTest, friedman
from scoring.statistics.crossvalidation import (
    FoldSummary,
    Posterior,
    corrected_t,
    correlated_t,
    five_by_two_cv_f,
    five_by_two_cv_t,
    fold_summary,
    k_fold_paired_t,
    mean_difference,
    one_standard_error_rule,
    replication_variances,
    resampled_paired_t,
)
from scoring.statistics.effects import (
    a12,
    cliffs_delta,
    cohens_d,
    cohens_dz,
    cohens_h,
    discordance_odds,
    geometric_ratio,
    interquartile_mean,
    optimality_gap,
    probability_of_improvement,
    rank_agreement,
)
from scoring.statistics.multiplicity import adjust, combine
from scoring.statistics.outcome import Estimate, Outcome, paired_differences
from scoring.statistics.paired_models import cochran_q, disagreement_table, looney_f, mcnemar, mcnemar_many
from scoring.statistics.permutation import (
    paired_permutation,
    paired_permutation_many,
    sign_test,
    signed_rank_floor,
    unpaired_permutation,
    wilcoxon,
)
from scoring.statistics.planning import (
    detectable_difference,
    five_by_two_cv_f_power,
    paired_t_power,
    paired_t_sample_size,
    two_proportion_sample_size,
)
from scoring.statistics.proportions import (
    difference_of_proportions,
    proportion_interval,
    proportion_standard_error,
)
from scoring.statistics.resampling import (
    Bootstrap632,
    bootstrap_632,
    bootstrap_632_plus,
    bootstrap_interval,
    bootstrap_replicates,
    no_information_rate,
    out_of_bag_interval,
)
from scoring.statistics.survival import (
    SurvivalCurve,
    kaplan_meier,
    log_rank,
    restricted_mean_difference,
    restricted_mean_time,
    stratified_log_rank,
)

__all__ = [
    "Bootstrap632",
    "Estimate",
    "FoldSummary",
    "Outcome",
    "Posterior",
    "RankTest",
    "SurvivalCurve",
    "a12",
    "adjust",
    "bootstrap_632",
    "bootstrap_632_plus",
    "bootstrap_interval",
    "bootstrap_replicates",
    "cliffs_delta",
    "cochran_q",
    "cohens_d",
    "cohens_dz",
    "cohens_h",
    "combine",
    "corrected_t",
    "correlated_t",
    "detectable_difference",
    "difference_of_proportions",
    "disagreement_table",
    "discordance_odds",
    "five_by_two_cv_f",
    "five_by_two_cv_f_power",
    "five_by_two_cv_t",
    "fold_summary",
    "friedman",
    "geometric_ratio",
    "interquartile_mean",
    "k_fold_paired_t",
    "kaplan_meier",
    "log_rank",
    "looney_f",
    "mcnemar",
    "mcnemar_many",
    "mean_difference",
    "no_information_rate",
    "one_standard_error_rule",
    "optimality_gap",
    "out_of_bag_interval",
    "paired_differences",
    "paired_permutation",
    "paired_permutation_many",
    "paired_t_power",
    "paired_t_sample_size",
    "probability_of_improvement",
    "proportion_interval",
    "proportion_standard_error",
    "rank_agreement",
    "replication_variances",
    "resampled_paired_t",
    "restricted_mean_difference",
    "restricted_mean_time",
    "sign_test",
    "signed_rank_floor",
    "stratified_log_rank",
    "two_proportion_sample_size",
    "unpaired_permutation",
    "wilcoxon",
]
