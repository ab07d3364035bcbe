"""Runs a probe in a process of its own, with limits: whatever an entry does there becomes a finding."""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from harness.check.findings import Finding, finding
from harness.check.probe import ProbeTask, probe
from harness.launch import fork_server, without_main_module
from harness.worker import die_with_parent, redirect_output

POLL_SEC = 0.05
GOODBYE_SEC = 5.0
"""What a process may take to end by itself: killed, it leaves the locks that an entry's libraries made, and Python
tells of each on stderr."""
_LOG_LINES = 3
_STUCK = frozenset({"hangs", "memory"})


@dataclasses.dataclass(frozen=True)
class Limits:
    """When a probe's process is ended.

    Attributes:
      silent_sec: how long it may go without beginning something new (each run of eight steps begins anew).
      memory_bytes: the resident memory it may hold.
    """

    silent_sec: float = 240.0
    memory_bytes: int = 6 * 2**30


def run_probe(task: ProbeTask, limits: Limits) -> list[Finding]:
    """Findings of an entry in one framework, how ever its process ends."""
    context = fork_server(1, {task.framework}, folds=False)
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix="timetrial-check-") as folder:
        log = Path(folder) / "log"
        process = context.Process(target=child, args=(task, sender, log), daemon=True)
        with without_main_module():
            process.start()
        sender.close()
        try:
            found = _watch(task, limits, process, receiver, log)
            if not _STUCK & {finding.rule for finding in found}:
                process.join(GOODBYE_SEC)
            return found
        finally:
            process.kill()
            process.join()


def _watch(task: ProbeTask, limits: Limits, process: Any, receiver: Connection, log: Path) -> list[Finding]:
    phase, since = "the start", time.monotonic()
    found: list[Finding] = []
    while True:
        alive = process.is_alive()
        with contextlib.suppress(EOFError, OSError):
            while receiver.poll(POLL_SEC if alive else 0):
                kind, payload = receiver.recv()
                if kind == "finished":
                    return payload["findings"]
                if kind == "progress" and "step" not in payload:
                    phase = payload["phase"]
                found = payload.get("findings", found)
                since = time.monotonic()
        if not alive:
            return [*found, _death(task, process, phase, log)]
        if time.monotonic() - since > limits.silent_sec:
            path, line = _where_it_stands(task, process, log)
            message = f"{phase}: no end after {limits.silent_sec:.0f} s"
            return [*found, finding("hangs", path, line, message, task.framework)]
        if _resident_bytes(process.pid) > limits.memory_bytes:
            path, line = _where_it_stands(task, process, log)
            message = f"{phase}: holds more than {limits.memory_bytes / 2**30:.1f} GiB"
            return [*found, finding("memory", path, line, message, task.framework)]


def _death(task: ProbeTask, process: Any, phase: str, log: Path) -> Finding:
    process.join()
    code = process.exitcode or 0
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    last = " / ".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:]) if log.exists() else ""
    place = _place_in_log(task, log) or task.places.get("update_params", (task.entry.path, 1))
    return finding("crashes", *place, f"{phase}: its process {how}{': ' if last else ''}{last}", task.framework)


def _where_it_stands(task: ProbeTask, process: Any, log: Path) -> tuple[Path, int]:
    """Asks the process for its stack, and takes the innermost line of the entry."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGUSR1)
    deadline = time.monotonic() + 2
    place = None
    while place is None and time.monotonic() < deadline:
        time.sleep(POLL_SEC)
        place = _place_in_log(task, log)
    return place or task.places.get("update_params", (task.entry.path, 1))


def _place_in_log(task: ProbeTask, log: Path) -> tuple[Path, int] | None:
    """The first line of the entry in the last stack of the log (faulthandler writes the innermost call first)."""
    if task.entry.kind != "module" or not log.exists():
        return None
    frames = re.findall(r'File "([^"]+)", line (\d+)', log.read_text(errors="replace"))
    own = [(Path(name), int(line)) for name, line in frames if Path(name).is_relative_to(task.entry.path.parent)]
    return own[0] if own else None


def _resident_bytes(pid: int | None) -> int:
    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0


# ---- in the process ----


def child(task: ProbeTask, connection: Connection, log: Path) -> None:
    """Entry point of the process; sends ``progress`` messages and at the end ``finished``."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # results must be the same to the bit, and the toys are small
    # As in a trial: compiled by one process, and nothing that an earlier one has left.
    os.environ |= {"TORCHINDUCTOR_CACHE_DIR": str(log.parent / "inductor"), "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    redirect_output(log)
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)

    def send(kind: str, payload: Mapping[str, Any]) -> None:
        if kind == "progress":
            connection.send((kind, dict(payload)))

    if task.framework == "jax":
        _compile_quickly(log.parent / "jax")
    work = log.parent / "work"  # removed by the parent, which may end this process
    work.mkdir()
    with contextlib.chdir(work):
        found = probe(task, send)
        connection.send(("finished", {"findings": found}))
    sys.stdout.flush()
    sys.stderr.flush()
    connection.close()


def _compile_quickly(folder: Path) -> None:
    """An entry is started several times per toy; the later starts take what the first one compiled. The code runs for
    eight steps: to make it fast would take longer than it then runs."""
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
