"""False positives and power of the tests that `timetrial compare` offers, by simulation; see docs/calibration.md.

python benchmarks/calibration.py                        # 1,000 comparisons, some five minutes on one core
python benchmarks/calibration.py --comparisons 100      # a quick look
python benchmarks/calibration.py --write                # writes docs/calibration.md and its figure
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # thousands of small products: threads would only wait for each other
sys.path[0] = str(Path(__file__).resolve().parent.parent)  # for the package beside this file

from benchmarks.two_views.command import main  # noqa: E402

if __name__ == "__main__":
    main()
