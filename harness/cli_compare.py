"""The verbs that compare submissions under a resampling plan: compare and cv."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli_options import (
    FOLDER,
    Number,
    as_json_option,
    jobs_option,
    refuse_without_effect,
    replace_stale_option,
    rerun_option,
    table_console,
)

if TYPE_CHECKING:
    from harness.comparison import Runner
    from harness.suite import Request
    from harness.tuning import RulesetName

EXIT_UNDECIDED = 3
OUT = {"self_tuning": Path("runs/compare"), "external": Path("runs/compare_external")}
"""Where comparisons lie unless told, by ruleset: a results folder holds one."""

TESTS = (
    "5x2cv-f", "5x2cv-t", "corrected-t", "permutation", "wilcoxon", "log-rank", "mcnemar", "cochran-q", "friedman",
)  # fmt: skip
"""Keys of ``scoring.comparison.DESIGNS``, written out so that --help imports no statistics; a test holds them equal."""
CORRECTIONS = ("holm", "bonferroni", "sidak", "holm-sidak", "hochberg", "hommel", "bh", "by", "none")
"""Keys of ``scoring.statistics.multiplicity.ADJUSTMENTS``."""
RESPONSES = ("log-time", "steps", "metric", "reached")


def _run_options(command: Any) -> Any:
    options: list[Any] = [
        click.option("--workload", "-w", "workloads", multiple=True, default=["mnist"], show_default=True,
                     metavar="NAME", help="Full name; repeatable."),
        click.option("--framework", type=click.Choice(["torch", "jax"]), help="Default: all that the entry has."),
        click.option("--trials", type=click.IntRange(1), default=5, show_default=True,
                     help="Points per tuning, under the external ruleset."),
        click.option("--search-space", type=click.Path(path_type=Path, dir_okay=False),
                     help="External: JSON or YAML file in place of the entries' own."),
        click.option("--track", help="What entries may change: algoperf, initializers, finetuning, open."),
        click.option("--seed", type=click.IntRange(0), default=0, show_default=True),
        click.option("--budget", metavar="TIME", help="Submission time per trial, as 90, 90s, 10m or 3h."),
        click.option("--max-steps", type=click.IntRange(1), help="Fixed budget of steps. Default: the step hint."),
        click.option("--data-dir", type=FOLDER, help="Where data lies or is cached."),
        jobs_option,
        replace_stale_option,
        click.option("--across-machines", is_flag=True,
                     help="Compare times of two machine classes, scaled by calibration; else an error."),
    ]  # fmt: skip
    for option in reversed([*options, rerun_option]):
        command = option(command)
    return command


@click.command("compare")
@click.argument("submissions", nargs=-1, required=True)
@_run_options
@click.option("--test", type=click.Choice(TESTS), default=TESTS[0], show_default=True)
@click.option("--response", type=click.Choice(RESPONSES), help="Default: log-time.")
@click.option("--plan", metavar="PLAN", help="Resampling plan. Default: the test's own; see docs/comparing.md.")
@click.option("--ruleset", metavar="external|self-tuning", default="self-tuning", show_default=True)
@click.option("--inner", type=click.IntRange(1), default=1, show_default=True,
              help="External: parts of the tuning inside each fold (1: one holdout).")  # fmt: skip
@click.option("--alpha", type=Number(0, 1, min_open=True, max_open=True), default=0.05, show_default=True,
              help="Level of the whole family.")  # fmt: skip
@click.option("--correction", type=click.Choice(CORRECTIONS), default="holm", show_default=True,
              help="Of the p-values over all workloads and pairs, one family.")  # fmt: skip
@click.option(
    "--margin",
    type=Number(0, min_open=True),
    help="What still counts as no difference, as a ratio. Default: 1.1 for times.",
)
@click.option("--out", type=FOLDER, help="Results folder. Default: runs/compare; external: runs/compare_external.")
@click.option("--no-report", is_flag=True, help="Do not write the page with figures.")
@as_json_option
def compare_command(
    submissions: Sequence[str],
    test: str,
    response: str | None,
    plan: str | None,
    ruleset: str,
    inner: int,
    alpha: float,
    correction: str,
    margin: float | None,
    out: Path | None,
    no_report: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Say whether one training algorithm is better than another, on data like this.

    Runs what is missing and prints, for every pair and workload: the verdict {faster, slower, no meaningful difference,
    not enough data}, the time ratio with its interval, the test, and the runs still needed. One family: p-values are
    corrected over all pairs and workloads.

    \b
    Examples:
      timetrial compare nadamw_cosine muon_wsd --framework torch
      timetrial compare ./my_idea nadamw_cosine adamw_linear -w mnist -w criteo1tb --framework torch
      timetrial compare nadamw_cosine nesterov_cosine --framework torch --test corrected-t --response metric
      timetrial compare nadamw_cosine muon_wsd --framework torch --ruleset external --trials 5
      timetrial compare nadamw_cosine muon_wsd nesterov_cosine --framework torch --test cochran-q

    \b
    Exit codes: 0 something was decided, 2 bad input, 3 nothing could be decided (it says how many more runs would).
    """
    from harness.comparison import samples, search_points
    from harness.resampling import parse_plan
    from harness.suite import check_ruleset
    from scoring.comparison import DESIGNS, RESPONSES, check, compare
    from scoring.comparison.pages import print_comparison, write_comparison

    rules, why = check_ruleset(ruleset), "under the self-tuning ruleset; give --ruleset external as well"
    refuse_without_effect(("inner", "trials", "search_space"), rules == "external", why)
    out = out or OUT[rules]
    design = DESIGNS[test]
    answer = RESPONSES[response or design.responses[0]]
    across = design.over_workloads(len(options["workloads"]))
    chosen = parse_plan(plan or (design.plan_across if across else design.plan))
    if chosen.inner_parts:
        refuse_without_effect(
            ("inner",), False, f"with --plan {chosen.name}, which has {chosen.inner_parts} inner parts"
        )
        inner = chosen.inner_parts
    request = _request(submissions, rules, answer.censored or answer.name == "reached", options)
    names = list(search_points(request))
    check(test, answer.name, names, request.workloads, chosen.name, chosen.test_train_ratio, margin)
    found = samples(request, chosen, _runner(out, as_json, answer.name, options), answer, inner)
    comparison = compare(
        found,
        test=test,
        response=answer.name,
        plan=chosen.name,
        test_train_ratio=chosen.test_train_ratio,
        alpha=alpha,
        adjustment=correction,
        margin=margin,
    )
    page = None if no_report else write_comparison(comparison, found, out / "comparisons")
    if as_json:
        click.echo(json.dumps(comparison.to_json(), indent=1))
    else:
        print_comparison(comparison, table_console())
        if page:
            click.echo(f"page: {page}")
    if not comparison.decided:
        click.echo("nothing could be decided; see the runs needed above", err=True)
        sys.exit(EXIT_UNDECIDED)


