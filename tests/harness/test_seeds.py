import hashlib
import itertools
import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harness.seeds import derive, digest, draw_parameters, key_stream, key_words, seed_of_key
from harness.spec import Parameter, ParameterType


def normal(random, shape):
    return random.standard_normal(shape).astype(np.float32)


def test_seeds_do_not_depend_on_the_process():
    code = "from harness.seeds import derive; print(derive(seed=0, workload='mnist', study=1))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    canonical = b'{"seed":0,"study":1,"workload":"mnist"}'
    by_hand = int(hashlib.sha256(canonical).hexdigest()[:8], 16)
    assert int(other.stdout) == derive(seed=0, workload="mnist", study=1) == by_hand


@given(st.integers(0, 2**31), st.integers(0, 50), st.integers(0, 50))
def test_another_axis_or_value_gives_another_seed(seed, study, other):
    assert derive(seed=seed, study=study) != derive(seed=seed, trial=study)
    assert (derive(seed=seed, study=study) == derive(seed=seed, study=other)) == (study == other)


def test_digest_ignores_the_order_of_keys_but_not_of_lists():
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest([1, 2]) != digest([2, 1])


def test_key_words_differ_from_step_to_step():
    keys = list(itertools.islice(key_stream(3, per_step=2), 1000))
    assert len({tuple(word) for step in keys for word in step}) == 2000
    again = list(itertools.islice(key_stream(3, per_step=2), 600))
    np.testing.assert_array_equal(again, keys[:600])
    assert tuple(key_words(3, 0)) != tuple(key_words(3, 1))


def test_the_same_key_gives_the_same_seed_in_any_container():
    assert seed_of_key(np.array([1, 2])) == seed_of_key((1, 2)) != seed_of_key([2, 1])


def test_adding_a_parameter_moves_no_other():
    one = Parameter("a.kernel", (3, 2), ParameterType.WEIGHT, normal)
    two = Parameter("b.kernel", (4,), ParameterType.WEIGHT, normal)
    alone, both = draw_parameters([one], 5), draw_parameters([two, one], 5)
    np.testing.assert_array_equal(alone["a.kernel"], both["a.kernel"])
    assert not np.array_equal(draw_parameters([one], 6)["a.kernel"], alone["a.kernel"])
