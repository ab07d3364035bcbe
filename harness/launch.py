"""Runs trials on this machine: one process each, pinned to its own cores, watched by the parent.

The parent alone writes results. Whatever happens to a trial's process (an exception, a signal, no sign of life, too
much memory) becomes a record with a reason, and the other trials go on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import psutil

from harness.accelerators import VISIBLE, Gpu, gpus_for
from harness.declarations import FRAMEWORKS, Framework
from harness.errors import UsageError
from harness.frameworks import set_thread_environment
from harness.judge import JudgeProcess, Verify
from harness.machine import descendants, has_ended, is_stopped, parent_of, whole_cores
from harness.running import NOT_SAVED, RunningTrial, make_record, receive
from harness.system_memory import processes_killed_for_memory, unmapped_memory, usable_memory
from harness.task import TrialTask
from harness.verdict import Accounts, Verification
from harness.worker import Slot, judge, main
from results.record import StopReason, TrialRecord
from workloads.cache import root as data_root

POLL_SEC = 0.25
"""Longest time between two looks at the running trials, but for what is done between them."""
RESUMED_AFTER = (signal.SIGKILL, signal.SIGTERM)
"""What a scheduler, the system short of memory, or a person sends; other signals are the entry's own doing."""
DEATHS_WITHOUT_PROGRESS = 3
"""So many processes of a trial may be killed in a row without a new checkpoint; then the trial counts as killed."""
PRELOAD: Mapping[str, tuple[str, ...]] = {
    "torch": ("harness.trial", "harness.frameworks.torch", "torch._dynamo", "submissions.composition_torch"),
    "jax": ("harness.trial", "harness.frameworks.jax", "submissions.composition_jax"),
}
"""What the fork server imports before it forks; torch's optimizers import ``torch._dynamo`` when first made."""
PRELOAD_FOLDS = "sklearn.model_selection"
"""For trials on a fold, which split their data anew; it takes over a second."""
PRELOAD_LAST = "harness.all_workloads"
STATUS_UNKNOWN = 255
"""A process's exit code when the fork server, which would tell it, is gone."""
_TEMPORARY = "timetrial-logs-"
DATA_DIR_VARIABLE = "TIMETRIAL_DATA_DIR"
_DISTRIBUTED_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclasses.dataclass(frozen=True)
class Limits:
    """When a trial's process is ended.

    Attributes:
      grace_sec: how long, beyond the budget that is left, a process may give no sign of life while it trains; also
        the least time it may take to start. An evaluation may take ten times as long.
      memory_bytes: of one trial and its processes, resident or in files without a name; None for an equal share of
        what this command may have. No file of theirs may be larger.
      threads: of one trial and its processes.
    """

    grace_sec: float = 60.0
    memory_bytes: int | None = None
    threads: int = 512


DEFAULT_LIMITS = Limits()


class Observer(Protocol):
    """Is told what happens; see :mod:`harness.progress`."""

    def update(self, running: Sequence[RunningTrial], waiting: Sequence[tuple[str, str]]) -> None: ...

    def finished(self, record: TrialRecord) -> None: ...


Keep = Callable[[TrialRecord, Sequence[Mapping[str, Any]], "np.ndarray | None"], object]
"""Is given a finished trial's record, its evaluations, and which test examples it classifies rightly (if known)."""


