"""What a trial's process may reach: its own folder, its libraries, and nothing of other trials.

First :func:`enter` gives the process a folder of its own, an environment without traces of the user's, and limits.
When the workload's data is open, and before anything of the entry runs, :func:`confine_to` closes the rest.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import os
import resource
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.sandbox import confine
from harness.system_files import listable_system_folders, readable_system_files

OPEN_FILES = 1024
"""As many as a trial's process may have."""
OPENED = Path("/proc/self/fd")
"""Where Linux lists them, as links."""
_KEPT = frozenset(
    name
    for line in (
        "PATH LANG LC_ALL LC_CTYPE TZ PYTHONPATH PYTHONHASHSEED LD_LIBRARY_PATH LD_PRELOAD VIRTUAL_ENV CC CXX",
        "CUDA_HOME CUDA_PATH CUDA_VISIBLE_DEVICES NVIDIA_VISIBLE_DEVICES PYTORCH_NVML_BASED_CUDA_CHECK",
        "XLA_FLAGS XLA_PYTHON_CLIENT_PREALLOCATE XLA_PYTHON_CLIENT_MEM_FRACTION TF_CPP_MIN_LOG_LEVEL",
        "JAX_PLATFORMS JAX_ENABLE_X64 PYTORCH_CUDA_ALLOC_CONF CUBLAS_WORKSPACE_CONFIG KMP_AFFINITY OMP_WAIT_POLICY",
        "OMP_NUM_THREADS OPENBLAS_NUM_THREADS MKL_NUM_THREADS VECLIB_MAXIMUM_THREADS NUMEXPR_NUM_THREADS",
    )
    for name in line.split()
)
"""Variables that a trial's process keeps."""
_OF_ITS_FOLDER = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
"""Variables that point into its own folder, so that nothing is left for the next trial."""
_SYSTEM = ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/sbin", "/etc", "/opt", "/nix/store")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/tty", "/dev/kfd", "/dev/dri")
_OF_THE_SYSTEM = (Path("/dev"), Path("/proc"))
_LIBRARIES = ("site-packages", "dist-packages")
_ROOMS = ("harness", "workloads", "submissions")
_ROOMS_WITH_RESULTS = ("results", "scoring")
"""Packages beside which results may lie: their modules alone are readable, not their folders."""


@dataclasses.dataclass(frozen=True)
class Places:
    """Files and folders that a trial's process may read and write; what it may write it may read. Whatever is imported
    looks through the folders on the path, so their files' names can be listed. Of what is below the ``hidden`` folders
    and is none of these it may not even ask whether it is there."""

    readable: tuple[Path, ...]
    writable: tuple[Path, ...]
    listable: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()

    def may_read(self, path: Path) -> bool:
        return _is_below(path, self.readable) or self.may_write(path)

    def may_list(self, path: Path) -> bool:
        return _is_below(path, self.listable) or self.may_read(path)

    def may_write(self, path: Path) -> bool:
        return _is_below(path, self.writable)

    def is_hidden(self, path: Path) -> bool:
        """Whoever follows links asks about every folder that leads to a file."""
        below = any(folder in path.parents for folder in self.hidden)
        return below and not self.may_list(path) and path not in self._leading

    @functools.cached_property
    def _leading(self) -> frozenset[Path]:
        return frozenset(above for path in (*self.readable, *self.writable, *self.listable) for above in path.parents)

    def may_change(self, path: Path) -> bool:
        """Its times, rights and owner: of what is the process's own, and of no device."""
        return _is_below(path, [folder for folder in self.writable if not _is_below(folder, _OF_THE_SYSTEM)])


def _is_below(path: Path, folders: Iterable[Path]) -> bool:
    return not {path, *path.parents}.isdisjoint(folders)


def enter(folder: Path) -> None:
    """Makes ``folder``, which the caller has made and will remove, this process's working, home and temporary
    directory, and sets limits on open files and core dumps."""
    os.chdir(folder)
    clean_environment(folder)
    tempfile.tempdir = None  # was found before the environment was cleaned
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    _limit(resource.RLIMIT_CORE, 0)


def limit_files(most_bytes: int) -> None:
    """No file of this process's may be larger from here on. One without a name lies in memory, and what a trial writes
    rightly (a checkpoint, what it compiles) it has held there."""
    _limit(resource.RLIMIT_FSIZE, most_bytes)


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))


def clean_environment(folder: Path) -> None:
    """Leaves what libraries need, and points what they would keep at home into ``folder``."""
    for name in set(os.environ) - _KEPT:
        del os.environ[name]
    os.environ |= dict.fromkeys(_OF_ITS_FOLDER, str(folder))
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # compiling elsewhere would be work off the trial's cores


def places_of(
    folder: Path, own: Iterable[Path], data: Iterable[Path], outputs: Iterable[Path], hidden: Iterable[Path] = ()
) -> Places:
    """
    Args:
      folder: the process's own.
      own: the entry's files and folders.
      data: what the workload still reads from disk.
      outputs: where the harness writes the trial's checkpoint and claim.
      hidden: folders of results, data and other trials.
    """
    readable = {Path(name) for name in _SYSTEM}
    readable |= {Path(p) for p in (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix)}
    readable |= {Path(p) for p in sysconfig.get_paths().values()}
    readable |= {path for path in map(Path, sys.path) if path.name in _LIBRARIES}
    readable |= {Path(p) for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p} - _homes()
    readable |= set(readable_system_files())
    readable |= {path for room in _ROOMS for path in _folders(room)}
    readable |= {file for room in _ROOMS_WITH_RESULTS for path in _folders(room) for file in path.glob("*.py")}
    readable |= {path / "__pycache__" for room in _ROOMS_WITH_RESULTS for path in _folders(room)}
    readable |= {*data, *own}
    devices = [*map(Path, _DEVICES), *Path("/dev").glob("nvidia*")]
    # Nothing below /proc: a thread names itself by a call, and by a file there only another one.
    writable = {folder, *outputs, *devices}
    # Whoever looks for an installed package's plug-ins goes through every folder on the path, and their metadata.
    readable |= {metadata for home in _homes() for metadata in home.glob("*.egg-info")}
    listable = {
        *_homes(),
        *listable_system_folders(),
        *map(Path, filter(None, sys.path)),
        *(path.parent for path in own),
    }
    return Places(*map(_resolved, (readable, writable, listable, hidden)))


def _folders(room: str) -> list[Path]:
    return [Path(path) for path in importlib.import_module(room).__path__]


def _homes() -> set[Path]:
    """Where timetrial's own packages lie: results may lie there too, as in a clone of the repository."""
    return {path.resolve().parent for room in (*_ROOMS, *_ROOMS_WITH_RESULTS) for path in _folders(room)}


def _resolved(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Absolute, with and without following links; the root would be everything."""
    found = {path.absolute() for path in paths} | {path.resolve() for path in paths if path.exists()}
    return tuple(sorted(found - {Path("/")}))


def confine_to(places: Places) -> Mapping[str, str]:
    """Confines this process for good; returns what is confined, and by which means."""
    return confine(places.readable, places.writable, places.listable)
