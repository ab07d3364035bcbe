"""``timetrial machine``: what this machine is, and how fast and how quiet it is now."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from harness.declarations import FRAMEWORKS

if TYPE_CHECKING:
    from harness.frameworks import TrialBackend


def machine_report(repeats: int) -> dict[str, Any]:
    """Facts, and of each kernel the fastest repetition, the median over it, and the spread of the repetitions."""
    from harness.machine import machine_facts
    from harness.plan import versions
    from harness.speed import all_kernel_times, measure
    from results.machines import class_facts

    backend = _gpu_backend()
    now = measure(backend)
    kernels = {
        name: {
            "fastest_sec": min(times),
            "median_over_fastest": statistics.median(times) / min(times),
            "coefficient_of_variation": statistics.stdev(times) / statistics.fmean(times),
        }
        for name, times in all_kernel_times(backend, repeats).items()
    }
    return {
        "machine": dict(machine_facts()),
        "class_made_of": class_facts(machine_facts(), 1, {**versions("torch"), **versions("jax")}),
        "kernels": kernels,
        "repeats": repeats,
        "load": now.load,
        "steal_sec_since_boot": now.steal_sec,
        "throttled_since_boot": now.throttled,
    }


def _gpu_backend() -> TrialBackend | None:
    """Of the first framework that computes on a GPU here."""
    from harness.accelerators import device_for
    from harness.frameworks import load

    return next((load(name) for name in FRAMEWORKS if device_for(name) != "cpu"), None)


def _lines(facts: Mapping[str, Any], indent: str = "") -> list[str]:
    found = []
    for name, value in facts.items():
        if isinstance(value, Mapping):
            found += [f"{indent}{name}", *_lines(value, indent + "  ")]
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
            found.append(f"{indent}{name:18} {'-' if text in (None, '') else text}")
    return found


@click.command("machine")
@click.option("--repeats", type=click.IntRange(2), default=30, show_default=True, help="Of each kernel.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output and nothing else there.")
def machine_command(repeats: int, as_json: bool) -> None:
    """Say what this machine is (its class decides which times compare), and how fast and how quiet it is now.

    \b
    Examples:
      timetrial machine
      timetrial machine --repeats 200 --json
    """
    report = machine_report(repeats)
    if as_json:
        click.echo(json.dumps(report, indent=1))
        return
    click.echo("\n".join(_lines(report["machine"])))
    click.echo("\nwhat decides whether times compare (with one thread per trial)")
    click.echo("\n".join(_lines(report["class_made_of"], "  ")))
    click.echo(f"\n{'kernel':12} {'fastest':>12} {'median':>14} {'variation':>10}")
    for name, found in report["kernels"].items():
        fastest, over = found["fastest_sec"], found["median_over_fastest"]
        variation = found["coefficient_of_variation"]
        click.echo(f"{name:12} {1e6 * fastest:9.1f} us {over:8.2f} times {variation:10.1%}")
    click.echo(f"load {report['load']}, steal {report['steal_sec_since_boot']} s since boot")


COMMANDS = (machine_command,)
