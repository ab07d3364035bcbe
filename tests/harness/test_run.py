"""Whole trials on the smallest workload, in their own processes."""

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from harness.errors import UsageError
from harness.launch import Limits
from harness.run import run
from harness.sandbox import landlock_version
from harness.spec import Target
from harness.suite import Request
from harness.worker import redirect_output
from results.record import StopReason
from results.store import StoreError, find_trials, read_evaluations, read_trial


@pytest.fixture(autouse=True)
def target(monkeypatch):
    """An easy target keeps these runs to a second or two; the real ones are measured."""
    monkeypatch.setattr("harness.spec.Workload._declared_target", lambda self: Target(0.75, 0.7))


def go(out, *entries, **changes):
    request = Request(
        workloads=("mnist",),
        submissions=tuple((str(e), None) for e in entries),
        ruleset="self_tuning",
        studies=1,
        trials=1,
    )
    options = {name: changes.pop(name) for name in ("limits", "replace_stale", "retry_failed") if name in changes}
    console = Console(file=Path(os.devnull).open("w"))  # noqa: SIM115
    with console.file:
        return run(dataclasses.replace(request, **changes), out, console=console, **options)


def only_record(out):
    (folder,) = find_trials(out)
    return read_trial(folder), read_evaluations(folder)


def losses(out):
    return {
        str(folder.relative_to(out)): (
            read_trial(folder).steps,
            [row["validation/loss"] for row in read_evaluations(folder)],
        )
        for folder in find_trials(out)
    }


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_a_trial_reaches_the_target_and_its_segments_add_up(tmp_path, write_entry, framework):
    summary = go(tmp_path / "out", write_entry("adam", framework))
    assert (summary.planned, summary.ran, summary.measured, summary.failed) == (1, 1, 1, 0)
    record, rows = only_record(tmp_path / "out")
    assert record.stop_reason is StopReason.TARGET_REACHED
    assert sum(record.segments.values()) == pytest.approx(record.wall_sec, rel=1e-3)
    assert rows[-1]["validation/accuracy"] >= 0.75 and "test/accuracy" in rows[-1]
    assert all(row["validation/accuracy"] < 0.75 and "test/accuracy" not in row for row in rows[:-1])
    assert record.crossing.steps == rows[-1]["global_step"] == record.steps
    assert record.crossing.wall == pytest.approx(rows[-1]["accumulated_submission_time"], rel=0.05)
    timed = [record.segments[s] for s in ("initialise", "compile", "data_selection", "step", "prepare_for_eval")]
    assert sum(timed) == pytest.approx(record.crossing.wall, rel=0.05)
    assert rows[-1]["examples"] == 64 * record.steps
    assert [mark["global_step"] for mark in record.timeline] == [0, *(row["global_step"] for row in rows), record.steps]
    spent = {name: sec for name, sec in record.timeline[-1].items() if name != "global_step"}
    assert sum(spent.values()) == pytest.approx(record.wall_sec, rel=1e-3)
    assert record.watched["parent_sec"] > 0 and record.watched["child_sec"] > 0


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_the_same_command_gives_the_same_losses(tmp_path, write_entry, framework):
    entry = write_entry("adam", framework)
    for name in ("one", "two"):
        go(tmp_path / name, entry, studies=2)
    assert losses(tmp_path / "one") == losses(tmp_path / "two")
    assert len({tuple(found[1]) for found in losses(tmp_path / "one").values()}) == 2, "studies must differ"


def test_reissuing_runs_what_is_missing_and_nothing_else(tmp_path, write_entry):
    out, entry = tmp_path / "out", write_entry("adam")
    go(out, entry, studies=1)
    (first,) = find_trials(out)
    stamp = (first / "trial.json").stat().st_mtime_ns
    summary = go(out, entry, studies=2)
    assert (summary.planned, summary.ran, summary.already_done) == (2, 1, 1)
    assert (first / "trial.json").stat().st_mtime_ns == stamp
    assert go(out, entry, studies=2).ran == 0


