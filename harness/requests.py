"""Command-line options to requests."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.entry import find_entry
from harness.errors import UsageError
from harness.suite import Request, check_ruleset, check_track, load_suite, requests_of
from harness.tuning import RULESETS, RulesetName
from harness.workloads import distinct

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_TUNING = ("search_space", "trials")
"""Options that only the external ruleset knows; where a suite has both, they are for its part."""
_OVERRIDES = ("studies", "scale", "seed", "threads", "max_steps", "data_dir", *_TUNING)


def parse_duration(text: str) -> float:
    """Seconds in ``90``, ``90s``, ``10m`` or ``3h``.

    Raises:
      UsageError: it is none of these, or not positive.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if seconds <= 0:
        raise UsageError(f"--budget {text!r} is not a duration; write 90, 90s, 10m or 3h")
    return seconds


def requests_from_options(options: Mapping[str, Any]) -> list[Request]:
    """Requests of a suite, with the command line's options laid over it, or of the options alone.

    Raises:
      UsageError: neither a suite nor a submission and a workload are named, a name is unknown, or an option would have
        no effect.
    """
    overrides = {name: options[name] for name in _OVERRIDES if options[name] is not None}
    if options["budget"]:
        overrides["budget_sec"] = parse_duration(options["budget"])
    if options["track"]:
        overrides["track"] = check_track(options["track"])
    if options["workloads"]:
        overrides["workloads"] = distinct(options["workloads"])
    if options["submissions"]:
        overrides["submissions"] = tuple((name, options["framework"]) for name in options["submissions"])
    wanted = check_ruleset(options["ruleset"]) if options["ruleset"] else None
    requests = _from_suite(options, wanted) if options["suite"] else [_from_options_alone(options, overrides, wanted)]
    _refuse_idle_tuning(requests, overrides)
    rest = {name: value for name, value in overrides.items() if name not in _TUNING}
    return [dataclasses.replace(r, **(overrides if r.ruleset == "external" else rest)) for r in requests]


def _refuse_idle_tuning(requests: Sequence[Request], overrides: Mapping[str, Any]) -> None:
    if any(request.ruleset == "external" for request in requests):
        return
    for name in _TUNING:
        own = getattr(requests[0], name)
        if overrides.get(name, own) != own:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} has no effect under the self-tuning ruleset; give --ruleset external as well")


def _from_options_alone(
    options: Mapping[str, Any], overrides: Mapping[str, Any], wanted: RulesetName | None
) -> Request:
    for name, flag in (("submissions", "--submission NAME"), ("workloads", "--workload NAME")):
        if not options[name]:
            raise UsageError(f"nothing to run: give a suite (`timetrial list suites`) or {flag}")
    ruleset = wanted or _common_ruleset(options["submissions"], options["search_space"])
    rules = RULESETS[ruleset]
    return Request(overrides["workloads"], overrides["submissions"], ruleset, rules.studies, rules.trials)


def _from_suite(options: Mapping[str, Any], wanted: RulesetName | None) -> list[Request]:
    requests = requests_of(load_suite(options["suite"]))
    if wanted:
        requests = [r for r in requests if r.ruleset == wanted]
        if not requests:
            raise UsageError(f"suite {options['suite']} has no ruleset {wanted}")
    framework = options["framework"]
    if framework and not options["submissions"]:
        requests = [
            dataclasses.replace(
                r,
                submissions=tuple(
                    (name, framework)
                    for name, given in r.submissions
                    if given in (None, framework) and framework in find_entry(name).frameworks
                ),
            )
            for r in requests
        ]
    return requests


def _common_ruleset(submissions: Sequence[str], search_space: Path | None) -> RulesetName:
    """The ruleset that all entries can run under; self-tuning, the cheaper one, before external."""
    entries = [find_entry(name, search_space) for name in submissions]
    rulesets: tuple[RulesetName, ...] = ("self_tuning", "external")
    for ruleset in rulesets:
        if all(ruleset in entry.rulesets for entry in entries):
            return ruleset
    rules = "; ".join(f"{entry.name}: {', '.join(entry.rulesets)}" for entry in entries)
    raise UsageError(f"these submissions share no ruleset ({rules}); run them separately")
