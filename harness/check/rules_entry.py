"""Rules on an entry as a whole: its functions, search space, dependencies, and its composition if it is one."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.check.findings import Finding, declare, finding, of_message
from harness.check.hyperparameter_reads import hyperparameters_read
from harness.check.optional import excuses_absence
from harness.check.source import Source, words
from harness.check.workload_names import named_workload
from harness.compat.dependencies import DISTRIBUTIONS, read_requirements
from harness.compat.installed import ALGOPERF_NAMES, is_installed
from harness.compat.layout import REPOSITORY_ROOTS
from harness.compat.sources import Import, Sources
from harness.config import ConfigError, Document, load_document
from harness.entry import INFO_FILE, SEARCH_SPACE_FILES
from harness.signatures import signature_problems
from harness.spec import OPTIONAL_SUBMISSION_FUNCTIONS, SUBMISSION_FUNCTIONS
from harness.tuning import parse_search_space

declare(
    "files",
    {
        "source": ("error", "is Python, or YAML, that can be read", "mend the syntax"),
        "missing-function": (
            "error",
            "defines the four required functions",
            "define it; `timetrial new NAME` writes an entry that has all of them",
        ),
        "arguments": (
            "error",
            "takes the arguments that the harness gives",
            "give the function AlgoPerf's arguments, with their names (docs/submissions.md)",
        ),
        "entry": ("error", "says what it is: framework, name, ruleset", f"mend {INFO_FILE} or the imports"),
        "composition": ("error", "is a sound composition", "see docs/submissions.md for the keys and their values"),
        "search-space": (
            "error",
            "has a search space in one of AlgoPerf's two forms",
            "write {min, max, scaling} or {feasible_points} for each hyperparameter, or a list of points",
        ),
        "missing-hyperparameter": (
            "error",
            "reads no hyperparameter that its search space does not have",
            "add it to the search space, or give a default: getattr(hyperparameters, NAME, DEFAULT)",
        ),
        "search-space-per-workload": (
            "error",
            "has one search space, the same for all workloads",
            "keep one space; let the entry find out what a workload needs while it trains",
        ),
        "dependency": (
            "error",
            "declares the packages it imports, beside those that come with timetrial and AlgoPerf",
            "name it in requirements.txt beside the entry or under `dependencies:` in submission_info.yml, or remove "
            "it if nothing needs it",
        ),
    },
)

_GIVEN = words("torch jax jaxlib numpy optax harness timetrial typing_extensions packaging ml_dtypes opt_einsum")
"""What every entry may import without a word: the contract, the frameworks and what they stand on. torch requires
typing_extensions, jax ml_dtypes and opt_einsum, and packaging comes with timetrial, as with AlgoPerf."""

_GIVEN_BY_ALGOPERF = frozenset({"absl", "flax", "chex", "scipy", "jraph"})
"""What AlgoPerf installs for every entry; given to those that import its namespace."""


"""What a handler names that expects a package not to be there."""


# ---- functions ----


def functions(path: Path, sources: Sources) -> Iterator[Finding]:
    tree = sources.trees[path]
    awaited = {node.name: node for node in tree.body if isinstance(node, ast.AsyncFunctionDef)}
    for name in awaited.keys() & {*SUBMISSION_FUNCTIONS, *OPTIONAL_SUBMISSION_FUNCTIONS}:
        yield finding(
            "arguments", path, awaited[name].lineno, f"{name} is async, but the harness calls it: write `def`"
        )
    for line, message in signature_problems(tree):
        if any(f"function {name}(" in message for name in awaited):
            continue
        missing = message.startswith("required function")
        yield finding("missing-function" if missing else "arguments", path, line, _without_advice(message))


def _without_advice(message: str) -> str:
    return message.removesuffix("; define it")


# ---- search space ----


def search_space_files(folder: Path) -> Iterator[Finding]:
    """The space that the harness would take, and files that look like spaces for single workloads."""
    for path in sorted(folder.rglob("*")):
        where = path.relative_to(folder).as_posix()
        if path.suffix not in (".json", ".yaml", ".yml") or "search_space" not in where or where in SEARCH_SPACE_FILES:
            continue
        if workload := named_workload(where.removesuffix(path.suffix)):
            yield finding("search-space-per-workload", path, 1, f"a search space for {workload} alone")
    used = _space_file(folder)
    if used is not None:
        try:
            document = load_document(used)
        except ConfigError as error:
            yield of_message("search-space", str(error), used)
        else:
            yield from search_space(document, ())


def _space_file(folder: Path) -> Path | None:
    return next((folder / name for name in SEARCH_SPACE_FILES if (folder / name).exists()), None)


def hyperparameters(folder: Path, sources: Iterable[Source]) -> Iterator[Finding]:
    """Hyperparameters that are read and that the search space does not have; a file that also has the name as a text
    (``hasattr``, ``_fields``) asks first."""
    used = _space_file(folder)
    try:
        data = load_document(used).data if used else None
    except ConfigError:
        return
    points: list[Any] = data if isinstance(data, list) else [data]
    if not all(isinstance(point, Mapping) for point in points) or not points:
        return
    keys = set.intersection(*({str(key) for key in point} for point in points))
    for source in sources:
        reads = hyperparameters_read(source)
        own = {id(text) for read in reads for text in read.texts}
        constants = [node for node in source.nodes if isinstance(node, ast.Constant) and id(node) not in own]
        texts = {node.value for node in constants if isinstance(node.value, str)}
        for node, name, _ in reads:
            if name not in keys | texts and not name.startswith("_"):
                message = f"reads hyperparameters.{name}; the search space has {', '.join(sorted(keys))}"
                yield finding("missing-hyperparameter", source.path, node.lineno, message)


def search_space(document: Document, key: tuple[str, ...]) -> Iterator[Finding]:
    """Problems of the search space at a key of a document."""
    data: Any = document.data
    for part in key:
        data = data[part]
    split = list(_split_by_workload(document, key, data))
    yield from split
    if split:
        return
    try:
        parse_search_space(document, key)
    except ConfigError as error:
        yield of_message("search-space", str(error), document.path)
        return
    for name, value in data.items() if isinstance(data, Mapping) else ():
        if "feasible_points" in value and len(value) > 1:
            line = document.lines.get((*key, name), 1)
            yield finding("search-space", document.path, line, f"{name} has feasible_points and a range: keep one")


def _split_by_workload(document: Document, key: tuple[Any, ...], data: Any) -> Iterator[Finding]:
    """A key that names a workload, at any depth, or a value of a key that is there to hold one."""
    items: Any = data.items() if isinstance(data, Mapping) else enumerate(data) if isinstance(data, list) else ()
    for name, value in items:
        where = (*key, name)
        held = value if str(name).lower() in ("workload", "dataset", "task") and isinstance(value, str) else name
        if workload := named_workload(held) if isinstance(held, str) else "":
            line = document.lines.get(where, 1)
            yield finding("search-space-per-workload", document.path, line, f"has values for {workload} alone")
        else:
            yield from _split_by_workload(document, where, value)


# ---- compositions ----


def composition(document: Document) -> Iterator[Finding]:
    from submissions import composition as compositions

    if not isinstance(document.data, Mapping):
        yield finding("composition", document.path, 1, "a composition is a mapping with name, optimizer, schedule, ...")
        return
    spaces = list(search_space(document, ("search_space",))) if "search_space" in document.data else []
    yield from spaces
    for problem in compositions.problems(document.data):
        if not spaces or "search_space" not in problem.path:
            text = document.describe(problem.path, problem.message)
            yield of_message("composition", text, document.path)


def component_files(data: Mapping[str, Any]) -> list[Path]:
    """Source files of the components that a sound composition names."""
    from submissions._reading import component
    from submissions.components import KINDS

    files = [component(data, kind).module.__file__ for kind in KINDS]
    return [Path(file) for file in files if file]


# ---- dependencies ----


def dependencies(path: Path, sources: Sources) -> Iterator[Finding]:
    """Imports of packages that nothing declares, each once."""
    declared = _declared(path.parent)
    given = _GIVEN | (_GIVEN_BY_ALGOPERF if any(map(sources.imports_top_level, ALGOPERF_NAMES)) else frozenset())
    seen: set[str] = set()
    for found in sources.imports:
        name = found.top_level
        if name in seen or name in given or not _is_foreign(sources, found):
            continue
        if not {_normalised(name), _normalised(DISTRIBUTIONS.get(name, name))} & declared:
            seen.add(name)
            yield finding("dependency", found.file, found.line, f"imports {name}, which is declared nowhere")


def _is_foreign(sources: Sources, found: Import) -> bool:
    name = found.top_level
    if found.level or name in sys.stdlib_module_names or name in ALGOPERF_NAMES or _may_be_absent(sources, found):
        return False
    return not (
        sources.layout.owns_top_level(name)
        or ((name in REPOSITORY_ROOTS or not is_installed(name)) and sources.layout.find(found.module) is not None)
        or name in ("workloads", "results", "scoring")  # the rule "peeks" speaks of these
    )


def _may_be_absent(sources: Sources, found: Import) -> bool:
    """Whether an import stands in a ``try`` that expects it to fail, or is for type checkers alone."""
    guarded = [node.body for node in ast.walk(sources.trees[found.file]) if excuses_absence(node)]
    return any(part.lineno <= found.line <= (part.end_lineno or 0) for body in guarded for part in body)


def _declared(folder: Path) -> frozenset[str]:
    """Normalised names of declared packages."""
    names = set(read_requirements(folder))
    info = folder / INFO_FILE
    if info.exists():
        try:
            data = load_document(info).data
        except ConfigError:
            data = None
        listed = data.get("dependencies", []) if isinstance(data, Mapping) else []
        entries = listed if isinstance(listed, list) else json.dumps(listed).strip('"').split(",")
        names |= {_normalised(re.split(r"[\s<>=!~;\[@]", str(text).strip(), maxsplit=1)[0]) for text in entries}
    return frozenset(names)


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
