"""What a trial's process may read of the system's own files, those that the kernel makes as they are read.

Many of them count what any process has caused since the machine was started: whoever can read them, and does more or
less of it, has a note for later trials. So these are named one by one: what libraries ask of the processors, the memory
and the kernel to know what there is, and of GPUs where there are any.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/")
_PATTERNS = tuple(
    pattern
    for line in (
        "proc/self proc/cpuinfo proc/meminfo proc/filesystems proc/version proc/mounts proc/cmdline proc/devices",
        "proc/sys/kernel/osrelease proc/sys/kernel/ostype proc/sys/kernel/version proc/sys/kernel/hostname",
        "proc/sys/kernel/pid_max proc/sys/kernel/threads-max proc/sys/kernel/cap_last_cap",
        "proc/sys/kernel/ngroups_max proc/sys/kernel/numa_balancing proc/sys/kernel/perf_event_paranoid",
        "proc/sys/kernel/yama proc/sys/vm/overcommit_memory proc/sys/vm/overcommit_ratio proc/sys/vm/max_map_count",
        "proc/sys/vm/mmap_min_addr proc/sys/vm/nr_hugepages proc/sys/net/core/somaxconn",
        "proc/sys/fs/file-max proc/sys/fs/nr_open proc/sys/fs/pipe-max-size",
        "sys/devices/system/cpu/online sys/devices/system/cpu/possible sys/devices/system/cpu/present",
        "sys/devices/system/cpu/offline sys/devices/system/cpu/isolated sys/devices/system/cpu/kernel_max",
        "sys/devices/system/cpu/smt sys/devices/system/cpu/vulnerabilities",
        "sys/devices/system/cpu/cpu[0-9]*/topology sys/devices/system/cpu/cpu[0-9]*/cache",
        "sys/devices/system/cpu/cpu[0-9]*/online sys/devices/system/cpu/cpu[0-9]*/cpu_capacity",
        "sys/devices/system/cpu/cpu[0-9]*/regs sys/devices/system/cpu/cpufreq/policy*/cpuinfo_*_freq",
        "sys/devices/system/node/online sys/devices/system/node/possible sys/devices/system/node/has_*",
        "sys/devices/system/node/node[0-9]*/cpulist sys/devices/system/node/node[0-9]*/cpumap",
        "sys/devices/system/node/node[0-9]*/distance sys/devices/system/node/node[0-9]*/meminfo",
        "sys/devices/system/memory/block_size_bytes sys/kernel/mm/transparent_hugepage/*enabled",
        "sys/kernel/mm/transparent_hugepage/defrag sys/kernel/mm/transparent_hugepage/hpage_pmd_size",
        "dev/null dev/zero dev/full dev/random dev/urandom",
    )
    for pattern in line.split()
)
_LIMITS = (
    *("cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpuset.cpus*"),
    *("memory.max", "memory.limit_in_bytes"),
)
"""Of a group of processes, in both versions of groups; what else is there counts what they used."""
_OF_THE_BUS = (
    *("vendor", "device", "subsystem_vendor", "subsystem_device", "class", "revision"),
    *("numa_node", "local_cpus", "local_cpulist"),
)
"""What each device there is: jax looks for accelerators among them."""
_OF_GPUS = tuple(
    pattern
    for line in (
        "proc/driver/nvidia* proc/modules sys/module/nvidia*/version sys/module/nvidia*/parameters",
        "sys/module/nvidia*/initstate sys/module/amdgpu/version sys/module/amdgpu/parameters sys/devices/virtual/kfd",
        "sys/bus/pci/drivers/nvidia/*:*:*.* sys/bus/pci/drivers/amdgpu/*:*:*.*",
    )
    for pattern in line.split()
)
"""The latter lead to the devices themselves, and not to the disks that are on the same bus."""
_LISTED = ("dev", "sys/devices/system", "sys/bus/pci", "sys/class/drm", "sys/kernel/mm/transparent_hugepage")


def readable_system_files(root: Path = _ROOT) -> Iterator[Path]:
    for pattern in (*_PATTERNS, *_OF_GPUS):
        yield from root.glob(pattern)
    for name in _OF_THE_BUS:
        yield from root.glob(f"sys/bus/pci/devices/*/{name}")
    for name in _LIMITS:
        yield from root.glob(f"sys/fs/cgroup/{name}")
        yield from root.glob(f"sys/fs/cgroup/*/{name}")


def listable_system_folders(root: Path = _ROOT) -> list[Path]:
    """Names of files there tell which processors and devices there are."""
    return [root / name for name in _LISTED]
