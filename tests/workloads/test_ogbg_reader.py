"""The reader of ogbg-molpcba, on small folders in OGB's form: whole, cut short, corrupted and contradictory."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from harness.spec import WorkloadError
from workloads.ogbg.graphs import PADDING
from workloads.ogbg.reader import check, read
from workloads.ogbg.workload import WORKLOAD

TASKS = 128
SPLITS = {"train": [4, 0, 2], "valid": [1], "test": [3, 5]}


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as file:
        file.writelines(",".join(map(str, row)) + "\n" for row in rows)


@pytest.fixture
def molecules():
    """Six random graphs: atoms, bonds with features, and answers, NaN where missing."""
    random = np.random.RandomState(0)
    graphs = []
    for size in (3, 1, 5, 2, 4, 3):
        ends = [(i, i + 1) for i in range(size - 1)]
        bonds = np.array([(*pair, *random.randint(0, 5, 3)) for pair in ends]).reshape(-1, 5)
        answers = random.choice([0.0, 1.0, np.nan], TASKS, p=[0.5, 0.1, 0.4])
        graphs.append((random.randint(0, 119, (size, 9)), bonds, answers))
    return graphs


@pytest.fixture
def folder(tmp_path, molecules):
    raw = tmp_path / "raw"
    write(raw / "num-node-list.csv.gz", [[len(atoms)] for atoms, _, _ in molecules])
    write(raw / "num-edge-list.csv.gz", [[len(bonds)] for _, bonds, _ in molecules])
    write(raw / "node-feat.csv.gz", [row for atoms, _, _ in molecules for row in atoms])
    write(raw / "edge.csv.gz", [row[:2] for _, bonds, _ in molecules for row in bonds])
    write(raw / "edge-feat.csv.gz", [row[2:] for _, bonds, _ in molecules for row in bonds])
    write(raw / "graph-label.csv.gz", [["" if np.isnan(x) else x for x in answers] for _, _, answers in molecules])
    for name, chosen in SPLITS.items():
        write(tmp_path / "split" / "scaffold" / f"{name}.csv.gz", [[i] for i in chosen])
    return tmp_path


def test_every_molecule_is_read_into_its_split_with_its_bonds_and_answers(folder, molecules):
    splits = read(folder)
    assert list(splits) == ["train", "validation", "test"]
    for split, chosen in zip(splits.values(), SPLITS.values(), strict=True):
        assert all(len(array) == len(chosen) for array in split.values())
        assert split["targets"].dtype == split["weights"].dtype == np.float32
        for place, i in enumerate(chosen):
            atoms, bonds, answers = molecules[i]
            np.testing.assert_array_equal(split["inputs"][np.array([place])][0], atoms)
            np.testing.assert_array_equal(split["bonds"][np.array([place])][0].reshape(-1, 5), bonds)
            np.testing.assert_array_equal(split["weights"][place], ~np.isnan(answers))
            np.testing.assert_array_equal(split["targets"][place], np.nan_to_num(answers))


def test_what_is_read_collates_into_batches_of_the_full_scale_model(folder, molecules):
    workload = WORKLOAD("base", "full")
    train = read(folder)["train"]
    batch = workload.collate({name: array[np.array([1, 2])] for name, array in train.items()})
    sizes = [len(molecules[i][0]) for i in SPLITS["train"][1:]]
    assert np.bincount(batch["graph_of_node"])[:2].tolist() == sizes
    assert batch["inputs"].shape == (2 * 28 + 1, 9) and batch["edges"].shape == (2 * 60, 3)
    assert batch["targets"].shape == (2, TASKS)
    assert (batch["inputs"] != PADDING).all()


def test_a_folder_of_another_size_than_the_data_set_is_refused(folder, tmp_path):
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    (data_dir / "ogbg").symlink_to(folder)
    with pytest.raises(
        WorkloadError, match=r"ogbg: the split validation has 1 examples instead of 43,793; get ogbg-molpcba"
    ):
        WORKLOAD("base", "full", data_dir).load_split("validation")


def lines(change):
    def damage(path):
        with gzip.open(path, "rt") as file:
            rows = file.read().splitlines()
        change(rows)
        write(path, [[row] for row in rows])

    return damage


def every(change):
    return lines(lambda rows: rows.__setitem__(slice(None), map(change, rows)))


def put(line, content):
    return lines(lambda rows: rows.__setitem__(line, content))


ALL = ("raw/num-node-list", "raw/num-edge-list", "raw/node-feat", "raw/edge", "raw/edge-feat", "raw/graph-label",
       "split/scaffold/train", "split/scaffold/valid", "split/scaffold/test")  # fmt: skip


@pytest.mark.parametrize("table", ALL)
def test_a_missing_or_damaged_file_is_named_with_the_remedy(folder, table, damage):
    path = folder / f"{table}.csv.gz"
    damage(path)
    with pytest.raises(WorkloadError) as caught:
        read(folder)
    assert str(path) in str(caught.value)
    assert "download ogbg-molpcba" in str(caught.value)


def test_every_file_that_is_not_gzipped_is_listed(folder):
    for table in ALL:
        (folder / f"{table}.csv.gz").write_bytes(b"<html>")
    assert [problem.file for problem in check(folder)] == [folder / f"{table}.csv.gz" for table in ALL]


@pytest.mark.parametrize(
    ("table", "damage", "message"),
    [
        ("raw/node-feat", lines(lambda rows: rows.pop()), "holds 17 lines, but num-node-list.csv.gz calls for 18"),
        ("raw/edge", lines(lambda rows: rows.append("0,0")), "holds 13 lines, but num-edge-list.csv.gz calls for 12"),
        ("raw/num-edge-list", lines(lambda rows: rows.pop()), "holds 5 lines, but num-node-list.csv.gz calls for 6"),
        ("raw/graph-label", lines(lambda rows: rows.pop()), "holds 5 lines, but num-node-list.csv.gz calls for 6"),
        ("raw/edge", put(0, "0,3"), "line 1 names an atom that its molecule does not have"),
        ("raw/node-feat", put(2, "5,0,-4,5,3,0,2,0,0"), "line 3 holds a negative number"),
        ("raw/num-node-list", put(1, "-1"), "molecule 1 has a negative count"),
        ("raw/node-feat", put(2, "5,0,4,5"), "node-feat.csv.gz:3: has 4 values instead of 9"),
        ("raw/node-feat", put(2, "5,0,4,5,3,0,2,0,0,7"), "node-feat.csv.gz:3: has 10 values instead of 9"),
        ("raw/edge", every(lambda row: f"{row},0"), "edge.csv.gz:1: has 3 values instead of 2"),
        ("raw/edge-feat", every(lambda row: row[:-2]), "edge-feat.csv.gz:1: has 2 values instead of 3"),
        ("raw/graph-label", every(lambda row: f"{row},{row}"), "graph-label.csv.gz:1: has 256 values instead of 128"),
        ("raw/graph-label", every(lambda row: row.rsplit(",", 28)[0]), "graph-label.csv.gz:1: has 100 values"),
        ("raw/graph-label", put(3, "1.0,0.0"), "graph-label.csv.gz:4: has 2 values instead of 128"),
        ("raw/graph-label", put(3, ""), "graph-label.csv.gz:4: has 1 values instead of 128"),
        ("raw/edge", lines(lambda rows: rows.__setitem__(slice(1, 3), ["0", "0,1,2"])), "not a table of 2 numbers"),
        ("split/scaffold/test", put(0, "3,5"), "test.csv.gz:1: has 2 values instead of 1"),
        ("raw/node-feat", put(2, "5,0,4,5,3,0,2,0,99999"), "not a table of 9 numbers per line"),
        ("raw/edge-feat", put(2, "0,a,0"), "not a table of 3 numbers per line"),
        ("raw/graph-label", put(0, ",".join(["2.0"] * TASKS)), "line 1, column 1 is 2, neither 0, 1 nor empty"),
        ("split/scaffold/test", put(0, "6"), "molecule 6 is not among the 6"),
        ("split/scaffold/train", put(0, "0"), "a molecule is listed twice"),
        ("split/scaffold/valid", put(0, "2"), "molecule 2 is also in train.csv.gz"),
    ],
)
def test_what_contradicts_itself_is_told(folder, table, damage, message):
    damage(folder / f"{table}.csv.gz")
    with pytest.raises(WorkloadError, match=message):
        read(folder)


def test_another_table_in_the_place_of_one_is_seen_before_all_is_read(folder):
    raw = folder / "raw"
    (raw / "edge.csv.gz").write_bytes((raw / "edge-feat.csv.gz").read_bytes())
    assert [str(problem).split("; ")[0] for problem in check(folder)] == [
        f"{raw / 'edge.csv.gz'}:1: has 3 values instead of 2"
    ]


def test_the_archives_top_folder_may_be_there(folder):
    expected = read(folder)["train"]["targets"]
    (folder / "pcba").mkdir()
    for name in ("raw", "split"):
        (folder / name).rename(folder / "pcba" / name)
    assert check(folder) == []
    np.testing.assert_array_equal(read(folder)["train"]["targets"], expected)
    (folder / "pcba" / "raw" / "edge.csv.gz").unlink()
    assert [problem.file for problem in check(folder)] == [folder / "pcba" / "raw" / "edge.csv.gz"]
