"""Settings of the whole process: which are found, and what each kind is told."""

import pytest

from harness.check import check

SETTERS = """
import gc, torch
gc.disable()  # !
gc.collect()
torch.set_num_threads(8)  # !
torch.set_printoptions(4)
with torch.set_grad_enabled(True):
    pass
torch.use_deterministic_algorithms(False)  # !
"""


def test_setters_of_the_process_are_found_and_nothing_else(lines_found_by):
    lines = [n for n, line in enumerate(SETTERS.splitlines(), 1) if line.endswith("# !")]
    assert lines_found_by("global-settings", SETTERS) == lines


@pytest.mark.parametrize(
    ("setter", "advice"),
    [
        ("torch.set_num_threads(8)", "the harness gives every trial its threads, and the same to all entries"),
        ("torch.set_default_dtype(torch.float64)", "give dtype and device where tensors are made"),
        ("torch.use_deterministic_algorithms(False)", "the harness sets whether operations are deterministic"),
        ("torch.set_grad_enabled(True)", "use `with torch.no_grad():`"),
    ],
)
def test_each_kind_of_setting_has_an_advice_of_its_own(setter, advice, edited):
    report = check(str(edited({"end": [setter]})), run=False)
    (found,) = report.findings
    assert found.rule == "global-settings" and f": {advice}" in found.message and found.mend == "remove it"
