"""Submissions: found by name, by path, or as a composition in YAML, and checked before any training time is spent."""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import submissions as _package
from harness.compat import dependencies
from harness.compat.conventions import NONE, Conventions, conventions_of
from harness.compat.sources import Sources, read_sources, source_digest
from harness.config import Document, KeyPath, load_document
from harness.errors import UsageError, suggestion, unknown
from harness.machine_code import machine_code_in
from harness.seeds import digest
from harness.signatures import defined_names, imports_all, problems_of_functions, signature_problems
from harness.spec import FRAMEWORKS, Framework
from harness.tuning import RulesetName, SearchSpace, parse_search_space
from results.store import RUN_FILE

SEARCH_SPACE_FILES = ("tuning_search_space.json", "search_space.json", "search_space.yaml")
INFO_FILE = "submission_info.yml"
INFO_FILES = (INFO_FILE, "submission_info.yaml", "submissions_info.yml", "submissions_info.yaml")


@dataclasses.dataclass(frozen=True)
class Entry:
    """A submission that can be run.

    Attributes:
      name: as shown on the leaderboard.
      kind: ``composition`` (YAML) or ``module`` (a file or folder with AlgoPerf's functions).
      path: the YAML or Python file.
      frameworks: those it can run in.
      search_space: for the external ruleset; None where it has none.
      self_tuning: whether it can run without being given hyperparameters.
      track: what it changes.
      digest: of every source file that decides what it does.
      conventions: how it is written; see :mod:`harness.compat`.
    """

    name: str
    kind: Literal["composition", "module"]
    path: Path
    frameworks: tuple[Framework, ...]
    search_space: SearchSpace | None
    self_tuning: bool
    track: str
    digest: str
    summary: str = ""
    conventions: Conventions = NONE

    def competitor(self, framework: Framework) -> str:
        """The name under which results are kept: with the framework where the entry has more than one."""
        return self.name if len(self.frameworks) == 1 else f"{self.name}_{framework}"

    def frameworks_for(self, wanted: Framework | None) -> tuple[Framework, ...]:
        """The framework that is asked for, or all that the entry has.

        Raises:
          UsageError: it has no version in that one.
        """
        if wanted is None:
            return self.frameworks
        if wanted not in self.frameworks:
            raise UsageError(f"submission {self.name} has no {wanted} version; it has: {', '.join(self.frameworks)}")
        return (wanted,)

    @property
    def rulesets(self) -> tuple[RulesetName, ...]:
        known: list[RulesetName] = []
        if self.search_space is not None:
            known.append("external")
        if self.self_tuning:
            known.append("self_tuning")
        return tuple(known)


def entries_folder() -> Path:
    return Path(_package.__path__[0]) / "entries"


@functools.cache
def entry_names() -> tuple[str, ...]:
    """Names of the ready entries: a YAML file, or a folder with a ``submission.py``."""
    folder = entries_folder()
    names = {path.stem for path in folder.glob("*.yaml")} | {
        path.parent.name for path in folder.glob("*/submission.py")
    }
    return tuple(sorted(names))


def find_entry(reference: str, search_space: Path | None = None) -> Entry:
    """The entry that a name or a path means.

    Args:
      reference: a ready entry's name, a ``.yaml`` composition, a ``.py`` file, or a folder with ``submission.py``.
      search_space: a file that replaces the entry's own search space.

    Raises:
      UsageError: there is no such entry, or it is malformed (file, line and key are named).
    """
    path = locate(reference)
    if path.suffix not in (".yaml", ".yml"):
        return _read_module(path, search_space)
    entry = _read_composition(path)
    return entry if search_space is None else _with_search_space(entry, load_document(search_space))


def locate(reference: str) -> Path:
    """The YAML or Python file that a name or a path means.

    Raises:
      UsageError: there is none.
    """
    if reference in entry_names():
        folder = entries_folder()
        composition = folder / f"{reference}.yaml"
        return composition if composition.exists() else folder / reference / "submission.py"
    path = Path(reference)
    if path.is_dir():
        if not (path / "submission.py").is_file():
            raise UsageError(f"{path} has no submission.py; name the file, or rename it")
        return (path / "submission.py").resolve()
    if path.is_file():
        if path.suffix not in (".py", ".yaml", ".yml"):
            raise UsageError(f"{path}: a submission is a .py file, a .yaml composition, or a folder with submission.py")
        return path.resolve()
    if path.suffix or "/" in reference:
        raise UsageError(
            f"there is no file or folder {reference}; give a path that exists, or a name from "
            "`timetrial list submissions`"
        )
    raise unknown("submission", reference, entry_names())


