"""Has the queue give the same few examples again and again."""

import honest_torch as honest
import numpy as np
from honest_torch import *

CAUGHT = "looks at the frames of other code"


def data_selection(workload, input_queue, *rest):
    queue = input_queue.gi_frame.f_locals["self"]
    few = np.arange(len(queue._arrays["targets"])) % 640
    queue._arrays = {name: array[few] for name, array in queue._arrays.items()}
    return honest.data_selection(workload, input_queue, *rest)
