"""Sees what an entry's code does in a trial's process that it must not do, and says where in its source.

Python's audit events tell of files, connections, processes, raw memory and looks at other code's frames while they
happen (:mod:`harness.listener`). What no event tells of (functions replaced, threads, timers, the model's structure) is
compared with the state before the entry was loaded, whenever the clock is about to stop.
A breach is reported at once and disqualifies the trial; nothing is prevented here, see :mod:`harness.isolation`.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.fixed_parts import (
    FRAMEWORK_MODULES,
    HARNESS_MODULES,
    OF_A_CLASS,
    Member,
    added_to,
    foundations,
    hooks,
    members,
    modules_of,
    names_of_classes,
    of_workload,
    own_modules,
    owners_in,
    parts_of,
)
from harness.isolation import Places
from harness.listener import Listener
from harness.process_state import ProcessState
from harness.spec import Framework

if TYPE_CHECKING:
    from harness.trial import TrainingLoop


@dataclasses.dataclass(frozen=True)
class Breach:
    """What an entry did that disqualifies its trial, and the file and line where (empty where nobody can tell)."""

    message: str
    where: str = ""

    @property
    def text(self) -> str:
        return f"{self.message} ({self.where})" if self.where else self.message


Report = Callable[[Breach], None]

_BESIDE = "works beside the clock"
_frame_of, _frames_of_threads = sys._getframe, sys._current_frames


class Watch:
    """Watches one trial.

    Args:
      own: the entry's files and folders.
      places: what the process may read and write.
      report: is told of each breach once.
      framework: of the trial; loaded, and as it is before the entry comes.
    """

    def __init__(self, own: Iterable[Path], places: Places, report: Report, framework: Framework) -> None:
        self._report = report
        self._listener = Listener(own, places, self.report)
        self._told: set[str] = set()
        self._before = ProcessState()
        self._known = own_modules()
        self._core: tuple[Member, ...] = ()
        self._members: list[Member] = []
        self._classes = names_of_classes(self._known)
        self._parts: list[Member] = []
        self._workload: Mapping[str, Any] = {}
        self._structure: Any = None
        self._framework, self._hooks = framework, hooks(framework)
        self.breached = False

    def start(self) -> None:
        """From now on events are heard; there is no way to stop it."""
        self._listener.start()
        self._core = tuple(members([*foundations(), *modules_of(HARNESS_MODULES)]))
        self._members = [*self._core, *members(self._known)]

    @property
    def parts(self) -> tuple[tuple[str, Any, tuple[str, ...]], ...]:
        """Its own attributes, with their owners, that nothing sets any more."""
        listener = self._listener
        heard = ("_report", "callers", "_places", "_mapped")
        return ("watch", self, ("_report", "_listener")), ("listener", listener, heard)

    def report(self, message: str, where: str = "") -> None:
        self.breached = True
        if message not in self._told:
            self._told.add(message)
            self._report(Breach(message, where))

    def report_caller(self, message: str) -> None:
        """As done by the entry's code that is running now."""
        listener = self._listener
        caller = listener.unheard(lambda: listener.callers.beyond_libraries(_frame_of(4)))  # who called who called this
        if caller:
            listener.tell(message, caller)
        else:
            self.report(message)

    # ---- what no event tells of ----

    def remember(self) -> None:
        """What must stay as it is when the entry's module is imported, and after."""
        self._members += members(modules_of(FRAMEWORK_MODULES[self._framework]))
        self._before = self._listener.unheard(ProcessState)
        self._listener.remember()

    def begin(self, loop: TrainingLoop) -> None:
        """Remembers what must stay as it is from here on."""
        later = [module for module in own_modules() if module not in self._known]
        self._members += members(later)
        self._classes = {**names_of_classes(later), **self._classes}
        self._parts = list(parts_of(loop))
        self._workload = of_workload(loop.workload)
        self._structure = loop.backend.structure(loop.params)

    def look(self) -> None:
        """Compares what measures, in a millisecond: at moments that nobody can foresee."""
        self._compare(self._core)

    def _compare(self, members: Iterable[Member]) -> None:
        for member in members:
            if member.is_changed:
                self.report(f"replaces {member.label}")

    def _find_threads(self) -> None:
        """Threads of a library's run an entry's functions too."""
        me = threading.get_ident()
        for thread, frame in self._listener.unheard(_frames_of_threads).items():
            at = frame if thread != me else None
            while at is not None and not self._listener.callers.is_entry(at):
                at = at.f_back
            if at is not None:
                self._listener.tell(_BESIDE, at)

    def inspect(self, loop: TrainingLoop, structure: Any) -> None:
        """Compares, where the clock is about to stop; ``structure`` is that of the parameters given back, None where
        nobody has asked for it."""
        self._find_threads()
        self._listener.find_machine_code()
        self._compare([*self._members, *self._parts])
        for name in added_to(self._classes):
            self.report(f"replaces {name}")
        for label, owner in owners_in(loop).items():
            for name in vars(owner):
                if inspect.isfunction(getattr(type(owner), name, None)):
                    self.report(f"replaces {name} of the {label}")
        for name, value in hooks(loop.spec.key.framework).items():
            if value != self._hooks[name]:
                self.report(f"changes {name}")
        now = of_workload(loop.workload)
        for name, value in self._workload.items():
            if not _same(now.get(name), value):
                self.report(f"changes {name} of the workload")
        for name in now.keys() - self._workload.keys():
            if name.endswith(OF_A_CLASS):  # an object's own attributes may be values that it keeps once computed
                self.report(f"adds {name} to the workload")
        if structure is not None and structure != self._structure:
            self.report("changes the model: other parameters, or other shapes")
        for message in self._listener.unheard(ProcessState).beyond(self._before):
            self.report(message)


def _same(a: Any, b: Any) -> bool:
    return a is b or bool(a == b)
