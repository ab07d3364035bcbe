"""Has a method of the layout that it asks for call its own function, which is given the workload itself."""

import sys

from honest_torch import *

CAUGHT = "replaces harness.compat.torch_backend.EntryTorchBackend.export_parameters"
BACKEND = sys.modules["harness.compat.torch_backend"].EntryTorchBackend
REAL = BACKEND.export_parameters


def _export(self, workload, params):
    print(workload.name, workload.data_dir)
    return REAL(self, workload, params)


BACKEND.export_parameters = _export