CRASH = {
    "optimizer.step()": "optimizer.step()\n    if global_step == 7: raise RuntimeError('the matrix is not square')"
}
KILL = {"optimizer.step()": "optimizer.step()\n    import faulthandler\n    faulthandler._sigsegv()"}
HANG = {"optimizer.step()": "optimizer.step()\n    import time\n    if global_step == 7: time.sleep(600)"}
HOARD = {"optimizer.step()": "optimizer.step()\n    globals().setdefault('x', []).append(torch.ones(2**24))"}
NAMELESS = {
    "optimizer.step()": "optimizer.step()\n    import os"
    "\n    globals().setdefault('x', []).append(os.memfd_create('x'))\n    os.write(x[-1], bytes(2**26))"
}
NAN = {
    "optimizer.step()": "optimizer.step()\n    [p.data.mul_(float('nan')) for p in optimizer.param_groups[0]['params']]"
}
PAIR = {"return optimizer_state, current_param_container, model_state": "return optimizer_state, model_state"}
DICT = {"return optimizer_state, current_param_container, model_state": "return optimizer_state, {}, model_state"}
COMPLETE = {
    "optimizer.step()": "optimizer.step()\n    if global_step == 300: raise spec.TrainingCompleteError('annealed')"
}
SIZE = {"raise ValueError(workload_name)": "return 0.5"}
HUGE = {"raise ValueError(workload_name)": "return 10**9"}
EMPTY = {"    return next(input_queue)": "    next(input_queue)"}
MEMORY = {"optimizer.step()": "raise MemoryError('no room')"}


@pytest.mark.parametrize(
    ("replace", "reason", "detail"),
    [
        (CRASH, StopReason.CRASHED, r"^RuntimeError: the matrix is not square \(submission\.py:\d+, in update_params"),
        (KILL, StopReason.KILLED, "killed by SIGSEGV in phase train"),
        (HANG, StopReason.HUNG, "no sign of life for .* in phase train"),
        (HOARD, StopReason.OUT_OF_MEMORY, r"held \d\.\d GiB, the limit is 1\.0 GiB"),
        (NAMELESS, StopReason.OUT_OF_MEMORY, r"held \d\.\d GiB, the limit is 1\.0 GiB"),
        (MEMORY, StopReason.OUT_OF_MEMORY, "MemoryError: no room"),
        (NAN, StopReason.DIVERGED, "validation/loss is nan for 2 evaluations in a row, last at step 500"),
        (
            PAIR,
            StopReason.INVALID_SUBMISSION,
            "update_params returned 2 values; return .optimizer_state, current_param",
        ),
        (DICT, StopReason.INVALID_SUBMISSION, "update_params returned dict as current_param_container"),
        (
            SIZE,
            StopReason.INVALID_SUBMISSION,
            r"get_batch_size\('mnist_mini'\) returned 0\.5; return a positive integer",
        ),
        (
            HUGE,
            StopReason.INVALID_SUBMISSION,
            r"get_batch_size returned 1,000,000,000: .* take 2,9\d\d GiB, and this machine has \d+; return less",
        ),
        (EMPTY, StopReason.INVALID_SUBMISSION, "data_selection returned None; return a batch"),
        (COMPLETE, StopReason.TRAINING_COMPLETE, "annealed"),
    ],
    ids=[
        "crash",
        "signal",
        "hang",
        "hoard",
        "nameless",
        "memory",
        "nan",
        "pair",
        "dict",
        "size",
        "huge",
        "empty",
        "complete",
    ],
)
def test_every_end_has_its_reason_and_the_others_go_on(tmp_path, write_entry, monkeypatch, replace, reason, detail):
    monkeypatch.setattr("harness.spec.Workload._declared_target", lambda self: Target(0.99, 0.99))
    bad, good = write_entry("bad", replace=replace), write_entry("good")
    # A hang is noticed when the budget and the grace are over; the other ends must come before any budget does.
    options = {"budget_sec": 6.0 if reason is StopReason.HUNG else 120.0, "max_steps": 500}
    summary = go(tmp_path / "out", bad, good, limits=Limits(grace_sec=2.0, memory_bytes=2**30), **options)
    records = {r.spec.key.submission: r for r in map(read_trial, find_trials(tmp_path / "out"))}
    assert records["bad"].stop_reason is reason
    assert re.search(detail, records["bad"].stop_detail)
    assert records["good"].stop_reason is StopReason.STEP_LIMIT
    assert summary.failed == reason.failed
    if reason is StopReason.CRASHED:
        assert "raise RuntimeError('the matrix is not square')" in records["bad"].traceback
    assert go(tmp_path / "out", bad, good, **options).ran == 0
    if reason is StopReason.CRASHED:
        assert go(tmp_path / "out", bad, good, retry_failed=True, **options).ran == 1


