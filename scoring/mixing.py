"""Plain logs carry no version. Their layout tells it: the number of studies, and whether held-out variants were run."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Mapping
from pathlib import Path

from results.reader import Table, Trial
from scoring.benchmark import Benchmark, load, names
from scoring.errors import ScoringError


def refuse_mixed_versions(table: Table, chosen: Benchmark) -> None:
    """Raises when two submissions' logs each have exactly the layout of a version, and of different ones.

    A submission that matches no version exactly (a study or a variant is missing here and there) is incomplete, which
    the irregularities say; only complete layouts are evidence.

    Raises:
      ScoringError: two versions mixed; names one folder of each.
    """
    if table.own:
        return
    versions = [load(name, chosen.ruleset) for name in names()]
    trials: dict[str, list[Trial]] = {}
    for trial in table.trials:
        trials.setdefault(trial.submission, []).append(trial)
    layouts = {name: _versions_of(mine, versions, chosen) for name, mine in trials.items()}
    for (one, first), (two, second) in itertools.combinations(layouts.items(), 2):
        if first and second and not first.keys() & second.keys():
            described = "; ".join(
                f"{_folder(trials[name][0])} has {next(iter(found.values()))}, as {' and '.join(found)}"
                for name, found in ((one, first), (two, second))
            )
            raise ScoringError(
                f"two versions mixed: {described}; score each version's logs on their own, or complete the studies"
            )


def _versions_of(trials: list[Trial], versions: list[Benchmark], chosen: Benchmark) -> Mapping[str, str]:
    """Versions whose layout the trials have exactly, with a description of it."""
    studies: dict[str, set[int]] = collections.defaultdict(set)
    for trial in trials:
        studies[trial.workload].add(trial.study)
    counts = {len(found) for found in studies.values()}
    variants = sorted(set(studies) & set(chosen.layout.held_out))
    found: dict[str, str] = {}
    for version in versions:
        visible = set(version.layout.held_out) & set(chosen.layout.held_out)
        if counts == {version.studies} and bool(variants) == bool(visible):
            held_out = "" if not chosen.layout.held_out else " with held-out variants" if variants else ", no variants"
            found[version.version] = f"{version.studies} studies of every workload{held_out}"
    return found


def _folder(trial: Trial) -> Path:
    """The submission's folder."""
    return Path(trial.folder).parents[2]