def run_trials(
    tasks: Iterable[tuple[TrialTask, str]],
    *,
    jobs: int,
    keep: Keep,
    observer: Observer,
    limits: Limits = DEFAULT_LIMITS,
) -> None:
    """Runs tasks (each with its digest), ``jobs`` at a time; calls ``keep`` with every finished trial.

    Raises:
      UsageError: there are fewer cores than ``jobs`` times the threads of a trial, or fewer GPUs than ``jobs``.
      Whatever ``keep`` raises, after the trials in flight were ended.
    """
    waiting = list(tasks)
    if not waiting:
        return
    threads = waiting[0][0].spec.threads
    frameworks = {task.spec.key.framework for task, _ in waiting}
    slots = trial_slots(jobs, threads, gpus_for(frameworks))
    limits = dataclasses.replace(limits, memory_bytes=limits.memory_bytes or int(0.9 * usable_memory() / jobs))
    context = fork_server(threads, frameworks, any(task.spec.key.fold for task, _ in waiting))
    running: list[RunningTrial] = []
    looked = time.monotonic()
    remove_folders_of_the_dead()
    with tempfile.TemporaryDirectory(prefix=f"{_TEMPORARY}{os.getpid()}-") as logs:
        judges = {slot: _judge_of(context, slot, Path(logs) / "judges.log") for slot in slots}
        try:
            while waiting or running:
                while waiting and slots:
                    task, digest = waiting.pop(0)
                    slot = slots.pop()
                    running.append(_start(context, task, digest, slot, judges[slot], Path(logs), limits))
                wait([item for trial in running for item in _awaited(trial)], POLL_SEC)
                unseen, looked = time.monotonic() - looked, time.monotonic()
                for trial in list(running):
                    _excuse(trial, unseen)
                    receive(trial)
                    _enforce(trial, limits)
                    if not trial.process.is_alive():
                        receive(trial)
                        if _to_be_verified(trial):
                            _verify(trial)
                        if trial.verifies and trial.verification is None:
                            continue
                        running.remove(trial)
                        _blame_memory(trial)
                        if _goes_on(trial):
                            running.append(_restart(context, trial, limits))
                            continue
                        _free(trial.judge)
                        _remove_folders(trial)
                        slots.append(trial.slot)
                        record = make_record(trial)
                        keep(record, trial.evaluations, trial.right)
                        if trial.task.checkpoint is not None:
                            trial.task.checkpoint.discard()
                        observer.finished(record)
                observer.update(running, [(t.spec.key.workload, t.spec.key.framework) for t, _ in waiting])
        finally:
            for trial in running:
                trial.process.kill()
            for judging in judges.values():
                judging.kill()
            for trial in running:
                trial.process.join()


def remove_folders_of_the_dead() -> None:
    """Removes the temporary folders of commands that were killed; those of commands that run stay."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*-*"):
        owner = folder.name.removeprefix(_TEMPORARY).partition("-")[0]
        if owner.isdecimal() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)  # another user's stays


def most_jobs(threads: int, frameworks: Iterable[Framework | None]) -> int:
    """How many trials at a time disturb nobody: one per GPU where a framework (None: either) uses GPUs, else as the
    cores allow, with a whole one per thread of a trial."""
    by_cores = max(1, len(whole_cores()) // threads)
    given = gpus_for({name for each in frameworks for name in ([each] if each else FRAMEWORKS)})
    return min(by_cores, len(given)) if given else by_cores


def trial_slots(jobs: int, threads: int, gpus: Sequence[Gpu] = ()) -> list[Slot]:
    """Disjoint groups of ``threads`` cores, one per job, each with a GPU of its own where there are any. A core's
    second hardware thread is given away when every core has a trial.

    Raises:
      UsageError: there are not enough cores or GPUs, so that trials would disturb each other's clocks.
    """
    groups = whole_cores()
    cores = [group[i] for i in range(max(map(len, groups))) for group in groups if i < len(group)]
    if jobs < 1 or threads < 1:
        raise UsageError(f"--jobs and --threads must be at least 1, found {jobs} and {threads}")
    if jobs * threads > len(cores):
        remedy = f"--jobs {len(cores) // threads}" if threads <= len(cores) else f"--threads {len(cores)} or fewer"
        raise UsageError(
            f"{jobs} job{'s' * (jobs > 1)} of {threads} threads need{'s' * (jobs == 1)} {jobs * threads} cores, this "
            f"process may use {len(cores)}: threads would disturb each other's clocks; use {remedy}"
        )
    if gpus and jobs > len(gpus):
        raise UsageError(
            f"{jobs} jobs need a GPU each, this machine has {len(gpus)} ({gpus[0].name}): trials would disturb each "
            f"other's clocks; use --jobs {len(gpus)}, or train on the CPU with {VISIBLE}= in the environment"
        )
    return [
        Slot(tuple(cores[i * threads : (i + 1) * threads]), gpus[i].uuid if gpus else "") for i in reversed(range(jobs))
    ]


def fork_server(threads: int, frameworks: Iterable[str], folds: bool) -> Any:
    """A fork server in an environment with fixed threads and hashing, without traces of a distributed launcher. What it
    imports for the trials is settled when the first one starts."""
    set_thread_environment(threads)
    os.environ["PYTHONHASHSEED"] = "0"
    # torch asks the driver's library for GPUs, and does not start CUDA: a trial forks before it uses one.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    for variable in _DISTRIBUTED_VARIABLES:
        os.environ.pop(variable, None)
    if DATA_DIR_VARIABLE in os.environ:  # trials run in folders of their own, where a relative path means another
        os.environ[DATA_DIR_VARIABLE] = str(Path(os.environ[DATA_DIR_VARIABLE]).resolve())
    context = multiprocessing.get_context("forkserver")
    wanted = [module for name in sorted(frameworks) for module in PRELOAD[name]]
    context.set_forkserver_preload([*wanted, *([PRELOAD_FOLDS] if folds else []), PRELOAD_LAST])
    return context


def _start(
    context: Any, task: TrialTask, digest: str, slot: Slot, judging: JudgeProcess, logs: Path, limits: Limits
) -> RunningTrial:
    """Starts a trial's process. Its folder is made here: a confined process could not remove it."""
    if task.checkpoint is not None:
        task = dataclasses.replace(task, checkpoint=task.checkpoint.started())
    claim = task.checkpoint.folder if task.checkpoint else Path(tempfile.mkdtemp(prefix="claim-", dir=logs))
    folder = Path(tempfile.mkdtemp(prefix="trial-", dir=logs))
    task = dataclasses.replace(task, folder=folder, claim=claim, data_dir=data_root(task.data_dir).absolute())
    task = dataclasses.replace(task, memory_bytes=limits.memory_bytes)
    log = logs / f"{digest}.log"
    version, saved = (task.checkpoint.version(), {task.checkpoint.digest()}) if task.checkpoint else (None, set())
    out_of_memory = processes_killed_for_memory()
    process, connection = _start_process(context, main, (task,), slot, log)
    now = time.monotonic()
    started_at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    trial = RunningTrial(task, digest, process, connection, slot, log, judging, started_at, now, now)
    trial.version, trial.saved, trial.may_resume = version, saved, version is not None
    trial.accounts = Accounts(process.pid, starts_gpu=bool(slot.gpu))
    trial.server = parent_of(process.pid)
    trial.killed_for_memory = out_of_memory
    return trial


