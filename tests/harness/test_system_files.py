"""What libraries ask of the system can be read, and what counts for all processes cannot."""

from pathlib import Path

import pytest

from harness.isolation import places_of
from harness.system_files import listable_system_folders, readable_system_files

PLAIN = (
    *("proc/cpuinfo", "proc/meminfo", "proc/filesystems", "proc/sys/vm/overcommit_memory", "dev/urandom"),
    *("sys/devices/system/cpu/online", "sys/devices/system/cpu/cpu0/topology", "sys/devices/system/cpu/cpu0/cache"),
    *("sys/devices/system/node/node0/cpumap", "sys/kernel/mm/transparent_hugepage/enabled"),
    *("sys/fs/cgroup/cpu.max", "sys/fs/cgroup/mine/memory.max"),
    *("proc/driver/nvidia", "sys/module/nvidia_uvm/parameters", "sys/bus/pci/drivers/nvidia/0000:01:00.0"),
    "sys/bus/pci/devices/0000:00:01.0/vendor",
)
COUNTED = (
    *("proc/vmstat", "proc/stat", "proc/diskstats", "proc/interrupts", "proc/loadavg", "proc/pressure/cpu"),
    *("proc/slabinfo", "proc/sys/fs/file-nr", "proc/sys/kernel/random/entropy_avail", "proc/1/status"),
    *("sys/devices/system/node/node0/vmstat", "sys/devices/system/node/node0/numastat"),
    *("sys/devices/system/cpu/cpu0/cpuidle/state0/usage", "sys/devices/system/cpu/cpufreq/policy0/stats/total_trans"),
    *("sys/kernel/mm/transparent_hugepage/khugepaged/full_scans", "sys/block/vda/stat", "sys/fs/cgroup/cpu.stat"),
    *("sys/fs/cgroup/mine/memory.peak", "sys/devices/pci0000:00/0000:00:01.0/virtio0/block/vda/stat"),
    *("dev/kmsg", "dev/vda", "dev/mem"),
)


def test_system_files_are_named_one_by_one(tmp_path):
    for name in (*PLAIN, *COUNTED):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert {str(path.relative_to(tmp_path)) for path in readable_system_files(tmp_path)} == set(PLAIN)


@pytest.mark.parametrize("name", COUNTED)
def test_a_trial_may_read_no_counter_of_all_processes(name, tmp_path):
    assert not places_of(tmp_path, [], [], []).may_read(Path("/", name))


def test_a_trial_may_list_which_processors_there_are(tmp_path):
    assert Path("/sys/devices/system") in listable_system_folders()
    assert places_of(tmp_path, [], [], []).may_list(Path("/sys/devices/system/cpu"))
