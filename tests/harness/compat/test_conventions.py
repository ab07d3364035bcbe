"""How an entry is written is told from its source, and can be said outright."""

from __future__ import annotations

import pytest

from harness.compat.conventions import conventions_of
from harness.compat.sources import read_sources
from harness.entry import find_entry
from harness.errors import UsageError


def conventions(tmp_path, source, info=None):
    path = tmp_path / "submission.py"
    path.write_text(source)
    return conventions_of(read_sources(path), info or {}, tmp_path / "submission_info.yml")


@pytest.mark.parametrize(
    ("source", "era"),
    [
        ("import jax\nstep = jax.pmap(lambda x: x)\nstep(1)", "pmap"),
        ("from jax import pmap as parallel\nimport jax\n@jax.pmap\ndef step(): pass\nstep()", "pmap"),
        ("import functools, jax\n@functools.partial(jax.pmap, axis_name='b')\ndef step(): pass\nstep()", "pmap"),
        ("# jax.pmap is gone\n'''pmap'''\nimport jax\nstep = jax.jit(lambda x: x)", "jit"),
        ("import jax\n@jax.pmap\ndef never_called(): pass\nstep = jax.jit(lambda x: x)", "jit"),
        ("from algoperf import jax_sharding_utils as s\ns.replicate(1)", "jit"),
        ("from flax import jax_utils\njax_utils.unreplicate(1)", "pmap"),
        ("from jax.sharding import NamedSharding\nfrom flax import jax_utils\njax_utils.replicate(1)", "jit"),
        ("import jax\n", "jit"),
    ],
)
def test_the_era_of_a_jax_entry_is_told_from_its_source(tmp_path, source, era):
    assert conventions(tmp_path, source).jax_era == era


def test_the_era_is_told_from_files_that_the_main_one_imports(tmp_path):
    (tmp_path / "steps.py").write_text("import jax\nstep = jax.pmap(lambda x: x)\nstep(1)\n")
    (tmp_path / "unused.py").write_text("import jax\nstep = jax.pmap(lambda x: x)\nstep(1)\n")
    assert conventions(tmp_path, "from .steps import step\n").jax_era == "pmap"
    assert conventions(tmp_path, "import jax\n").jax_era == "jit"


def test_an_entry_can_say_its_era(tmp_path):
    source = "import jax\nstep = jax.pmap(lambda x: x)\nstep(1)\n"
    assert conventions(tmp_path, source, {"timetrial": {"jax_era": "jit"}}).jax_era == "jit"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"jax_era": "vmap"}, r"submission_info\.yml: timetrial\.jax_era: expected pmap or jit, found 'vmap'"),
        ({"era": "pmap"}, r"timetrial\.era: unknown key; known: jax_era, algoperf"),
        ("pmap", "timetrial: expected a mapping"),
    ],
)
def test_a_wrong_wish_is_refused(tmp_path, asked, message):
    with pytest.raises(UsageError, match=message):
        conventions(tmp_path, "import jax\n", {"timetrial": asked})


def test_the_folders_of_algoperf_give_name_framework_and_search_space(copy_entry, tmp_path):
    folder = copy_entry("pmap_nadamw", into="nadamw/jax")
    (folder / "tuning_search_space.json").rename(folder.parent / "tuning_search_space.json")
    entry = find_entry(str(folder))
    assert (entry.name, entry.frameworks, entry.rulesets) == ("nadamw_jax", ("jax",), ("external",))
    assert [point["dropout_rate"] for point in entry.search_space.points] == [0.0, 0.1]
    assert find_entry(str(copy_entry("jit_nadamw"))).rulesets == ("self_tuning",)
    ranges = find_entry(str(copy_entry("ddp_nadamw"))).search_space.dimensions
    assert ranges["learning_rate"].points == (0.005,)


def test_a_file_of_any_name_takes_the_search_space_beside_it(copy_entry):
    folder = copy_entry("pmap_nadamw")
    path = (folder / "submission.py").rename(folder / "jax_nadamw.py")
    assert (find_entry(str(path)).name, find_entry(str(path)).rulesets) == ("jax_nadamw", ("external",))
