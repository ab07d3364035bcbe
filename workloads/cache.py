"""Generated data on disk: made once, shared by all processes through memory maps.

``<root>/<workload>/v<version>-<digest of the configuration>/`` holds one ``.npy`` per array and ``manifest.json``,
which is written last. The folder appears by a rename, so that it is either complete or absent.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.data_events import announced, loads_split
from harness.spec import WorkloadError

ENVIRONMENT_VARIABLE = "TIMETRIAL_DATA_DIR"
_MANIFEST = "manifest.json"
_FLOAT_STEPS = 1024.0
"""Floats are digested in steps of 1/1024: the last bits of exp and log differ between machines."""

Arrays = Mapping[str, np.ndarray]


def root(data_dir: Path | None) -> Path:
    """The data directory: as given, else from TIMETRIAL_DATA_DIR, else the user's cache folder."""
    if data_dir is not None:
        return Path(data_dir)
    if named := os.environ.get(ENVIRONMENT_VARIABLE):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "timetrial"


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside ``folder``, to be filled; becomes ``folder`` by a rename when the block ends well, and
    disappears when it does not. Where another process was first, its folder stays.

    Raises:
      OSError: a folder cannot be made or renamed.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
    temporary.chmod(0o755)
    try:
        yield temporary
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.exists():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def content_digest(arrays: Arrays) -> str:
    """sha256 over names, shapes and contents, floats rounded to 1/1024."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        whole = np.rint(array * _FLOAT_STEPS) if np.issubdtype(array.dtype, np.floating) else array
        digest.update(json.dumps([name, list(array.shape)]).encode())
        digest.update(np.ascontiguousarray(whole, dtype="<i4").data)
    return digest.hexdigest()


@dataclasses.dataclass(frozen=True)
class Cache:
    """The cached arrays of one workload, version and data configuration (JSON values only)."""

    root: Path
    workload: str
    version: int
    config: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        key = json.dumps(self.config, sort_keys=True)
        return self.root / self.workload / f"v{self.version}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"

    @announced(lambda cache, prefix, generate: loads_split(prefix))
    def load(self, prefix: str, generate: Callable[[], Arrays]) -> dict[str, np.ndarray]:
        """Read-only arrays named ``<prefix>_<name>``, by ``<name>``, after generating what is not there yet.

        Raises:
          WorkloadError: the folder cannot be written, or is damaged.
        """
        if not self.folder.exists():
            self._write(generate())
        return {
            name.removeprefix(f"{prefix}_"): self._open(name, expected)
            for name, expected in self._manifest()["arrays"].items()
            if name.startswith(f"{prefix}_")
        }

    def check(self) -> None:
        """Looks at the manifest and the size of every file.

        Raises:
          WorkloadError: something is missing or cut short.
        """
        self._manifest()

    def verify(self) -> None:
        """Reads everything and compares it with the manifest's digest.

        Raises:
          WorkloadError: the content is not what was written.
        """
        manifest = self._manifest()
        arrays = {name: self._open(name, expected) for name, expected in manifest["arrays"].items()}
        if content_digest(arrays) != manifest["digest"]:
            raise self._damaged("the arrays do not have the digest in manifest.json")

    def _write(self, arrays: Arrays) -> None:
        manifest = {
            "workload": self.workload,
            "version": self.version,
            "config": self.config,
            "digest": content_digest(arrays),
            "arrays": {name: _description(array) for name, array in arrays.items()},
        }
        try:
            with new_folder(self.folder) as temporary:
                for name, array in arrays.items():
                    np.save(temporary / f"{name}.npy", array)
                (temporary / _MANIFEST).write_text(json.dumps(manifest, indent=1))
        except OSError as error:
            raise WorkloadError(
                f"cannot write the data of {self.workload} to {self.folder}: {error.strerror or error}; "
                f"free some space there, or choose another data directory with {ENVIRONMENT_VARIABLE}"
            ) from error

    def _manifest(self) -> dict[str, Any]:
        """The manifest, after a look at the size of every file."""
        try:
            manifest = json.loads((self.folder / _MANIFEST).read_text())
            sizes = {name: expected["bytes"] for name, expected in manifest["arrays"].items()}
        except FileNotFoundError:
            raise self._damaged(f"{_MANIFEST} is missing") from None
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise self._damaged(f"{_MANIFEST} cannot be read ({error})") from None
        for name, size in sizes.items():
            path = self.folder / f"{name}.npy"
            found = path.stat().st_size if path.exists() else None
            if found != size:
                raise self._damaged(f"{path.name} has {found} bytes instead of {size}" if found else f"no {path.name}")
        return manifest

    def _open(self, name: str, expected: Mapping[str, Any]) -> np.ndarray:
        path = self.folder / f"{name}.npy"
        try:
            array = np.load(path, mmap_mode="r").view(np.ndarray)
        except (ValueError, OSError, EOFError) as error:
            raise self._damaged(f"{path.name} cannot be read ({error})") from None
        if _description(array) != expected:
            raise self._damaged(f"{path.name} holds {array.dtype} {array.shape}, unlike {_MANIFEST}")
        return array

    def _damaged(self, what: str) -> WorkloadError:
        return WorkloadError(
            f"the cached data of {self.workload} in {self.folder} is damaged: {what}; "
            f"delete that folder, and it will be generated again"
        )


def _description(array: np.ndarray) -> dict[str, Any]:
    header = _npy_header_size(array)
    return {"dtype": array.dtype.str, "shape": list(array.shape), "bytes": header + array.nbytes}


def _npy_header_size(array: np.ndarray) -> int:
    import io

    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, np.lib.format.header_data_from_array_1_0(array))
    return buffer.tell()
