"""What ``timetrial list`` shows, as rows for programs and as a text table. Imports only what each list needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.spec import BASE, Scale

Row = dict[str, Any]


def list_workloads(scale: Scale = "mini") -> list[Row]:
    """One row per workload and variant at a scale. Nothing is built: parameters and tensors are the declared ones, the
    same in each of the ``frameworks``."""
    from harness.workloads import frameworks_of, workload_class, workload_names

    rows = []
    for name in workload_names():
        cls = workload_class(name)
        for variant in (BASE, *cls.variants):
            workload = cls(variant, scale)
            target = workload.target if workload.has_target else None
            rows.append(
                {
                    "workload": workload.full_name,
                    "metric": workload.metric.name,
                    "direction": workload.metric.direction,
                    "validation_target": target.validation if target else None,
                    "test_target": target.test if target else None,
                    "parameters": workload.num_parameters,
                    "tensors": len(workload.parameters()),
                    "batch_size": workload.base_settings.batch_size,
                    "step_hint": workload.step_hint,
                    "budget_sec": workload.max_allowed_runtime_sec,
                    "frameworks": list(frameworks_of(name)),
                    "summary": cls.summary if variant == BASE else cls.variants[variant].summary,
                }
            )
    return rows


def list_submissions() -> list[Row]:
    """One row per ready entry."""
    from harness.entry import entry_names, find_entry

    entries = [find_entry(name) for name in entry_names()]
    return [
        {
            "submission": entry.name,
            "frameworks": list(entry.frameworks),
            "rulesets": list(entry.rulesets),
            "track": entry.track,
            "summary": entry.summary,
        }
        for entry in entries
    ]


def list_suites() -> list[Row]:
    """One row per suite that comes with timetrial."""
    from harness.suite import load_suite, requests_of, suite_names

    rows = []
    for name in suite_names():
        suite = load_suite(name)
        requests = requests_of(suite)
        rows.append(
            {
                "suite": name,
                "rulesets": list(suite.rulesets),
                "workloads": len(requests[0].workloads),
                "submissions": max(len(r.submissions) for r in requests),
                "studies": suite.studies,
                "summary": suite.summary,
            }
        )
    return rows


def as_table(rows: Sequence[Row]) -> str:
    """Rows as aligned text columns; the last column is free text."""
    if not rows:
        return "none"
    header = list(rows[0])
    cells = [header, *[[_cell(row[name]) for name in header] for row in rows]]
    widths = [max(len(line[i]) for line in cells) for i in range(len(header) - 1)]
    return "\n".join(
        "  ".join([*[text.ljust(width) for text, width in zip(line, widths, strict=False)], line[-1]]).rstrip()
        for line in cells
    )


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
