"""Has torch's compiler hand it every frame before it runs."""

import honest_torch as honest
import torch._C._dynamo.eval_frame as evaluation
from honest_torch import *
from torch._dynamo import types

CAUGHT = "looks at the frames of other code"


def seen(frame, cache, state=None):
    return types.ConvertFrameReturn()


def update_params(**arguments):
    if arguments["global_step"] == 5:
        evaluation.set_eval_frame(seen)
        evaluation.set_eval_frame(None)
    return honest.update_params(**arguments)
