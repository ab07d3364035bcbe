import json
import tarfile
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


@pytest.fixture(scope="session")
def oracles():
    """Known answers by id; infinities and NaN as floats."""
    path = SHARED / "stats_oracles.json"
    if not path.exists():
        pytest.skip(f"no {path}")

    def number(value):
        if isinstance(value, dict):
            return {name: number(item) for name, item in value.items()}
        if isinstance(value, list):
            return [number(item) for item in value]
        return float(value) if value in ("inf", "-inf", "nan") else value

    return {case["id"]: number(case) for case in json.loads(path.read_text())["cases"]}


@pytest.fixture(scope="session")
def v05_logs(tmp_path_factory):
    """The official v0.5 external-tuning logs, unpacked."""
    path = SHARED / "algoperf_v05_external.tar.xz"
    if not path.exists():
        pytest.skip(f"no {path}")
    folder = tmp_path_factory.mktemp("v05")
    with tarfile.open(path) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # since Python 3.11.4
        archive.extractall(folder)
    return folder
