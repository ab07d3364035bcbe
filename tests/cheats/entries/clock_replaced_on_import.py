"""Makes time stand still before the harness looks."""

import time

from honest_torch import *

CAUGHT = "replaces time.process_time"


time.process_time = lambda: 0.0
