"""Machine code: files that are some, and what is mapped into this process to run as such."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

_MAPS = Path("/proc/self/maps")
_ELF = b"\x7fELF"
_MACH_O = frozenset(struct.pack(order + "I", number) for order in "<>" for number in (0xFEEDFACE, 0xFEEDFACF))
_MACH_O_OF_SEVERAL = frozenset(struct.pack(">I", number) for number in (0xCAFEBABE, 0xCAFEBABF))
_MOST_PROCESSORS = 30
"""In a file of Mach-O for several; compiled Java begins alike, with a larger number."""
_DOS, _WINDOWS, _WINDOWS_AT = b"MZ", b"PE\0\0", 0x3C
_HEADER_BYTES = 4096
_IN_MEMORY, _DRIVERS = "/memfd:", "/dev/nvidia"
_NO_FILES = ("/anon_hugepage",)
"""What the system calls memory that is of no file."""


def kind_of_machine_code(file: Path) -> str:
    """The format of a file that a system would load as machine code, by its beginning; empty for any other."""
    with file.open("rb") as opened:
        start = opened.read(_HEADER_BYTES)
    if start.startswith(_ELF):
        return "ELF"
    if start[:4] in _MACH_O:
        return "Mach-O"
    if start[:4] in _MACH_O_OF_SEVERAL and len(start) >= 8 and struct.unpack(">I", start[4:8])[0] < _MOST_PROCESSORS:
        return "Mach-O"
    if start.startswith(_DOS) and len(start) >= _WINDOWS_AT + 4:  # two letters alone may begin a text
        at = struct.unpack_from("<I", start, _WINDOWS_AT)[0]
        return "PE" if start[at : at + 4] == _WINDOWS else ""
    return ""


def machine_code_in(files: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """Those of the files that are machine code, with their format."""
    for file in files:
        if kind := kind_of_machine_code(file):
            yield file, kind


def mapped_to_run(maps: Path = _MAPS) -> frozenset[str]:
    """The files of which parts are mapped into this process to be run; files in memory begin with ``/memfd:``, and are
    left out where a GPU's driver is at work, which has such ones. Empty where the system does not tell."""
    try:
        text = maps.read_text(errors="surrogateescape")
    except OSError:
        return frozenset()
    # address, rights, offset, device, inode, name
    lines = [line.split(maxsplit=5) for line in text.splitlines()]
    found = {line[5].removesuffix(" (deleted)") for line in lines if len(line) == 6 and "x" in line[1]}
    drivers = _DRIVERS in text
    return frozenset(
        name
        for name in found
        if name.startswith("/") and not name.startswith(_NO_FILES) and not (drivers and name.startswith(_IN_MEMORY))
    )
