"""Command-line options to requests."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.entry import find_entry
from harness.errors import UsageError
from harness.suite import Request, check_ruleset, check_track, load_suite, requests_of
from harness.tuning import RULESETS

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_OVERRIDES = ("studies", "trials", "scale", "seed", "threads", "max_steps", "data_dir", "search_space")


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
      UsageError: neither a suite nor a submission and a workload are named, or a name is unknown.
    """
    overrides = {name: options[name] for name in _OVERRIDES if options[name] is not None}
    if options["budget"]:
        overrides["budget_sec"] = parse_duration(options["budget"])
    if options["track"]:
        overrides["track"] = check_track(options["track"])
    if options["workloads"]:
        overrides["workloads"] = tuple(options["workloads"])
    if options["submissions"]:
        overrides["submissions"] = tuple((name, options["framework"]) for name in options["submissions"])
    wanted = check_ruleset(options["ruleset"]) if options["ruleset"] else None
    if options["suite"]:
        return _from_suite(options, overrides, wanted)
    for name, flag in (("submissions", "--submission NAME"), ("workloads", "--workload NAME")):
        if not options[name]:
            raise UsageError(f"nothing to run: give a suite (`timetrial list suites`) or {flag}")
    ruleset = wanted or _common_ruleset(options["submissions"], options["search_space"])
    rules = RULESETS[ruleset]
    base: dict[str, Any] = {"ruleset": ruleset, "studies": rules.studies, "trials": rules.trials}
    return [Request(**{**base, **overrides})]


def _from_suite(options: Mapping[str, Any], overrides: Mapping[str, Any], wanted: str | None) -> list[Request]:
    requests = requests_of(load_suite(options["suite"]))
    if wanted:
        requests = [r for r in requests if r.ruleset == wanted]
        if not requests:
            raise UsageError(f"suite {options['suite']} has no ruleset {wanted}")
    framework = options["framework"]
    if framework and "submissions" not in overrides:
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
    return [dataclasses.replace(r, **overrides) for r in requests]


def _common_ruleset(submissions: tuple[str, ...], search_space: Path | None) -> str:
    """The ruleset that all entries can run under; self-tuning, the cheaper one, before external."""
    entries = [find_entry(name, search_space) for name in submissions]
    for ruleset in ("self_tuning", "external"):
        if all(ruleset in entry.rulesets for entry in entries):
            return ruleset
    rules = "; ".join(f"{entry.name}: {', '.join(entry.rulesets)}" for entry in entries)
    raise UsageError(f"these submissions share no ruleset ({rules}); run them separately")
