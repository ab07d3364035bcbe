"""Has the queue draw in an order of its own."""

import honest_torch as honest
from honest_torch import *

CAUGHT = "has no attribute '_batch_size'"


def data_selection(workload, input_queue, *rest):
    input_queue._indices = iter([list(range(input_queue._batch_size))] * 1000)
    return honest.data_selection(workload, input_queue, *rest)