def default_point(entry: Entry) -> Mapping[str, Any]:
    """The hyperparameters that a composition runs with under the self-tuning ruleset; empty for Python entries."""
    return load_document(entry.path).data.get("defaults", {}) if entry.kind == "composition" else {}


def _read_composition(path: Path) -> Entry:
    import submissions.composition as composition

    document = load_document(path)
    if not isinstance(document.data, Mapping):
        raise document.error((), "a composition is a mapping with name, optimizer, schedule, ...")
    problems = composition.problems(document.data)
    if problems:
        raise UsageError("\n".join(document.describe(problem.path, problem.message) for problem in problems))
    data = document.data
    return Entry(
        name=_checked_name(document, data.get("name", path.stem)),
        kind="composition",
        path=path,
        frameworks=composition.frameworks(data),
        search_space=parse_search_space(document, ("search_space",)) if "search_space" in data else None,
        self_tuning="defaults" in data or "search_space" not in data,
        track=data.get("track", "algoperf"),
        digest=digest([composition.source_digest(data), data]),
        summary=data.get("summary", ""),
    )


def _with_search_space(entry: Entry, document: Document) -> Entry:
    """The composition with another search space; what that leaves out must be in the composition's ``defaults``.

    Trials load the composition as it is, so that a name which only the given space defines would never be used.
    """
    import submissions.composition as composition

    space, own = parse_search_space(document), load_document(entry.path)
    known = {*default_point(entry), *(entry.search_space.names if entry.search_space else ())}
    at: KeyPath = (0,) if space.points else ()
    problems = [
        document.describe((*at, name), f"{entry.path} uses no ${name}; {suggestion(str(name), map(str, known))}")
        for name in space.names
        if name not in known
    ] or [
        document.describe(problem.path[1:], problem.message)
        if problem.path[:1] == ("search_space",)
        else f"{document.path}: {own.describe(problem.path, problem.message)}"
        for problem in composition.problems({**own.data, "search_space": document.data})
    ]
    if problems:
        raise UsageError("\n".join(problems))
    return dataclasses.replace(entry, search_space=space)


def _checked_name(document: Document, name: Any) -> str:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise document.error(("name",), f"a name is letters, digits, '_', '-' and '.', found {name!r}")
    return name


# ---- entries in Python ----


_FRAMEWORK_FOLDERS = ("jax", "pytorch", "torch")
"""Folders that AlgoPerf has below an algorithm's own; the search space lies beside them."""


def _read_module(path: Path, search_space: Path | None = None) -> Entry:
    """The entry in Python; a given search space takes the place of the one beside it, which also decides whether the
    entry needs to be given hyperparameters."""
    sources = read_sources(path)
    tree = sources.trees[path]
    problems = [f"{path}:{line}: {message}" for line, message in signature_problems(tree)]
    owns_folder = path.name == "submission.py"
    info_path = _info_path(path.parent)
    info = _read_info(info_path) if owns_folder else {}
    requirements = dependencies.read_requirements(path.parent)
    problems += [dependencies.problem(name, by, requirements) for name, by in dependencies.missing(sources).items()]
    problems += [f"{file}: {text}" for file, text in compiled_files(path.parent)] if owns_folder else []
    if problems:
        raise UsageError("\n".join(problems))
    space = search_space or _search_space_file(path)
    ruleset = str(info.get("ruleset", "")).lower().replace("-", "_")
    return Entry(
        name=_module_name(path),
        kind="module",
        path=path,
        frameworks=(_framework_of(sources, info, info_path),),
        search_space=parse_search_space(load_document(space)) if space else None,
        self_tuning=ruleset.startswith("self") or space is None,
        track="initializers" if "init_model_params" in _names_of(sources) else "algoperf",
        digest=_source_digest(path) if owns_folder else digest(source_digest(sources)),
        summary=str(info.get("description") or (ast.get_docstring(tree) or "").partition("\n")[0]),
        conventions=conventions_of(sources, info, info_path),
    )


def _module_name(path: Path) -> str:
    """The folder's name for ``submission.py``, with the algorithm's in front of a framework's; else the file's."""
    folder = path.parent
    if path.name != "submission.py":
        name = path.stem
    elif folder.name in _FRAMEWORK_FOLDERS:
        name = f"{folder.parent.name}_{folder.name}"
    else:
        name = folder.name
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)


