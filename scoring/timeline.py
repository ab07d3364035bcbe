"""A trial's time as a picture: one line per part between two evaluations, each segment as long as it took."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from results.record import STEPS, TrialRecord
from scoring.errors import ScoringError

ORDER = (
    "setup",
    "calibrate",
    "initialise",
    "restore",
    "compile",
    "data_selection",
    "step",
    "prepare_for_eval",
    "evaluate",
    "checkpoint",
    "log",
)
"""Of segments within a part, roughly as they come; unknown ones follow."""
COLOURS: Mapping[str, str] = {
    "setup": "#d0d1d3",
    "calibrate": "#b9bbbe",
    "initialise": "#7570d3",
    "restore": "#a6a8ab",
    "compile": "#e66101",
    "data_selection": "#b08900",
    "step": "#2b83ba",
    "prepare_for_eval": "#1a9e77",
    "evaluate": "#c2589b",
    "checkpoint": "#d7443e",
    "log": "#8a8d91",
}
_OTHER = "#5b5d60"
OFF_THE_CLOCK = frozenset({"setup", "calibrate", "restore", "evaluate", "checkpoint", "log"})

FORMATS = (".svg", ".png", ".pdf")

Bar = tuple[str, float, float]
"""A segment, when it began, and how long it took, in seconds since the trial's start."""


def parts(timeline: Sequence[Mapping[str, float]]) -> Iterator[tuple[str, list[Bar]]]:
    """What happened until each mark of a record's timeline: a name such as ``to step 250``, and bars without gaps.

    Steps and data selection take turns within a part; here each is one bar.
    """
    now = 0.0
    for before, after in itertools.pairwise([{}, *timeline]):
        bars: list[Bar] = []
        for name in [*ORDER, *sorted(after.keys() - {*ORDER, STEPS})]:
            took = after.get(name, 0.0) - before.get(name, 0.0)
            if took > 0:
                bars.append((name, now, took))
                now += took
        if bars:
            yield "the end" if after[STEPS] == before.get(STEPS) else f"to step {int(after[STEPS])}", bars


def draw_timeline(record: TrialRecord, path: Path) -> None:
    """Writes the picture in the format that the path's ending names, into a folder that is made if it is not there.

    Raises:
      ScoringError: the record has no timeline, the ending names none of ``FORMATS``, or the path cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise ScoringError(f"{path}: a timeline is drawn as {', '.join(FORMATS)}; end the file's name in one of them")
    if not record.timeline:
        raise ScoringError(
            f"{record.spec.key.folder} has no timeline: it was recorded before there were any, or its process died"
        )
    import matplotlib
    from matplotlib.figure import Figure

    rows = list(parts(record.timeline))
    figure = Figure(figsize=(10, 1.4 + 0.22 * len(rows)), layout="constrained")
    axes = figure.subplots()
    drawn: dict[str, None] = {}
    for position, (_, bars) in enumerate(rows):
        for name, start, took in bars:
            label = f"{name}{' (off the clock)' if name in OFF_THE_CLOCK else ''}"
            axes.barh(
                position,
                took,
                left=start,
                color=COLOURS.get(name, _OTHER),
                label=None if name in drawn else f"{label} {record.segments.get(name, 0.0):.2f} s",
                hatch="///" if name in OFF_THE_CLOCK else None,
                edgecolor="white",
                linewidth=0.3,
            )
            drawn[name] = None
    axes.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("seconds since the trial's process began; time between processes is left out")
    key = record.spec.key
    axes.set_title(
        f"{key.submission} on {key.workload}, study {key.study}, trial {key.trial}: {record.stop_reason} after "
        f"{record.steps} steps and {record.wall_sec:.1f} s (interruptions: {record.preemptions})"
    )
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": record.digest}):
            figure.savefig(path, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
    except OSError as error:
        raise ScoringError(f"cannot write {path}: {error.strerror}; choose another --out") from error
