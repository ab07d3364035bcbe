import json

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.config import ConfigError, load_document, validate


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    name: str
    studies: int = 3


def write(tmp_path, text, name="file.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_yaml_reads_scientific_notation_as_numbers(tmp_path):
    data = load_document(write(tmp_path, "{a: 1e-4, b: 2E3, c: -1.5e+2, d: 1.0, e: .5, f: 3, g: 1e, h: v1.0}")).data
    assert data == {"a": 1e-4, "b": 2e3, "c": -150.0, "d": 1.0, "e": 0.5, "f": 3, "g": "1e", "h": "v1.0"}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("abcxyz_", min_size=1), inner),
    )
)
def test_json_is_read_as_json_does(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("json") / "file.json"
    path.write_text(json.dumps(data, indent=1))
    assert load_document(path).data == data


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "name: x\nstudies: [1,\n", r"a\.yaml:3: not YAML"),
        ("a.yaml", "name: x\nname: y\n", r"a\.yaml:2: not YAML: key 'name' is given twice"),
        ("a.json", '{"name": "x",\n "studies": }', r"a\.json:2: not JSON: Expecting value \(column 13\)"),
    ],
)
def test_malformed_files_name_the_line(tmp_path, name, text, message):
    with pytest.raises(ConfigError, match=message):
        load_document(write(tmp_path, text, name))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read .*absent\.yaml: No such file"):
        load_document(tmp_path / "absent.yaml")


def test_binary_files_are_refused(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_document(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nstudiez: 3\n", r"file\.yaml:2: studiez: unknown key; did you mean 'studies'\?"),
        ("studies: 3\n", r"file\.yaml:1: name: is missing"),
        ("name: x\nstudies: many\n", r"file\.yaml:2: studies: .*integer.*'many'"),
        ("", r"file\.yaml: expected keys and values, such as name: x; found nothing: the file is empty"),
        ("- a\n", r"file\.yaml:1: expected keys and values, .*; found a list"),
    ],
)
def test_validation_names_file_line_and_key(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        validate(load_document(write(tmp_path, text)), Model)
