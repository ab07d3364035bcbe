"""Has Python's library evaluate an annotation, which looks at the frames."""

import typing

import honest_torch as honest
from honest_torch import *

CAUGHT = "looks at the frames of other code"


class Note:
    found: "[__import__('sys')._getframe(9)] and int"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        assert typing.get_type_hints(Note) == {"found": int}
    return honest.update_params(**arguments)
