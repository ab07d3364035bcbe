"""Entries in each of AlgoPerf's styles train, and train the same as the same algorithm written otherwise."""

from __future__ import annotations

import json
import logging

import jax
import numpy as np
import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.compat import environment
from results.record import StopReason

RULESETS = {
    "pmap_nadamw": "external",
    "jit_nadamw": "self_tuning",
    "ddp_nadamw": "external",
    "closure_sam": "self_tuning",
    "averaged_sgd": "self_tuning",
}


@pytest.fixture(scope="module")
def runs(train, entries):
    return {name: train(entries / name, ruleset=ruleset) for name, ruleset in RULESETS.items()}


@pytest.mark.parametrize("name", RULESETS)
def test_an_entry_in_each_style_trains(runs, name):
    losses = runs[name].losses
    assert runs[name].outcome.stop_reason is StopReason.STEP_LIMIT
    assert losses[1] < losses[0] < 2.6


def test_the_pmap_and_the_jit_version_of_an_algorithm_take_the_same_steps(runs):
    np.testing.assert_allclose(runs["pmap_nadamw"].losses, runs["jit_nadamw"].losses, rtol=1e-5)


def test_an_entry_takes_the_same_steps_as_the_composition_of_its_algorithm(runs, train, tmp_path):
    composition = tmp_path / "same.yaml"
    composition.write_text(
        "name: same\nframework: jax\noptimizer: {name: nadamw, learning_rate: 0.005, beta1: 0.9, beta2: 0.99, "
        "weight_decay: 0.05}\nschedule: constant\ndefaults: {}\n"
    )
    np.testing.assert_allclose(train(composition).losses, runs["jit_nadamw"].losses, rtol=1e-5)


def test_an_entry_may_draw_several_batches_in_a_step(runs):
    assert runs["averaged_sgd"].examples == [3 * count for count in runs["ddp_nadamw"].examples]


def test_an_entry_may_end_training_by_itself(train, entries):
    run = train(entries / "closure_sam", steps=50, every=6)
    assert run.outcome.stop_reason is StopReason.TRAINING_COMPLETE
    assert run.outcome.steps == 13 - 1


@pytest.mark.filterwarnings("ignore:torch.distributed.nn:FutureWarning")
def test_collectives_without_a_guard_work_in_a_group_of_one(runs, train, copy_entry):
    import torch.distributed as dist

    folder = copy_entry("ddp_nadamw", {"UNGUARDED = False": "UNGUARDED = True"}, into="unguarded")
    assert train(folder, ruleset="external").losses == pytest.approx(runs["ddp_nadamw"].losses)
    assert dist.is_initialized()
    environment.close()
    assert not dist.is_initialized()


def test_an_entry_that_wraps_the_model_itself_trains(train, copy_entry, runs):
    wrapped = {
        "    current_model = current_param_container\n": (
            "    current_model = current_param_container\n"
            "    if not isinstance(current_model, torch.nn.parallel.DistributedDataParallel):\n"
            "        dist.init_process_group('nccl')\n"
            "        current_model = torch.nn.parallel.DistributedDataParallel(current_model)\n"
        ),
        "return optimizer_state, current_param_container, new": "return optimizer_state, current_model, new",
    }
    folder = copy_entry("ddp_nadamw", wrapped, into="wrapping")
    assert train(folder, ruleset="external").losses == pytest.approx(runs["ddp_nadamw"].losses)


def test_the_dropout_rate_of_a_point_is_applied_for_an_entry_that_does_not_pass_it(train, copy_entry, tmp_path):
    seen = {"    del model_state, rng\n": "    assert workload.dropout_rate == 0.25\n"}
    space = tmp_path / "space.json"
    point = json.loads((copy_entry("ddp_nadamw", seen) / "tuning_search_space.json").read_text())
    space.write_text(json.dumps(point | {"dropout_rate": {"feasible_points": [0.25]}}))
    assert train(tmp_path / "ddp_nadamw", 1, 1, "external", search_space=space).outcome.steps == 1


def test_an_entry_that_insists_on_a_process_group_has_one(runs, train, copy_entry):
    insists = {
        '    optimizer_state["scheduler"].step()\n': (
            '    optimizer_state["scheduler"].step()\n'
            "    if not dist.is_initialized():\n"
            "        raise RuntimeError('no process group')\n"
        )
    }
    folder = copy_entry("ddp_nadamw", insists, into="insisting")
    assert train(folder, ruleset="external").losses == pytest.approx(runs["ddp_nadamw"].losses)


def test_an_entry_is_run_from_its_folder_by_the_command_line(entries, tmp_path):
    out = tmp_path / "out"
    arguments = [
        "run",
        "-s",
        entries / "ddp_nadamw",
        "-w",
        "mnist",
        "--max-steps",
        "2",
        "--studies",
        "1",
        "--trials",
        "1",
    ]
    result = CliRunner().invoke(main, [str(a) for a in [*arguments, "--no-report", "--json", "--out", out]])
    assert result.exit_code == 0, result.output
    (record,) = out.glob("ddp_nadamw/study_1/mnist_pytorch/trial_1/trial.json")
    assert json.loads(record.read_text())["steps"] == 2


def test_an_entry_with_shardings_is_compiled_once(train, copy_entry, caplog):
    with jax.log_compiles(), caplog.at_level(logging.WARNING, logger="jax"):
        train(
            copy_entry(
                "jit_nadamw", {"def train_step(": "def my_very_step(", "        train_step,": "        my_very_step,"}
            )
        )
    compiled = [
        record for record in caplog.records if "Compiling" in record.message and "my_very_step" in record.message
    ]
    assert len(compiled) == 1