def _start_process(
    context: Any, target: Callable[..., None], arguments: tuple[Any, ...], slot: Slot, log: Path, tries: int = 3
) -> tuple[BaseProcess, Connection]:
    here, there = context.Pipe()
    process = context.Process(target=target, args=(*arguments, there, slot, log), daemon=True)
    try:
        with without_main_module():
            process.start()
    except (EOFError, ConnectionError):  # the fork server was killed just now; the next call starts another
        here.close()
        there.close()
        if tries == 1:
            raise UsageError(
                "the process that starts trials is killed again and again; is there enough memory?"
            ) from None
        return _start_process(context, target, arguments, slot, log, tries - 1)
    there.close()
    return process, here


def _judge_of(context: Any, slot: Slot, log: Path) -> JudgeProcess:
    return JudgeProcess(lambda: _start_process(context, judge, (), slot, log))


def _free(judging: JudgeProcess) -> None:
    """For the slot's next trial: what it still works at is of no use."""
    if judging.is_asked:
        judging.kill()


def _to_be_verified(trial: RunningTrial) -> bool:
    """Whether a trial says that it met its target, did nothing wrong so far, and nobody has looked."""
    claims = trial.finished is not None and trial.finished["crossing"] is not None and not trial.killed_because
    return claims and not trial.verifies and not trial.breaches and trial.verification is None


def _verify(trial: RunningTrial) -> None:
    trial.verifies, trial.phase, trial.last_sign = True, "verify", time.monotonic()
    trial.judge.ask(Verify(trial.task))


def _awaited(trial: RunningTrial) -> list[Any]:
    own = [] if trial.verifies else [trial.connection, trial.process.sentinel]
    return [*own, *trial.judge.awaited]


def _remove_folders(trial: RunningTrial) -> None:
    for folder in (trial.task.folder, trial.task.claim if trial.task.checkpoint is None else None):
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _blame_memory(trial: RunningTrial) -> None:
    """A process that the system has ended for want of memory looks like one that was killed from outside, and would ask
    for as much again."""
    if trial.finished or trial.failed or trial.killed_because or trial.excused:
        return
    if trial.process.exitcode == -signal.SIGKILL and processes_killed_for_memory() > trial.killed_for_memory:
        detail = f"ended by the system, which had no memory left, in phase {trial.phase} after step {trial.step}"
        trial.killed_because = (StopReason.OUT_OF_MEMORY, detail)