def test_an_error_in_a_compiled_function_is_told_as_such(tmp_path, write_entry):
    """jax looks at the frames of an exception that passes it; that is no look of the entry's."""
    entry = write_entry("bad", "jax", replace={'batch["targets"]': 'batch["labels"]'})
    go(tmp_path / "out", entry, max_steps=5)
    record, _ = only_record(tmp_path / "out")
    assert record.stop_reason is StopReason.CRASHED, record.breaches
    assert re.fullmatch(r"KeyError: 'labels' \(submission\.py:\d+, in loss_of\)", record.stop_detail)


@pytest.mark.skipif(landlock_version() == 0, reason="this kernel cannot confine files")
def test_an_entry_that_wants_workers_is_told_why_it_has_none(tmp_path, write_entry):
    pool = {"optimizer.step()": "import multiprocessing; multiprocessing.Pool(1)"}
    go(tmp_path / "out", write_entry("bad", replace=pool), max_steps=5)
    record, _ = only_record(tmp_path / "out")
    told = "; ".join([record.stop_detail, *record.breaches])
    assert record.stop_reason.failed and "submission.py:" in told
    assert "no network, shared memory or processes of its own" in told


def test_an_entry_that_asks_for_what_nobody_tuned_is_told_how_to_get_it(tmp_path, write_entry):
    go(tmp_path / "out", write_entry("bad", replace={"optimizer.step()": "hyperparameters.rate"}), max_steps=5)
    record, _ = only_record(tmp_path / "out")
    assert record.stop_reason is StopReason.CRASHED
    assert "no attribute 'rate' (submission.py:" in record.stop_detail
    assert "the self-tuning ruleset gives" in record.stop_detail and "--ruleset external" in record.stop_detail


TWICE = """q = torch.ones(1, 1, 4, 8, requires_grad=True)
    attended = torch.nn.functional.scaled_dot_product_attention(q, q, q).sum()
    torch.autograd.grad(attended, q, create_graph=True)[0].sum().backward()"""


CTC_TWICE = """x = torch.randn(5, 1, 4, requires_grad=True)
    ids, five, two = torch.tensor([[1, 2]]), torch.tensor([5]), torch.tensor([2])
    aligned = torch.nn.functional.ctc_loss(x.log_softmax(-1), ids, five, two)
    torch.autograd.grad(aligned, x, create_graph=True)[0].square().sum().backward()"""


@pytest.mark.parametrize(
    ("twice", "advice"),
    [
        (TWICE, "SDPBackend.MATH):` around workload.model_fn"),
        (CTC_TWICE, "where loss_type is CTC_LOSS, estimate curvature from gradients alone"),
    ],
)
def test_an_entry_that_differentiates_twice_what_cannot_be_is_told_how(twice, advice, tmp_path, write_entry):
    go(tmp_path / "out", write_entry("bad", replace={"optimizer.step()": twice}), max_steps=5)
    record, _ = only_record(tmp_path / "out")
    assert record.stop_reason is StopReason.CRASHED
    assert advice in record.stop_detail


def test_the_budget_ends_a_trial(tmp_path, write_entry, monkeypatch):
    monkeypatch.setattr("harness.spec.Workload._declared_target", lambda self: Target(0.999, 0.99))
    go(tmp_path / "out", write_entry("adam"), budget_sec=1.0)
    record, rows = only_record(tmp_path / "out")
    assert record.stop_reason is StopReason.BUDGET_EXHAUSTED and record.crossing is None, record.stop_detail
    assert all(row["accumulated_submission_time"] < 1.0 for row in rows)


def test_the_import_the_initializer_and_prepare_for_eval_are_timed(tmp_path, write_entry):
    tail = """
    import time

    time.sleep(0.3)

    def init_model_params(workload, model_params, model_state, hyperparameters, input_queue, rng):
        assert next(input_queue)["index"].shape == (64,)
        time.sleep(0.2)
        return model_params, model_state

    def prepare_for_eval(workload, current_param_container, current_params_types, model_state, hyperparameters,
                         loss_type, optimizer_state, eval_results, global_step, rng):
        assert not any(name.startswith("test/") for _, result in eval_results for name in result)
        time.sleep(0.1)
        return optimizer_state, current_param_container, model_state
    """
    go(tmp_path / "out", write_entry("adam", tail=tail), track="initializers")
    record, rows = only_record(tmp_path / "out")
    assert record.segments["initialise"] >= 0.5
    assert record.segments["prepare_for_eval"] >= 0.1 * len(rows)
    assert record.crossing.wall >= 0.5 + 0.1 * len(rows)


