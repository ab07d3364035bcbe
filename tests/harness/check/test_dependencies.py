"""Every package that an entry cannot do without is declared; what is declared and not there is to be installed."""

import pytest

from harness.check import check
from harness.check.static import check_files
from harness.scaffold import new_entry


def planted(folder, top, *inside, requirements=""):
    entry = new_entry("mine", "torch", folder)
    path = entry / "submission.py"
    source = path.read_text().replace("import math\n", f"import math\n{top}\n")
    lines = "".join(f"    {line}\n" for line in inside)
    path.write_text(source.replace("    optimizer.step()\n", f"    optimizer.step()\n{lines}"))
    (entry / "requirements.txt").write_text(requirements)
    return entry


@pytest.mark.parametrize(
    ("top", "inside"),
    [
        ("import pandas as pd", ()),
        ("", ("import scipy.linalg", "scipy.linalg.inv([[1.0]])")),
        ("try:\n    import pandas\nfinally:\n    pass", ()),
        ("try:\n    import math\nexcept ImportError:\n    import pandas", ()),
    ],
)
def test_an_undeclared_package_is_found_wherever_it_is_imported(top, inside, tmp_path):
    findings = check_files(planted(tmp_path, top, *inside) / "submission.py")
    assert [finding.rule for finding in findings] == ["dependency"]


@pytest.mark.parametrize(
    "top",
    [
        "try:\n    import pandas\nexcept ImportError:\n    pandas = None",
        "import ml_dtypes\nimport packaging.version\nfrom typing_extensions import override",
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import pandas",
    ],
)
def test_a_package_that_may_be_absent_needs_no_declaration(top, tmp_path):
    assert check_files(planted(tmp_path, top) / "submission.py") == []


def test_a_declared_package_that_is_not_there_is_to_be_installed(tmp_path):
    entry = planted(tmp_path, "import nowhere_to_be_had as n\n\nX = n.x", requirements="nowhere-to-be-had>=2\n")
    (found,) = check(str(entry), run=False).findings
    assert (found.rule, found.message) == ("dependency", "needs nowhere_to_be_had, which is not installed")
    assert found.mend == "run: pip install 'nowhere-to-be-had>=2'"
