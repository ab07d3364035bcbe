"""Has the queue give the same few examples again and again."""

import honest_torch as honest
import numpy as np
from honest_torch import *

CAUGHT = "replaces _arrays of the queue"


def data_selection(workload, input_queue, *rest):
    few = np.arange(len(input_queue._arrays["targets"])) % 640
    input_queue._arrays = {name: array[few] for name, array in input_queue._arrays.items()}
    return honest.data_selection(workload, input_queue, *rest)
