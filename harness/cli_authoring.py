"""The verbs that start a submission and set a workload's targets: new and targets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness.cli_options import FILE, FOLDER, Number, as_json_option, jobs_option, refuse_without_effect


@click.command("new")
@click.argument("name")
@click.option("--framework", type=click.Choice(["torch", "jax"]), default="torch", show_default=True)
@click.option("--into", type=FOLDER, default=Path(), help="Parent folder of the new entry. Default: here.")
def new_command(name: str, framework: str, into: Path) -> None:
    """Start a submission: a folder with a complete, commented submission.py that trains as it is.

    \b
    Examples:
      timetrial new my_idea --framework jax
      timetrial run -s ./my_idea -w mnist --studies 1
    """
    from harness.scaffold import new_entry

    folder = new_entry(name, framework, into)  # type: ignore[arg-type]
    click.echo(f"{folder}/submission.py is ready; try it with\n  timetrial run -s {folder} -w mnist --studies 1")


_OF_THE_SEARCH = ("algorithms", "search_space", "framework", "points", "horizon")


@click.command("targets")
@click.argument("workload")
@click.option("--variant", "variants", multiple=True, help="Default: the base and every variant.")
@click.option("--algorithm", "-a", "algorithms", multiple=True, help="Entries to search. Default: three standard ones.")
@click.option("--search-space", type=FILE, help="JSON or YAML file in place of the algorithms' own and their defaults, "
              "which fill in what it leaves out; a list of one point is rerun, not searched.")  # fmt: skip
@click.option("--framework", type=click.Choice(["torch", "jax"]), default="torch", show_default=True)
@click.option("--points", type=click.IntRange(0), default=6, show_default=True,
              help="Search points per algorithm, beside its defaults; 0: these alone.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(3), default=10, show_default=True, help="Reruns of the best point.")
@click.option("--plan", metavar="PLAN", help="Targets for a resampling plan's smaller training sets, such as 5x2cv.")
@click.option("--inner", type=click.IntRange(0), default=0, metavar="N",
              help="With --plan: also for N inner parts (1: one inner holdout).")  # fmt: skip
@click.option("--horizon", type=Number(0.1, 1.0), default=0.75, show_default=True,
              help="Share of the step hint that a target-setting run may use.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@jobs_option
@click.option("--out", type=FOLDER, help="Folder of the runs. Default: runs/targets.")
@click.option("--data-dir", type=FOLDER, help="Where data is cached.")
@click.option("--write", is_flag=True, help="Put the result into the workload's targets.json.")
@as_json_option
def targets_command(
    workload: str,
    variants: Sequence[str],
    plan: str | None,
    inner: int,
    as_json: bool,
    write: bool,
    jobs: int | None,
    **options: Any,
) -> None:
    """Set a mini workload's targets by AlgoPerf's procedure, scaled down.

    Random search over several standard algorithms, reruns of the best points; the validation target is
    the median of their best values, the test target the worst test value among the runs that met it.

    \b
    Examples:
      timetrial targets mnist --points 4 --seeds 5
      timetrial targets criteo1tb --variant layernorm --jobs 2 --write
      timetrial targets mnist --plan 5x2cv --write
    """
    from harness.launch import most_jobs
    from harness.targets import set_resampled_targets, set_targets

    searched = "with --plan, which reruns the point that the targets were set by; leave it out"
    refuse_without_effect(_OF_THE_SEARCH, not plan, searched)
    refuse_without_effect(("inner",), bool(plan), "without --plan; give it as well")
    jobs = jobs or most_jobs(1, [options["framework"]])
    common: dict[str, Any] = {"variants": tuple(variants), "jobs": jobs, "write": write}
    if plan:
        kept = {name: options[name] for name in ("seeds", "seed", "out", "data_dir")}
        resampled = set_resampled_targets(workload, plan, inner=inner, **common, **kept)
        results: dict[str, Any] = {
            f"{v} {key} of the data": found for v, of_v in resampled.items() for key, found in of_v.items()
        }
    else:
        results = set_targets(workload, **common, **options)
    if as_json:
        click.echo(json.dumps(results, indent=1))
        return
    for variant, found in results.items():
        source = f"{found['algorithm']}, {found['steps']} steps" if "algorithm" in found else found["plan"]
        click.echo(
            f"{workload} {variant}: validation {found['validation']:.6g}, test {found['test']:.6g} "
            f"({source}, {found['seeds']} seeds)"
        )


COMMANDS = (new_command, targets_command)
