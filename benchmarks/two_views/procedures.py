"""The tests under examination, each with the design it is used in, by way of ``scoring.statistics`` alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.two_views import data
from benchmarks.two_views.runs import Responses
from scoring import statistics as st

Answer = st.Outcome | st.RankTest


@dataclasses.dataclass(frozen=True)
class Procedure:
    """A test in a design.

    Attributes:
      option: of ``timetrial compare --test``; empty where it offers no such test.
      words: for tables.
      design: key of ``DESIGNS``.
      test: (parts, response) to its result; parts are two or, in a design with a third algorithm, three responses.
      responses: which ones it is for.
      null: what it takes as given, where that is less than the question "is the algorithm better?" needs.
    """

    option: str
    words: str
    design: str
    test: Callable[[list[Responses], str], Answer]
    responses: tuple[str, ...] = ("log_time", "error")
    null: str = ""


def _differences(parts: list[Responses], response: str) -> np.ndarray:
    return getattr(parts[0], response) - getattr(parts[1], response)


def _paired(test: Callable[..., st.Outcome], *arguments: Any, shape: tuple[int, ...] = (-1,)):
    return lambda parts, response: test(_differences(parts, response).reshape(shape), *arguments)


def _across(test: Callable[[np.ndarray], st.Outcome]):
    """On one difference of means per workload."""
    return lambda parts, response: test(_differences(parts, response).mean(axis=1))


def _wilcoxon(differences: np.ndarray) -> st.Outcome:
    return st.wilcoxon(differences, "pratt")


def _unpaired(parts: list[Responses], response: str) -> st.Outcome:
    return st.unpaired_permutation(getattr(parts[0], response)[0], getattr(parts[1], response)[0])


def _log_rank(parts: list[Responses], response: str) -> st.Outcome:
    one, two = parts[:2]
    return st.log_rank(one.steps[0], one.reached[0], two.steps[0], two.reached[0])


def _stratified(parts: list[Responses], response: str) -> st.Outcome:
    pair = parts[:2]
    workload = np.broadcast_to(np.arange(len(pair[0].steps))[:, None], pair[0].steps.shape).ravel()
    return st.stratified_log_rank(
        np.concatenate([part.steps.ravel() for part in pair]),
        np.concatenate([part.reached.ravel() for part in pair]),
        np.repeat([0, 1], workload.size),
        np.tile(workload, 2),
    )


def _friedman(parts: list[Responses], response: str) -> st.RankTest:
    return st.friedman(np.stack([getattr(part, response).mean(axis=1) for part in parts], axis=1))


def _mcnemar(parts: list[Responses], response: str) -> st.Outcome:
    return st.mcnemar(st.disagreement_table(parts[0].right[0], parts[1].right[0]), "mid-p")


def _cochran(parts: list[Responses], response: str) -> st.Outcome:
    return st.cochran_q(np.stack([part.right[0] for part in parts], axis=1))


RESAMPLED_RATIO = (data.PER_CLASS - data.CUT) / data.CUT
_NETWORKS = "these trained networks"
_SPLIT = "this one split: seeds only"

PROCEDURES = (
    Procedure("5x2cv-f", "5x2cv combined F", "5x2cv", _paired(st.five_by_two_cv_f, shape=(5, 2))),
    Procedure("5x2cv-t", "5x2cv paired t", "5x2cv", _paired(st.five_by_two_cv_t, shape=(5, 2))),
    Procedure("corrected-t", "corrected t (+1/2)", "resampled", _paired(st.corrected_t, RESAMPLED_RATIO)),
    Procedure("corrected-t", "corrected t (+1/9)", "k-fold", _paired(st.corrected_t, 1 / 9)),
    Procedure("corrected-t", "corrected t (+1)", "5x2cv", _paired(st.corrected_t, 1.0)),
    Procedure("permutation", "8 seeds against 8", "studies", _unpaired, null=_SPLIT),
    Procedure("wilcoxon", "signed ranks of 8 workloads", "workloads", _across(_wilcoxon)),
    Procedure("wilcoxon", "signed ranks of folds", "k-fold", _paired(_wilcoxon)),
    Procedure("log-rank", "log-rank, 8 seeds against 8", "studies", _log_rank, ("log_time",), _SPLIT),
    Procedure("friedman", "Friedman, 8 workloads, 3 algorithms", "workloads", _friedman),
    Procedure("mcnemar", "McNemar, mid-p", "studies", _mcnemar, ("error",), _NETWORKS),
    Procedure("cochran-q", "Cochran's Q, 3 algorithms", "studies", _cochran, ("error",), _NETWORKS),
    Procedure("", "sign flips of 8 workloads", "workloads", _across(st.paired_permutation)),
    Procedure("", "sign flips of folds", "k-fold", _paired(st.paired_permutation)),
    Procedure("", "sign flips of halves", "5x2cv", _paired(st.paired_permutation)),
    Procedure("", "signed ranks of halves", "5x2cv", _paired(_wilcoxon)),
    Procedure("", "log-rank, stratified by 8 workloads", "workloads", _stratified, ("log_time",), "these workloads"),
    Procedure("", "naive k-fold t", "k-fold", _paired(st.k_fold_paired_t)),
    Procedure("", "naive resampled t", "resampled", _paired(st.resampled_paired_t)),
)