def _goes_on(trial: RunningTrial) -> bool:
    """Whether a trial whose process has ended should have another one: it was killed from outside (nobody can tell that
    from an entry that kills itself, hence the limit), or its checkpoint was of no use."""
    told = trial.finished or trial.failed or trial.killed_because
    if told or trial.task.checkpoint is None:
        return False
    state = trial.task.checkpoint.digest()
    if state and state not in trial.saved:
        trial.breaches.append(NOT_SAVED)
    if trial.breaches:
        return False
    killed = -(trial.process.exitcode or 0) in RESUMED_AFTER or _went_with_its_server(trial)
    if killed and not trial.excused and trial.task.checkpoint.version() == trial.version:
        trial.deaths += 1
    elif killed:
        trial.deaths = 0
    return trial.starts_over or (killed and (trial.excused or trial.deaths < DEATHS_WITHOUT_PROGRESS))


def _went_with_its_server(trial: RunningTrial) -> bool:
    return trial.process.exitcode == STATUS_UNKNOWN and has_ended(trial.server)


def _restart(context: Any, trial: RunningTrial, limits: Limits) -> RunningTrial:
    _remove_folders(trial)
    _free(trial.judge)
    again = _start(context, trial.task, trial.digest, trial.slot, trial.judge, trial.log.parent, limits)
    again.started_at, again.deaths = trial.started_at, trial.deaths
    again.told_before, again.right = trial.evaluations or trial.told_before, trial.right
    return again


@contextlib.contextmanager
def without_main_module() -> Iterator[None]:
    """Keeps multiprocessing from running the caller's script again in the child: a trial needs nothing of it, and a
    script without ``if __name__ == "__main__"`` would start over."""
    main_module = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main_module


def _excuse(trial: RunningTrial, unseen_sec: float) -> None:
    """Leaves out of the accounts of a trial's time what it did not train: while this process was stopped or busy, a
    trial that had something to tell was waiting; and one that somebody stopped did nothing."""
    if unseen_sec > 2 * POLL_SEC or is_stopped(trial.process.pid or 0):
        trial.accounts.excuse(unseen_sec)


def _enforce(trial: RunningTrial, limits: Limits) -> None:
    """Ends a process that gives no sign of life or holds too much memory."""
    if trial.verifies:
        if time.monotonic() - trial.last_sign > 10 * limits.grace_sec:
            trial.judge.kill()
            trial.verification = Verification(failed="its verification did not end")
        return
    if trial.finished or trial.failed or trial.killed_because or not trial.process.is_alive():
        return
    silent = time.monotonic() - trial.last_sign
    left = max(0.0, trial.task.spec.budget_sec - trial.submission_time)
    allowed = 10 * limits.grace_sec if trial.phase == "evaluate" else limits.grace_sec + left
    if silent > allowed:
        detail = f"no sign of life for {silent:.0f} s in phase {trial.phase} after step {trial.step}; ended"
        _kill(trial, StopReason.HUNG, detail)
        return
    memory, threads = _held(trial.process.pid or 0)
    if threads > limits.threads:
        _kill(trial, StopReason.CRASHED, f"had {threads} threads, the limit is {limits.threads}; ended")
        return
    if limits.memory_bytes is not None and memory > limits.memory_bytes:
        detail = f"held {memory / 2**30:.1f} GiB, the limit is {limits.memory_bytes / 2**30:.1f} GiB; ended"
        _kill(trial, StopReason.OUT_OF_MEMORY, detail)


def _kill(trial: RunningTrial, reason: StopReason, detail: str) -> None:
    trial.killed_because = (reason, detail)
    trial.process.kill()


def _held(pid: int) -> tuple[int, int]:
    """Memory in bytes and threads of a process and those that it started."""
    memory = threads = 0
    with contextlib.suppress(psutil.Error):
        for each in map(psutil.Process, (pid, *descendants(pid))):
            memory += each.memory_info().rss + unmapped_memory(each.pid)
            threads += each.num_threads()
    return memory, threads
