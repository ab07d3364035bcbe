"""Machine code is known by how a file begins, and found where it is mapped into the process."""

import mmap
import struct
import sys

import pytest

from harness.entry import find_entry
from harness.errors import UsageError
from harness.machine_code import kind_of_machine_code, mapped_to_run

WINDOWS = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x80) + bytes(0x40) + b"PE\0\0"


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\x7fELF\x02\x01\x01", "ELF"),
        (b"\xcf\xfa\xed\xfe\x07", "Mach-O"),
        (b"\xfe\xed\xfa\xcf", "Mach-O"),
        (b"\xca\xfe\xba\xbe\0\0\0\x02", "Mach-O"),
        (b"\xca\xfe\xba\xbe\0\0\0\x41", ""),
        (WINDOWS, "PE"),
        (b"MZ is how this table of numbers begins".ljust(200), ""),
        (b"MZ", ""),
        (b"\x93NUMPY\x01\0", ""),
        (b"", ""),
    ],
)
def test_machine_code_is_known_by_its_beginning(start, kind, tmp_path):
    (tmp_path / "file").write_bytes(start)
    assert kind_of_machine_code(tmp_path / "file") == kind


def test_an_entry_that_brings_machine_code_is_refused_whatever_its_file_is_called(write_entry):
    folder = write_entry("mine")
    (folder / "weights.npy").write_bytes(b"\x7fELF\x02\x01\x01")
    with pytest.raises(UsageError, match=r"weights\.npy: is machine code \(ELF\); an entry is source alone; remove"):
        find_entry(str(folder))
    (folder / "weights.npy").rename(folder / ".weights")  # which it cannot read
    assert find_entry(str(folder)).name == "mine"


MAPS = """\
55d0-55d1 r--p 00000000 fe:00 1 /usr/bin/python3
55d1-55d2 r-xp 00001000 fe:00 1 /usr/bin/python3
7f00-7f01 rwxp 00000000 00:00 0
7f01-7f02 r-xp 00000000 fe:00 9 /tmp/trial-1/a file (deleted)
7f02-7f03 r-xs 00000000 00:01 7 /memfd:code (deleted)
7f03-7f04 rw-p 00000000 fe:00 8 /tmp/trial-1/data
7f04-7f05 r-xp 00000000 00:0f 8 /anon_hugepage (deleted)
7f05-7f06 r-xp 00000000 00:00 0 [vdso]
"""


def test_what_is_mapped_to_be_run_are_files_and_no_compilers_own_memory(tmp_path):
    (tmp_path / "maps").write_text(MAPS)
    assert mapped_to_run(tmp_path / "maps") == {"/usr/bin/python3", "/tmp/trial-1/a file", "/memfd:code"}
    (tmp_path / "maps").write_text(f"{MAPS}7f06-7f07 rw-s 00000000 00:05 3 /dev/nvidiactl\n")
    assert mapped_to_run(tmp_path / "maps") == {"/usr/bin/python3", "/tmp/trial-1/a file"}
    assert mapped_to_run(tmp_path / "none") == frozenset()


@pytest.mark.skipif(sys.platform != "linux", reason="maps are Linux's")
def test_a_file_that_this_process_maps_to_run_is_seen(tmp_path):
    (tmp_path / "code").write_bytes(bytes(4096))
    with (tmp_path / "code").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC)
    assert str(tmp_path / "code") in mapped_to_run()
    mapped.close()
    assert str(tmp_path / "code") not in mapped_to_run()