def test_the_iterator_itself_may_be_the_batch(tmp_path, write_entry):
    replace = {
        "return next(input_queue)": "return input_queue",
        "optimizer = opt": "batch = next(batch)\n    optimizer = opt",
    }
    go(tmp_path / "out", write_entry("lawa", replace=replace))
    assert only_record(tmp_path / "out")[0].stop_reason is StopReason.TARGET_REACHED


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, r"run\.json: seed: this folder was made with seed 0, this run has 1"),
        ({"max_steps": 9}, r"recorded trials were made under other conditions.*max_steps: recorded 5, now 9"),
    ],
)
def test_a_folder_from_another_run_is_refused_and_kept(tmp_path, write_entry, change, message):
    entry = write_entry("adam")
    go(tmp_path / "out", entry, max_steps=5)
    before = losses(tmp_path / "out")
    with pytest.raises(UsageError, match=message):
        go(tmp_path / "out", entry, **{"max_steps": 5, **change})
    assert losses(tmp_path / "out") == before


def test_stale_trials_are_rerun_when_asked(tmp_path, write_entry):
    entry = write_entry("adam")
    go(tmp_path / "out", entry, max_steps=5)
    assert go(tmp_path / "out", entry, max_steps=9, replace_stale=True).ran == 1
    assert only_record(tmp_path / "out")[0].steps == 9


def test_foreign_folders_and_unwritable_places_are_refused(tmp_path, write_entry):
    entry = write_entry("adam")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("")
    with pytest.raises(UsageError, match="holds other files and no run.json"):
        go(tmp_path / "thesis", entry)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file; choose a folder"):
        go(tmp_path / "file", entry)
    with pytest.raises(StoreError, match="cannot write .*; free space or choose another"):
        go(Path("/proc/timetrial"), entry)


def test_a_disk_that_fills_up_loses_nothing_recorded(tmp_path, write_entry, monkeypatch):
    import results.store

    entry = write_entry("adam")
    go(tmp_path / "out", entry, max_steps=5)
    before = losses(tmp_path / "out")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(results.store, "_write_evaluations", full)
    with pytest.raises(StoreError, match="No space left on device"):
        go(tmp_path / "out", entry, max_steps=5, studies=2)
    assert losses(tmp_path / "out") == before
    assert not list((tmp_path / "out").glob("**/.writing-*"))


def test_a_script_without_a_main_guard_may_call_run(tmp_path, write_entry):
    """Trials must not run the caller's script again."""
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from harness.run import run\n"
        "from harness.suite import Request\n"
        "print('once')\n"
        f"request = Request(('mnist',), (({str(write_entry('adam'))!r}, None),), 'self_tuning', 1, 1, max_steps=5)\n"
        f"print(run(request, Path({str(tmp_path / 'out')!r})).ran)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["once", "1"]


@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_relative_data_folder_is_relative_to_the_command(tmp_path, write_entry, monkeypatch, how):
    monkeypatch.chdir(tmp_path)
    entry = write_entry("adam")
    options = f"run -s {entry} -w mnist --studies 1 --max-steps 5 --out out --no-report"
    environment = {**os.environ, "TIMETRIAL_DATA_DIR": "cache" if how == "variable" else str(tmp_path / "elsewhere")}
    command = [sys.executable, "-m", "harness.cli", *options.split()]
    command += ["--data-dir", "cache"] if how == "option" else []
    subprocess.run(command, check=True, capture_output=True, env=environment)
    assert list((tmp_path / "cache").iterdir()) and not (tmp_path / "elsewhere").exists()


def test_a_process_that_starts_after_the_command_was_interrupted_ends_without_a_word(tmp_path, capfd):
    with pytest.raises(SystemExit):
        redirect_output(tmp_path / "gone" / "x.log")
    assert capfd.readouterr() == ("", "")
