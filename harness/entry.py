"""Submissions: found by name, by path, or as a composition in YAML, and checked before any training time is spent."""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import submissions as _package
from harness.config import Document, load_document
from harness.errors import UsageError, unknown
from harness.seeds import digest
from harness.spec import FRAMEWORKS, OPTIONAL_SUBMISSION_FUNCTIONS, SUBMISSION_FUNCTIONS, Framework
from harness.tuning import RulesetName, SearchSpace, parse_search_space

SEARCH_SPACE_FILES = ("tuning_search_space.json", "search_space.json", "search_space.yaml")
INFO_FILE = "submission_info.yml"
_CALLED_BY_POSITION = frozenset({"init_optimizer_state", "data_selection", "get_batch_size", "get_eval_batch_size"})


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

    def competitor(self, framework: Framework) -> str:
        """The name under which results are kept: with the framework where the entry has more than one."""
        return self.name if len(self.frameworks) == 1 else f"{self.name}_{framework}"

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
    path = _locate(reference)
    entry = _read_composition(path) if path.suffix in (".yaml", ".yml") else _read_module(path)
    return entry if search_space is None else _with_search_space(entry, load_document(search_space))


def _locate(reference: str) -> Path:
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
    """The entry with another search space; a composition's placeholders must all be in it."""
    space = parse_search_space(document)
    if entry.kind == "composition":
        import submissions.composition as composition

        own = {key: value for key, value in load_document(entry.path).data.items() if key != "defaults"}
        data = {**own, "search_space": document.data}
        problems = [f"{document.path}: {problem.message}" for problem in composition.problems(data)]
        if problems:
            raise UsageError("\n".join(problems))
    return dataclasses.replace(entry, search_space=space)


def _checked_name(document: Document, name: Any) -> str:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise document.error(("name",), f"a name is letters, digits, '_', '-' and '.', found {name!r}")
    return name


# ---- entries in Python ----


def _read_module(path: Path) -> Entry:
    tree = _parse(path)
    problems = [f"{path}:{line}: {message}" for line, message in _signature_problems(tree)]
    if problems:
        raise UsageError("\n".join(problems))
    folder = path.parent
    owns_folder = path.name == "submission.py"
    info = _read_info(folder / INFO_FILE) if owns_folder else {}
    space = next((folder / name for name in SEARCH_SPACE_FILES if owns_folder and (folder / name).exists()), None)
    ruleset = str(info.get("ruleset", "")).lower().replace("-", "_")
    return Entry(
        name=folder.name if owns_folder else path.stem,
        kind="module",
        path=path,
        frameworks=(_framework_of(path, tree, info),),
        search_space=parse_search_space(load_document(space)) if space else None,
        self_tuning=ruleset.startswith("self") or space is None,
        track="initializers" if "init_model_params" in _defined_names(tree) else "algoperf",
        digest=_source_digest(path, owns_folder),
        summary=str(info.get("description") or (ast.get_docstring(tree) or "").partition("\n")[0]),
    )


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), str(path))
    except SyntaxError as error:
        raise UsageError(f"{path}:{error.lineno}: not Python: {error.msg}") from None


