"""The verb `check`: what it prints, and its exit codes."""

import json

import pytest
from click.testing import CliRunner

from harness.check import RULES
from harness.cli import main
from harness.termination import TerminatedError


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_a_clean_entry_ends_with_exit_code_0():
    result = invoke("check", "template_torch", "--no-run", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["clean"] and told["findings"] == [] and told["ran"] == []


def test_errors_are_printed_with_place_and_remedy_and_end_with_exit_code_2(write_entry):
    folder = write_entry("sleepy", replace={"optimizer.step()": "optimizer.step(); import time; time.sleep(1)"})
    result = invoke("check", folder, "--no-run")
    assert result.exit_code == 2
    assert "submission.py:25: error: sleeps: uses time.sleep; remove it" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("nadamw_cosin",), "did you mean 'nadamw_cosine'"), (("template_torch", "--loss", "ctcc"), "did you mean 'ctc'")],
)
def test_what_is_no_entry_or_no_loss_is_bad_input(arguments, message):
    result = invoke("check", *arguments)
    assert result.exit_code == 2 and message in result.stderr


def test_the_rules_are_listed_for_people_and_programs():
    rules = json.loads(invoke("check", "--rules", "--json").stdout)
    lines = invoke("check", "--rules").stdout.splitlines()
    assert [rule["id"] for rule in rules] == [line.split()[0] for line in lines] == list(RULES)
    assert all(rule["mend"] and rule["severity"] in ("error", "warning") for rule in rules)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rules", "template_torch"), "PATH|NAME has no effect with --rules; leave one of them out"),
        (("--rules", "--loss", "ctc"), "--loss has no effect with --rules"),
        ((), "Missing argument PATH|NAME"),
    ],
)
def test_either_the_rules_or_an_entry_is_asked_for(arguments, message):
    result = invoke("check", *arguments)
    assert result.exit_code == 2 and message in result.stderr


def test_a_warning_alone_is_no_error(write_entry):
    folder = write_entry("fast", tail="torch.backends.cudnn.benchmark = True\n")
    result = invoke("check", folder, "--no-run", "--json")
    assert result.exit_code == 0
    assert [finding["rule"] for finding in json.loads(result.stdout)["findings"]] == ["speed-settings"]


def test_a_composition_is_judged_by_its_keys(tmp_path):
    path = tmp_path / "odd.yaml"
    path.write_text("name: odd\noptimizer: {name: adamw, learning_rat: 1}\n")
    result = invoke("check", path, "--no-run")
    assert result.exit_code == 2 and "odd.yaml:2: error: composition: optimizer.learning_rat" in result.stdout


def test_an_entry_whose_framework_cannot_be_told_is_refused(write_entry):
    edits = {"import torch\n": "import torch\nimport jax\n", "LEARNING_RATE = 1e-3": "X = jax.nn\nLEARNING_RATE = 1e-3"}
    folder = write_entry("both", replace=edits)
    found = json.loads(invoke("check", folder, "--no-run", "--json").stdout)["findings"]
    assert [finding["rule"] for finding in found] == ["entry"]


@pytest.mark.parametrize(
    ("error", "code", "word"), [(TerminatedError, 143, "terminated"), (KeyboardInterrupt, 130, "interrupted")]
)
def test_a_check_that_is_ended_says_that_nothing_is_recorded(error, code, word, monkeypatch):
    def end(*_, **__):
        raise error

    monkeypatch.setattr("harness.check.check", end)
    result = invoke("check", "template_torch", "--no-run")
    assert result.exit_code == code
    assert result.stderr == f"{word}; a check records nothing, the same command starts it afresh\n"


def test_it_leaves_nothing_behind_in_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert invoke("check", "template_torch", "--json").exit_code == 0
    assert not list(tmp_path.glob("timetrial*"))