@click.command("cv")
@click.argument("submissions", nargs=-1, required=True)
@_run_options
@click.option("--plan", metavar="PLAN", default="nested-5x3", show_default=True, help="Outer x inner folds.")
@click.option("--response", type=click.Choice(("log-time", "steps", "metric")), default="metric", show_default=True)
@click.option("--out", type=FOLDER, default=Path("runs/cv"), show_default=True, help="Results folder.")
@as_json_option
def cv_command(submissions: Sequence[str], plan: str, response: str, out: Path, as_json: bool, **options: Any) -> None:
    """Cross-validate a submission's tuning: what the procedure (search space, trial budget, rule) is worth.

    The inner folds choose a point of the submission's own search space, the outer folds score the choice. Shows the
    chosen point per outer fold, the outer scores with mean and interval, and the optimism of not nesting.

    \b
    Examples:
      timetrial cv nadamw_cosine --framework torch
      timetrial cv muon_wsd --framework torch --plan nested-5x3 --trials 5 --response steps --json
    """
    from harness.comparison import cross_validated, search_points
    from harness.resampling import parse_plan
    from scoring.comparison import RESPONSES
    from scoring.comparison.nested_view import print_nested

    chosen = parse_plan(plan)
    request = _request(submissions, "external", RESPONSES[response].censored, options)
    results = cross_validated(request, chosen, _runner(out, as_json, response, options), RESPONSES[response])
    points = search_points(request)
    if as_json:
        listed = [
            {"submission": name, "workload": workload, "plan": plan, "points": points[name], **result.to_json()}
            for (name, workload), result in results.items()
        ]
        click.echo(json.dumps(listed, indent=1, default=str))
        return
    for (name, workload), result in results.items():
        print_nested(f"{name} on {workload}, {plan}", result, points[name], table_console())


def _request(
    submissions: Sequence[str], ruleset: RulesetName, target_required: bool, options: dict[str, Any]
) -> Request:
    from harness.requests import parse_duration
    from harness.suite import Request, check_track
    from harness.workloads import distinct

    given = {name: options[name] for name in ("search_space", "max_steps", "data_dir") if options[name] is not None}
    if options["budget"]:
        given["budget_sec"] = parse_duration(options["budget"])
    if options["track"]:
        given["track"] = check_track(options["track"])
    return Request(
        workloads=distinct(options["workloads"]),
        submissions=tuple((name, options["framework"]) for name in submissions),
        ruleset=ruleset,
        studies=1,
        trials=options["trials"],
        seed=options["seed"],
        target_required=target_required,
        **given,
    )


def _runner(out: Path, quiet: bool, response: str, options: dict[str, Any]) -> Runner:
    from rich.console import Console

    from harness.comparison import Runner
    from harness.launch import most_jobs

    console = Console(stderr=True, quiet=quiet)
    return Runner(
        out,
        options["jobs"] or most_jobs(1, [options["framework"]]),
        console,
        replace_stale=options["replace_stale"],
        timed=response == "log-time",
        rerun_disturbed=options["rerun_disturbed"],
        across_machines=options["across_machines"],
    )


COMMANDS = (compare_command, cv_command)
