"""The part of the check that reads: every rule that needs nothing to run."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.check import (
    rules_access,
    rules_callbacks,
    rules_carried,
    rules_conduct,
    rules_entry,
    rules_random,
    rules_shape,
    rules_specialise,
)
from harness.check.findings import RULES, Finding, finding, of_message
from harness.check.plain import written_plainly
from harness.check.source import Source
from harness.compat.sources import Sources, imports_of, own_file, parse, read_sources
from harness.config import ConfigError, load_document
from harness.errors import UsageError

__all__ = [
    "check_files",
    "rules_access",
    "rules_callbacks",
    "rules_conduct",
    "rules_random",
    "rules_shape",
    "rules_specialise",
]  # importing a room of rules adds them


def check_files(path: Path) -> list[Finding]:
    """Findings in the files of the entry at a ``.py`` or ``.yaml`` file."""
    reader = _composition if path.suffix in (".yaml", ".yml") else _module
    return sorted(set(reader(path)))


def functions_of(path: Path) -> dict[str, tuple[Path, int]]:
    """File and line of the entry's top-level functions; empty for a composition."""
    if path.suffix != ".py":
        return {}
    return {
        node.name: (file, node.lineno)
        for file, tree in reversed(read_sources(path).trees.items())
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    }


def _composition(path: Path) -> Iterator[Finding]:
    try:
        document = load_document(path)
    except ConfigError as error:
        yield of_message("source", str(error), path)
        return
    found = list(rules_entry.composition(document))
    yield from found
    if not found:
        for file in rules_entry.component_files(document.data):
            yield from _by_source_rules(Source(file, parse(file), frozenset({"submissions"})))


def _module(path: Path) -> Iterator[Finding]:
    owns_folder = path.name == "submission.py"
    if owns_folder:
        yield from rules_entry.search_space_files(path.parent)
    try:
        sources = _with_all_files(read_sources(path))
    except UsageError as error:
        yield of_message("source", str(error), path)
        return
    yield from rules_entry.functions(path, sources)
    yield from rules_entry.dependencies(path, sources)
    yield from rules_carried.carried(path.parent if owns_folder else None, sources)
    own = frozenset(_own_names(path, sources.trees))
    family: dict[Path, Source] = {}
    family |= {file: Source(file, tree, own, family, sources.layout) for file, tree in sources.trees.items()}
    if owns_folder:
        yield from rules_entry.hyperparameters(path.parent, family.values())
    for source in family.values():
        yield from _by_source_rules(source)


def _with_all_files(sources: Sources) -> Sources:
    """The entry's files, also those whose import shows in the plain form only."""
    trees: dict[Path, ast.Module] = {}
    waiting = dict(sources.trees)
    while waiting:
        path = next(iter(waiting))
        tree = waiting.pop(path)
        written_plainly(tree)
        trees[path] = tree
        for found in imports_of(path, tree, sources.layout):
            ends = ["", *(f".{name}" for name in found.names)]
            files = [own_file(sources.layout, path, found.level, f"{found.module}{end}".lstrip(".")) for end in ends]
            waiting |= {file: parse(file) for file in files if file and file not in trees and file not in waiting}
    return Sources(sources.layout, trees)


def _own_names(path: Path, files: Iterable[Path]) -> Iterator[str]:
    """Names by which an entry's files import each other; those of Python's own modules always mean these."""
    for file in files:
        if file.is_relative_to(path.parent):
            name = file.relative_to(path.parent).parts[0].removesuffix(".py")
            yield from [name] * (name not in sys.stdlib_module_names)


def _by_source_rules(source: Source) -> Iterator[Finding]:
    for rule in RULES.values():
        if rule.look is not None:
            for node, message in rule.look(source):
                yield finding(rule.id, source.path, getattr(node, "lineno", 1), message)
