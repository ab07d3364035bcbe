"""The command line as a user meets it."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import click
import psutil
import pytest
from click.testing import CliRunner

from harness.cli import _why_nothing, main
from harness.spec import Target
from harness.termination import what_remains
from results.store import find_trials, read_evaluations, read_trial, write_trial
from results.synthetic import write_runs
from scoring import api

HEAVY = ("torch", "jax", "pandas", "scipy", "sklearn", "matplotlib")


@pytest.fixture
def easy_target(monkeypatch):
    monkeypatch.setattr("harness.spec.Workload._declared_target", lambda self: Target(0.75, 0.7))


def invoke(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def verbs():
    return sorted(main.commands)


@pytest.mark.parametrize("verb", [None, *verbs()])
def test_help_has_examples(verb):
    result = invoke(*([verb] if verb else []), "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.stdout and "timetrial " in result.stdout


def test_the_help_of_score_names_its_files_and_its_default(tmp_path):
    text = " ".join(invoke("score", "--help").stdout.split())
    assert f"0 for no intervals. Default: {api.DEFAULT_DRAWS:,}." in text
    made = api.score([write_runs(tmp_path / "runs", {"A": {"u": [[1.0]]}})], draws=0)
    assert [path.name for path in api.write_outputs(made, tmp_path / "out") if path.name not in text] == []


@pytest.mark.parametrize("arguments", [["--help"], ["list", "workloads"], ["list", "submissions"], ["list", "suites"]])
def test_help_and_list_import_nothing_heavy(arguments):
    code = (
        f"import sys; sys.argv = ['timetrial', *{arguments!r}]\n"
        "from harness.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end\n"
        f"print('HEAVY', [m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout


@pytest.mark.parametrize("what", ["workloads", "submissions", "suites"])
def test_lists_say_the_same_to_people_and_programs(what):
    rows = json.loads(invoke("list", what, "--json").stdout)
    table = invoke("list", what).stdout
    assert rows and all(row[what.removesuffix("s")] in table for row in rows)


def test_full_scale_is_listed_without_data():
    rows = {r["workload"]: r for r in json.loads(invoke("list", "workloads", "--scale", "full", "--json").stdout)}
    assert rows["mnist"]["parameters"] == 101_770
    assert rows["criteo1tb"]["parameters"] == 539_267_457
    assert rows["finewebedu_lm"]["parameters"] == 252_815_372


FREE = ("-s", "nadamw_cosine", "-w", "mnist")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "nothing to run: give a suite"),
        (["run", "-s", "nadamw_cosine"], "nothing to run: give a suite (`timetrial list suites`) or --workload NAME"),
        (["run", "quik"], "unknown suite 'quik'; did you mean 'quick'?"),
        (
            ["run", "-s", "nadamw_cosin", "-w", "mnist"],
            "unknown submission 'nadamw_cosin'; did you mean 'nadamw_cosine'?",
        ),
        (["run", "-s", "nadamw_cosine", "-w", "mnst"], "unknown workload 'mnst'; did you mean 'mnist'?"),
        (["run", "-s", "nadamw_cosine", "-w", "mnist", "--ruleset", "own"], "unknown ruleset 'own'"),
        (["run", "-s", "nadamw_cosine", "-w", "mnist", "--track", "opn"], "unknown track 'opn'; did you mean 'open'?"),
        (
            ["run", "-s", "nadamw_cosine", "-w", "mnist", "--budget", "soon"],
            "'soon' is not a duration; write 90, 90s, 10m",
        ),
        (
            ["run", "-s", "nadamw_cosine", "-w", "mnist", "--jobs", "64"],
            "would disturb each other's clocks; use --jobs",
        ),
        (
            ["run", *FREE, "--search-space", "x.json"],
            "--search-space has no effect under the self-tuning",
        ),
        (
            ["plan", *FREE, "--trials", "3"],
            "the self-tuning ruleset; give --ruleset external as well",
        ),
        (["run", *FREE, "--chaos-seed", "3"], "--chaos-seed has no effect without --chaos; give it as well"),
        (["run", *FREE, "--chaos", "--count-flops"], "--count-flops has no effect with --chaos, which runs all trials"),
        (["run", *FREE, "--chaos", "--retry-failed"], "--retry-failed has no effect with --chaos"),
        (
            ["compare", "nadamw_cosine", "dog", "--ruleset", "external", "--plan", "nested-5x3", "--inner", "2"],
            "--inner has no effect with --plan nested-5x3, which has 3 inner parts",
        ),
        (["targets", "mnist", "--inner", "2"], "--inner has no effect without --plan; give it as well"),
        (["targets", "mnist", "--plan", "5x2cv", "--points", "2"], "--points has no effect with --plan"),
        (
            ["targets", "mnist", "--plan", "holdout-3"],
            "holdout-3 trains on all data, so that the workload's own targets",
        ),
        (["targets", "mnist", "-a", "template_jax"], "submission template_jax has no torch version; it has: jax"),
        (["targets", "mnist", "--plan", "nested-5x3", "--inner", "2"], "--inner has no effect with --plan nested-5x3"),
        (["check", "template_torch", "--no-run", "--loss", "ctc"], "--loss has no effect with --no-run"),
        (["compare", "nadamw_cosine", "dog", "--inner", "3"], "--inner has no effect under the self-tuning ruleset"),
        (["run", *FREE, "--memory", "1e6"], "Invalid value for '--memory': 1e+06 GiB; this machine has"),
        (["check", "template_torch", "--memory", "1e6"], "Invalid value for '--memory': 1e+06 GiB; this machine has"),
        (["plan", "nowhere.yaml"], "there is no file nowhere.yaml"),
        (["score", "nowhere"], "nowhere"),
        (["report", "nowhere"], "nowhere"),
        (["targets", "mnst"], "unknown workload 'mnst'; did you mean 'mnist'?"),
        (["targets", "mnist", "--variant", "rely"], "relu"),
        (["new", "2fast"], "'2fast' is not a usable name"),
        (["new", "entries/mine"], "beginning with a letter, and --into entries for the folder"),
    ],
)
def test_bad_input_gets_one_clear_error_and_exit_code_2(tmp_path, monkeypatch, easy_target, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.json").write_text('[{"learning_rate": 0.1}]')
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr and "Traceback" not in result.stderr
    assert not list(tmp_path.glob("**/trial.json"))


def options_of_numbers():
    commands = main.commands.items()
    return [
        (verb, p.opts[0]) for verb, c in commands for p in c.params if isinstance(p.type, click.types.FloatParamType)
    ]


@pytest.mark.parametrize(("verb", "option"), options_of_numbers())
def test_no_option_takes_what_is_no_number(verb, option):
    for value in ("nan", "inf"):
        result = invoke(verb, "nadamw_cosine", option, value)
        assert result.exit_code == 2 and f"Invalid value for '{option}'" in result.stderr


def test_a_search_space_on_the_command_line_is_planned_as_one_beside_the_entry(tmp_path, write_entry):
    space = tmp_path / "space.json"
    space.write_text('{"learning_rate": {"min": 0.001, "max": 0.01}}')
    entry = ("-s", write_entry("mine"), "-w", "mnist", "--out", tmp_path / "out", "--json")
    (report,) = json.loads(invoke("plan", *entry, "--search-space", space).stdout)
    assert (report["ruleset"], report["trials"]) == ("external", 15)


def test_what_is_named_twice_is_planned_once(tmp_path):
    suite = tmp_path / "twice.yaml"
    twice = "rulesets: [self_tuning, self_tuning]\nworkloads: [mnist, mnist_base, mnist]\nsubmissions: [dog, dog]\n"
    suite.write_text(f"name: twice\n{twice}")
    options = ("--framework", "torch", "--out", tmp_path / "out", "--json")
    for named in ([suite], ["-s", "dog", "-s", "dog", "-w", "mnist", "-w", "mnist_base", "-w", "mnist"]):
        (report,) = json.loads(invoke("plan", *named, *options).stdout)
        assert report["trials"] == 3


def test_options_of_tuning_leave_the_other_ruleset_of_a_suite_alone(tmp_path):
    suite, space = tmp_path / "both.yaml", tmp_path / "space.json"
    suite.write_text(
        "name: both\nrulesets: [external, self_tuning]\nworkloads: [mnist]\nsubmissions: [nadamw_cosine]\n"
    )
    space.write_text('{"learning_rate": {"min": 0.001, "max": 0.01}}')
    options = ("--trials", 2, "--search-space", space, "--framework", "torch", "--out", tmp_path / "out", "--json")
    external, self_tuning = json.loads(invoke("plan", suite, *options).stdout)
    assert (external["trials"], self_tuning["trials"]) == (6, 3)
    assert [set(item["hyperparameters"]) for item in external["items"]] == [{"learning_rate"}] * 6


def test_new_starts_an_entry_that_trains(tmp_path, monkeypatch, easy_target):
    monkeypatch.chdir(tmp_path)
    made = invoke("new", "my_idea", "--framework", "jax")
    assert made.exit_code == 0 and "my_idea/submission.py is ready" in made.stdout
    assert "submission_name: my_idea" in (tmp_path / "my_idea" / "submission_info.yml").read_text()
    again = invoke("new", "my_idea")
    assert again.exit_code == 2 and "exists; choose another name" in again.stderr
    run = invoke(
        "run", "-s", "./my_idea", "-w", "mnist", "--studies", 1, "--trials", 1, "--max-steps", 20, "--out", "o"
    )
    assert run.exit_code == 0, run.output
    assert len(list(find_trials(tmp_path / "o"))) == 1


def test_run_plan_score_and_report_work_together(tmp_path, write_entry, easy_target):
    out, entries = tmp_path / "out", [write_entry("adam"), write_entry("adam_jax", "jax")]
    arguments = [x for e in entries for x in ("-s", e)] + ["-w", "mnist", "--studies", 1, "--out", out]
    before = json.loads(invoke("plan", *arguments, "--json").stdout)[0]
    assert before["counts"] == {"done": 0, "missing": 2, "stale": 0, "failed": 0, "damaged": 0, "raced": 0}
    result = invoke("run", *arguments, "--jobs", 1)
    assert result.exit_code == 0, result.output
    assert "adam_jax" in result.stdout and "report: " in result.stdout
    assert "[2/2]" in result.stderr and "target reached in" in result.stderr
    page = (out / "report" / "index.html").read_text()
    assert "adam_jax" in page and "<svg" in page
    after = json.loads(invoke("plan", *arguments, "--json").stdout)[0]
    assert after["counts"] == {"done": 2, "missing": 0, "stale": 0, "failed": 0, "damaged": 0, "raced": 0}
    again = json.loads(invoke("run", *arguments, "--jobs", 1, "--json").stdout)
    scores, report = again[0].pop("scores"), again[0].pop("report")
    assert set(scores) == {"adam", "adam_jax"} and report == str(out / "report" / "index.html")
    assert again[0] | {"out": ""} == {
        "ruleset": "self_tuning", "out": "", "planned": 2, "ran": 0, "already_done": 2, "measured": 2, "failed": 0,
        "raced": 0, "saved_at_most_sec": 0.0, "rerun": 0,
    }  # fmt: skip
    for clock in ("wall", "cpu", "steps"):
        scored = json.loads(invoke("score", out, "--clock", clock, "--json").stdout)
        assert set(scored["scores"]) == {"adam", "adam_jax"}
    explained = json.loads(invoke("explain", "adam", "--in", out, "--json").stdout)
    assert explained["submission"] == "adam" and "adam" in invoke("explain", "adam", "--in", out).stdout
    unknown = invoke("explain", "adan", "--in", out)
    assert unknown.exit_code == 2 and "adam" in unknown.stderr
    assert invoke("report", out, "--out", tmp_path / "page").exit_code == 0
    assert (tmp_path / "page" / "index.html").exists()

    first = next(iter(find_trials(out)))
    elsewhere = dataclasses.replace(read_trial(first), machine={"cpu": "another"})
    write_trial(out, elsewhere, read_evaluations(first))
    result = invoke("run", *arguments, "--jobs", 1, "--json")
    assert result.exit_code == 2 and json.loads(result.stdout)[0]["already_done"] == 2
    assert json.loads(result.stdout)[0]["scores"] == {} and json.loads(result.stdout)[0]["report"] is None
    assert "was run, but has no leaderboard: trials of two machine classes" in result.stderr
    more = invoke("run", *arguments, "--studies", 2, "--jobs", 1)
    assert more.exit_code == 2 and "cpu is 'another' there" in more.stderr and "--across-machines" in more.stderr
    assert len(list(find_trials(out))) == 2, "refused before anything is run"


@pytest.fixture
def official_logs(tmp_path):
    archive = Path(__file__).parents[2].parent / "shared" / "algoperf_v05_external.tar.xz"
    if not archive.exists():
        pytest.skip("the official v0.5 logs are not beside the checkout")
    folder = tmp_path / "logs"
    with tarfile.open(archive) as file:
        file.extraction_filter = getattr(tarfile, "data_filter", None)  # since Python 3.11.4
        for member in file:
            if member.name.lstrip("./").startswith(("amos", "baseline")):
                file.extract(member, folder)
    return folder


def test_foreign_logs_are_scored_explained_and_planned_for(official_logs):
    options = ["--benchmark", "v0.5", "--ruleset", "external", "--json"]
    result = invoke("score", official_logs, *options, "--rules", "official", "--reference", "baseline")
    scored = json.loads(result.stdout)
    wanted = {"scores", "intervals", "ranks", "ties", "time_to_target", "irregularities", "schema_version"}
    assert wanted <= scored.keys() and set(scored["scores"]) == {"amos", "baseline"}
    assert json.loads(invoke("explain", "amos", "--in", official_logs, *options).stdout)["submission"] == "amos"
    assert json.loads(invoke("power", official_logs, *options, "--difference", 0.1).stdout)
    strict = invoke("score", official_logs, *options, "--strict")
    assert strict.exit_code == 2 and strict.stdout == "" and "error: " in strict.stderr
    mistaken = invoke("score", official_logs, "--benchmark", "v0.7")
    assert mistaken.exit_code == 2 and "v0.5" in mistaken.stderr


def test_a_run_that_measured_nothing_or_failed_in_part_says_so(tmp_path, write_entry, easy_target):
    bad = write_entry("bad", replace={"optimizer.step()": "raise RuntimeError('boom')"})
    arguments = ["run", "-s", bad, "-w", "mnist", "--studies", 1, "--out", tmp_path / "out", "--jobs", 1]
    result = invoke(*arguments)
    assert result.exit_code == 3 and "nothing was measured: 1 trials failed, and their records" in result.stderr
    result = invoke(*arguments, "-s", write_entry("good"))
    assert result.exit_code == 4 and "1 trials failed" in result.stderr


@pytest.mark.parametrize(
    ("failed", "over", "reasons"),
    [
        (0, 2, ["the budget was over before the first evaluation in 2 trials, give a longer --budget"]),
        (1, 0, ["1 trials failed, and their records say why (trial.json, stop_detail)"]),
    ],
)
def test_why_nothing_was_measured(failed, over, reasons):
    assert list(_why_nothing(failed, over)) == reasons


COMMAND_WITH_CTRL_C = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
from harness.cli import main
main()
"""


EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_keeps_what_is_finished_and_goes_on(tmp_path, write_entry, signum):
    quick = write_entry("quick_one")
    slow = write_entry("slow_one", replace={"optimizer.step()": "optimizer.step(); import time; time.sleep(0.02)"})
    out = tmp_path / "out"
    options = f"-s {quick} -s {slow} -w mnist --studies 1 --max-steps 300 --out {out} --jobs 1 --no-report"
    command = [sys.executable, "-c", COMMAND_WITH_CTRL_C, "run", *options.split()]
    log = (tmp_path / "stderr").open("w+")
    process = subprocess.Popen(command, stderr=log, start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(find_trials(out)) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 2, "a fork server and a trial"
    os.kill(process.pid, signum)
    process.wait(30)
    log.close()
    if signum in EXIT_CODES:
        assert process.returncode == EXIT_CODES[signum]
        assert "the same command goes on" in (tmp_path / "stderr").read_text()
    finished = {folder: (folder / "trial.json").read_bytes() for folder in find_trials(out)}
    assert len(finished) == 1, "the quick trial is recorded, the slow one was in flight"
    assert not _alive(family), "no trial outlives its command"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 of 2 trials are recorded" in done.stderr
    assert {folder: (folder / "trial.json").read_bytes() for folder in find_trials(out)}.items() >= finished.items()
    assert len(list(find_trials(out))) == 2


@pytest.mark.parametrize("verb", [name for name, c in main.commands.items() if any(p.name == "jobs" for p in c.params)])
def test_every_verb_that_trains_says_what_is_left_of_its_work(verb):
    assert what_remains(verb) or verb == "plan"


def _alive(processes):
    """Those that have not ended in a time that is long enough for a busy machine."""
    return psutil.wait_procs(processes, timeout=60)[1]
