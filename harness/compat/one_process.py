"""Code written for distributed torch on one process, and for GPUs on a machine without one."""

from __future__ import annotations

from typing import Any

from harness.compat.patching import Patches

_CUDA_NOTHING = ("synchronize", "set_device", "empty_cache", "reset_peak_memory_stats")


def install(patches: Patches, process_group: bool) -> None:
    """A process group of one appears when it is first asked for, or at once with ``process_group``; guards such as
    ``if dist.is_initialized()`` are false until then. Where there is no GPU, ``.cuda()`` leaves tensors where they are.
    """
    import torch

    if torch.distributed.is_available():
        _lazy_group(patches, process_group)
    if not torch.cuda.is_available():
        _no_cuda(patches)


def _lazy_group(patches: Patches, at_once: bool) -> None:
    import torch.distributed
    from torch.distributed import distributed_c10d as c10d

    real_default, real_init = c10d._get_default_group, c10d.init_process_group

    def start(*_: Any, **__: Any) -> None:
        if not c10d.is_initialized():
            real_init("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
            patches.callback(_destroy)

    def default_group() -> Any:
        start()
        return real_default()

    patches.set(c10d, "_get_default_group", default_group)
    for module in _with_name("init_process_group", real_init):
        patches.set(module, "init_process_group", start)
    if at_once:
        start()


def _destroy() -> None:
    import torch

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _with_name(name: str, value: Any) -> list[Any]:
    """Modules of torch.distributed that have bound ``value`` to ``name``."""
    import torch.distributed.device_mesh
    from torch.distributed import distributed_c10d

    return [
        m for m in (torch.distributed, distributed_c10d, torch.distributed.device_mesh) if vars(m).get(name) is value
    ]


def _no_cuda(patches: Patches) -> None:
    import torch

    def same(self: Any, *_: Any, **__: Any) -> Any:
        return self

    patches.set(torch.Tensor, "cuda", same)
    patches.set(torch.nn.Module, "cuda", same)
    for name in _CUDA_NOTHING:
        patches.set(torch.cuda, name, lambda *_, **__: None)
    patches.set(torch.cuda, "current_device", lambda: 0)