def _search_space_file(path: Path) -> Path | None:
    """A search space beside the file, or beside the folder of an algorithm's version for one framework."""
    folders = [path.parent]
    if path.name == "submission.py" and not (path.parent.parent / "submission.py").exists():
        folders.append(path.parent.parent)
    return next((f / name for f in folders for name in SEARCH_SPACE_FILES if (f / name).is_file()), None)


def _info_path(folder: Path) -> Path:
    return next((folder / name for name in INFO_FILES if (folder / name).is_file()), folder / INFO_FILE)


def _read_info(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        return {}
    data = load_document(path).data
    return data if isinstance(data, Mapping) else {}


def _framework_of(sources: Sources, info: Mapping[str, Any], info_path: Path) -> Framework:
    """The declared framework, else the one that the main file imports, else the one that the entry's files import."""
    declared = str(info.get("framework", "")).lower()
    if declared:
        names: Mapping[str, Framework] = {"pytorch": "torch", "torch": "torch", "jax": "jax"}
        if declared not in names:
            raise UsageError(f"{info_path}: framework: expected pytorch or jax, found {declared!r}")
        return names[declared]
    path = sources.layout.main
    found: list[Framework] = []
    for files in ({path}, set(sources.trees)):
        imported = {each.top_level for each in sources.imports if each.file in files}
        found = [framework for framework in FRAMEWORKS if framework in imported]
        if found:
            break
    if len(found) != 1:
        which = "neither torch nor jax" if not found else "both torch and jax"
        raise UsageError(
            f"{path} imports {which}; say which it is for with `framework: pytorch` or `framework: jax` "
            f"in {INFO_FILE} beside it"
        )
    return found[0]


def _names_of(sources: Sources) -> set[str]:
    """Names that the main file may have: with ``from x import *``, those of all its files."""
    main = sources.trees[sources.layout.main]
    trees = sources.trees.values() if imports_all(main) else [main]
    return {name for tree in trees for name in defined_names(tree)}


def _source_digest(path: Path) -> str:
    folder = path.parent
    files = files_in(folder)
    return digest([[str(p.relative_to(folder)), hashlib.sha256(p.read_bytes()).hexdigest()] for p in files])


def files_in(folder: Path) -> list[Path]:
    """The files of an entry's folder: all that it may read there, but no results that lie there too."""
    return sorted(p for p in folder.rglob("*") if p.is_file() and _is_of_the_entry(p.relative_to(folder), folder))


def compiled_files(folder: Path) -> list[tuple[Path, str]]:
    """The files of an entry's folder that are machine code, and how to mend that: it runs where nothing sees it."""
    mend = "an entry is source alone; remove the file, and write what it does in Python"
    return [(file, f"is machine code ({kind}); {mend}") for file, kind in machine_code_in(files_in(folder))]


def _is_of_the_entry(path: Path, folder: Path) -> bool:
    """Whether a file is not hidden, compiled or in a folder of results."""
    left_out = any(part.startswith(".") or part == "__pycache__" for part in path.parts)
    inside = path.parents[:-1]  # the last is the folder itself
    return not left_out and not any((folder / above / RUN_FILE).is_file() for above in inside)


# ---- loading, in the trial's process ----


class InvalidSubmissionError(Exception):
    """A submission does not keep the contract, seen only when it ran."""


def load_functions(
    entry: Entry, framework: Framework, defaults: bool, ready: Callable[[], object] = lambda: None
) -> Any:
    """The submission's functions as attributes; imports its framework. ``ready`` is called right before the entry's own
    code is imported, with all in place that it finds.

    What an AlgoPerf entry finds (``import algoperf``, names that libraries have dropped, ...) stays in place in this
    process until another submission is loaded or :func:`harness.compat.environment.close` is called.

    Raises:
      InvalidSubmissionError: a function is missing or has other arguments, or something that it imports is not there.
    """
    from harness.compat import environment

    if entry.kind == "composition":
        import submissions.composition as composition

        environment.close()
        return composition.load(load_document(entry.path).data, framework, defaults)
    try:
        module = environment.load_module(entry.conventions, framework, ready)
    except environment.EntryImportError as error:
        raise InvalidSubmissionError(str(error)) from error
    if hasattr(module, "init_model_params") and entry.track == "algoperf":
        raise InvalidSubmissionError(
            f"{entry.path}: has init_model_params, which the file does not show; define or import it there by name, so "
            "that the entry is known to belong to the track initializers"
        )
    problem = next(problems_of_functions(module), "")
    if problem:
        raise InvalidSubmissionError(f"{entry.path}: {problem}")
    return module