def _read_info(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        return {}
    data = load_document(path).data
    return data if isinstance(data, Mapping) else {}


def _framework_of(path: Path, tree: ast.Module, info: Mapping[str, Any]) -> Framework:
    declared = str(info.get("framework", "")).lower()
    if declared:
        names: Mapping[str, Framework] = {"pytorch": "torch", "torch": "torch", "jax": "jax"}
        if declared not in names:
            raise UsageError(f"{path.parent / INFO_FILE}: framework: expected pytorch or jax, found {declared!r}")
        return names[declared]
    imported = {name for file in _sources(path) for name in _imports(tree if file == path else _parse(file))}
    found = [framework for framework in FRAMEWORKS if framework in imported]
    if len(found) != 1:
        which = "neither torch nor jax" if not found else "both torch and jax"
        raise UsageError(
            f"{path} imports {which}; say which it is for with `framework: pytorch` or `framework: jax` "
            f"in {INFO_FILE} beside it"
        )
    return found[0]


def _sources(path: Path) -> list[Path]:
    return sorted(path.parent.rglob("*.py")) if path.name == "submission.py" else [path]


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _defined_names(tree: ast.Module) -> dict[str, ast.AST]:
    names: dict[str, ast.AST] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node in tree.body:
            names[node.name] = node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update({(alias.asname or alias.name): node for alias in node.names})
        elif isinstance(node, ast.Assign):
            names.update({target.id: node for target in node.targets if isinstance(target, ast.Name)})
    return names


def _signature_problems(tree: ast.Module) -> Iterator[tuple[int, str]]:
    defined = _defined_names(tree)
    star = any(isinstance(n, ast.ImportFrom) and any(a.name == "*" for a in n.names) for n in ast.walk(tree))
    for name, arguments in {**SUBMISSION_FUNCTIONS, **OPTIONAL_SUBMISSION_FUNCTIONS}.items():
        node = defined.get(name)
        if node is None and name in SUBMISSION_FUNCTIONS and not star:
            yield 1, f"required function {name}({', '.join(arguments)}) is missing; define it"
        if isinstance(node, ast.FunctionDef):
            problem = _argument_problem(name, arguments, _Arguments.of_source(node))
            if problem:
                yield node.lineno, problem


@dataclasses.dataclass(frozen=True)
class _Arguments:
    """What a function accepts: names, how many of them have no default, and whether it takes *args / **kwargs."""

    positional: tuple[str, ...]
    keyword_only: tuple[str, ...]
    required: frozenset[str]
    any_position: bool
    any_keyword: bool

    @classmethod
    def of_source(cls, node: ast.FunctionDef) -> _Arguments:
        a = node.args
        positional = tuple(arg.arg for arg in [*a.posonlyargs, *a.args])
        without = positional[: len(positional) - len(a.defaults)]
        keyword = tuple(arg.arg for arg in a.kwonlyargs)
        needed = [name for name, default in zip(keyword, a.kw_defaults, strict=True) if default is None]
        return cls(positional, keyword, frozenset([*without, *needed]), a.vararg is not None, a.kwarg is not None)

    @classmethod
    def of_function(cls, function: Any) -> _Arguments:
        parameters = inspect.signature(function).parameters.values()
        kinds = inspect.Parameter
        by_kind = {
            kind: tuple(p.name for p in parameters if p.kind in kind)
            for kind in ((kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD), (kinds.KEYWORD_ONLY,))
        }
        positional, keyword = by_kind.values()
        required = frozenset(p.name for p in parameters if p.default is p.empty and p.name in positional + keyword)
        found = {p.kind for p in parameters}
        return cls(positional, keyword, required, kinds.VAR_POSITIONAL in found, kinds.VAR_KEYWORD in found)


def _argument_problem(function: str, expected: tuple[str, ...], found: _Arguments) -> str | None:
    signature = f"{function}({', '.join(expected)})"
    if function in _CALLED_BY_POSITION:
        extra = [name for name in found.positional[len(expected) :] if name in found.required]
        if len(found.positional) < len(expected) and not found.any_position:
            return f"{function} takes {len(found.positional)} arguments; it is called as {signature}"
    else:
        missing = [n for n in expected if n not in found.positional + found.keyword_only]
        if missing and not found.any_keyword:
            return f"{function} has no argument {', '.join(missing)}; it is called as {signature}"
        extra = sorted(found.required - {*expected, "train_state"})
    if extra:
        return f"{function} needs {', '.join(extra)}, which is not given; it is called as {signature}"
    return None


def _source_digest(path: Path, whole_folder: bool) -> str:
    folder = path.parent
    kept = {".py", ".json", ".yaml", ".yml", ".state", ".txt"}
    files = sorted(p for p in folder.rglob("*") if p.suffix in kept and p.is_file()) if whole_folder else [path]
    return digest([[str(p.relative_to(folder)), hashlib.sha256(p.read_bytes()).hexdigest()] for p in files])


# ---- loading, in the trial's process ----


class InvalidSubmissionError(Exception):
    """A submission does not keep the contract, seen only when it ran."""


def load_functions(entry: Entry, framework: Framework, defaults: bool) -> Any:
    """The submission's functions as attributes; imports its framework.

    Raises:
      InvalidSubmissionError: a function is missing or has other arguments.
    """
    if entry.kind == "composition":
        import submissions.composition as composition

        return composition.load(load_document(entry.path).data, framework, defaults)
    module = _import_as_package_member(entry.path)
    for name, arguments in {**SUBMISSION_FUNCTIONS, **OPTIONAL_SUBMISSION_FUNCTIONS}.items():
        function = getattr(module, name, None)
        if function is None:
            if name in SUBMISSION_FUNCTIONS:
                raise InvalidSubmissionError(f"{entry.path}: required function {name} is missing")
            continue
        problem = _argument_problem(name, arguments, _Arguments.of_function(function))
        if problem:
            raise InvalidSubmissionError(f"{entry.path}: {problem}")
    return module


def _import_as_package_member(path: Path) -> ModuleType:
    """Imports the file as a member of a package made of its folder, so that relative and sibling imports work."""
    package_name = "timetrial_entry"
    package = ModuleType(package_name)
    package.__path__ = [str(path.parent)]
    sys.modules[package_name] = package
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(f"{package_name}.{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InvalidSubmissionError(f"{path} cannot be imported; is it a Python file?")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
