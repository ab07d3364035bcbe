"""One source file of an entry, and what its names mean: imports, aliases, and which objects are the workload."""

from __future__ import annotations

import ast
import builtins
import dataclasses
import functools
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from harness.check.names import Names, Scope, bindings, given, parameters, parts, passed
from harness.check.plain import written_plainly
from harness.check.shadows import hidden_file
from harness.compat.layout import Layout
from harness.compat.sources import own_file


def words(text: str) -> frozenset[str]:
    """The words of a text; long tables of names read better so."""
    return frozenset(text.split())


SIZE_FUNCTIONS = frozenset({"get_batch_size", "get_eval_batch_size"})
"""Functions that may decide by the workload's name: it is all they are given."""

_OTHER_NAMES = dict(
    pair.split("=")
    for pair in words("""
    posix=os nt=os posixpath=os.path ntpath=os.path _io=io _pyio=io _pickle=pickle _socket=socket _ssl=ssl
    _random=random _signal=signal _asyncio=asyncio _datetime=datetime _pydatetime=datetime _posixsubprocess=subprocess
    """)
)
"""Python's modules that make up others, with these."""


def usual_name(dotted: str) -> str:
    """``os.environ`` for ``posix.environ``."""
    first, dot, rest = dotted.partition(".")
    return f"{_OTHER_NAMES.get(first, first)}{dot}{rest}"


_WORKLOAD_FIRST = frozenset(
    {"init_optimizer_state", "update_params", "data_selection", "prepare_for_eval", "init_model_params"}
)


@dataclasses.dataclass(frozen=True)
class Source:
    """A parsed file.

    Attributes:
      own: top-level names of the modules in the entry's folder.
      family: all files of the entry, this one among them; empty where a file stands alone.
      layout: the entry's folder; None where a file stands alone.
    """

    path: Path
    tree: ast.Module
    own: frozenset[str] = frozenset()
    family: Mapping[Path, Source] = dataclasses.field(default_factory=dict)
    layout: Layout | None = None

    __hash__ = object.__hash__

    def __post_init__(self) -> None:
        written_plainly(self.tree)

    @functools.cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        return tuple(ast.walk(self.tree))

    @functools.cached_property
    def functions(self) -> Mapping[str, tuple[ast.FunctionDef, ...]]:
        """The file's functions and methods by name."""
        found: dict[str, tuple[ast.FunctionDef, ...]] = {}
        for node in self.nodes:
            if isinstance(node, ast.FunctionDef):
                found[node.name] = (*found.get(node.name, ()), node)
        return found

    @functools.cached_property
    def parents(self) -> Mapping[ast.AST, ast.AST]:
        return {child: parent for parent in self.nodes for child in ast.iter_child_nodes(parent)}

    @property
    def siblings(self) -> tuple[Source, ...]:
        """The entry's files, this one among them."""
        return tuple(self.family.values()) or (self,)

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        above = self.parents.get(node)
        while above is not None:
            yield above
            above = self.parents.get(above)

    def scopes(self, node: ast.AST) -> Iterator[ast.AST | None]:
        """The functions around a node, innermost first, then None for the module."""
        yield from (above for above in self.ancestors(node) if isinstance(above, Scope))
        yield None

    # ---- names ----

    @functools.cached_property
    def imported(self) -> Mapping[str, str]:
        """Local name -> dotted path of what was imported under it; relative imports begin with a dot."""
        found: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    first = alias.name.partition(".")[0]
                    found[alias.asname or first] = usual_name(alias.name if alias.asname else first)
            elif isinstance(node, ast.ImportFrom):
                base = "." * node.level + usual_name(node.module or "")
                for name, bound in _imported_names(node):
                    found[bound] = f"{base}.{name}"
        return found

    @functools.cached_property
    def origins(self) -> Mapping[str, tuple[Source, str]]:
        """What is imported from the entry's other files: local name -> the file, and the name there; empty for a file
        itself."""
        found: dict[str, tuple[Source, str]] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                modules = {alias.asname or alias.name: self._own_source(0, alias.name) for alias in node.names}
                found |= {bound: (module, "") for bound, module in modules.items() if module is not None}
            elif isinstance(node, ast.ImportFrom):
                found |= dict(self._origins_of(node))
        return found

    def origin_of(self, local: str) -> tuple[Source, str] | None:
        """The entry's file that defines an imported name, where others may have passed it on."""
        seen = [(self, local)]
        while (further := seen[-1][0].origins.get(seen[-1][1])) and further not in seen:
            seen.append(further)
        return seen[-1] if len(seen) > 1 else None

    def _origins_of(self, node: ast.ImportFrom) -> Iterator[tuple[str, tuple[Source, str]]]:
        base, module = node.module or "", self._own_source(node.level, node.module or "")
        for alias in node.names:
            if alias.name == "*" and module is not None:
                yield from [(name, (module, name)) for name in module.exported]
            elif inner := self._own_source(node.level, f"{base}.{alias.name}".lstrip(".")):
                yield alias.asname or alias.name, (inner, "")
            elif module is not None:
                yield alias.asname or alias.name, (module, alias.name)

    def _own_source(self, level: int, dotted: str) -> Source | None:
        path = own_file(self.layout, self.path, level, dotted) if self.layout else None
        return self.family.get(path) if path and path != self.path else None

    @functools.cached_property
    def exported(self) -> frozenset[str]:
        """Names that a star import may take."""
        names = {n.id for n in self.nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        named = {n.name for n in self.tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        return frozenset(names | named | self.imported.keys())

    @functools.cached_property
    def aliases(self) -> Mapping[str, str]:
        """``imported``, names that are assigned an imported object (``clock = time``), and builtins' names that mean
        something of the file's own (these begin with a dot, as relative imports do)."""
        found = {name: f".{name}" for name in self._bound if hasattr(builtins, name)} | dict(self.imported)
        for node in self.nodes:
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                path = _resolve(node.value, found)
                if path is not None and node.targets[0].id not in found:
                    found[node.targets[0].id] = path
        return found

    @functools.cached_property
    def _bound(self) -> frozenset[str]:
        """Names that the file defines, assigns or takes as arguments."""
        names = set()
        for node in self.nodes:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.arg):
                names.add(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
        return frozenset(names)

    def dotted(self, node: ast.AST) -> str | None:
        """The full path of an imported object or builtin that an expression means (``numpy.random.rand``)."""
        return _resolve(node, self.aliases)

    @functools.cached_property
    def references(self) -> tuple[tuple[ast.expr, str], ...]:
        """Every longest expression that means an imported object or builtin, with its full path."""
        return tuple(self._find_references())

    def _find_references(self) -> Iterator[tuple[ast.expr, str]]:
        for node in self.nodes:
            if not isinstance(node, ast.Name | ast.Attribute):
                continue
            path = self.dotted(node)
            parent = self.parents.get(node)
            longer = isinstance(parent, ast.Attribute) and self.dotted(parent) is not None
            if path is not None and not longer:
                yield node, path

    def is_own(self, path: str) -> bool:
        """Whether a dotted path means a module of the entry itself."""
        own = path.startswith(".") or path.partition(".")[0] in self.own
        return own or hidden_file(self.layout, path) is not None  # no module of Python's has it

    def is_made_by(self, node: ast.AST, makers: frozenset[str]) -> bool:
        """Whether an object is what one of these functions or classes makes, or a name that holds such an object."""
        return node in self._made_by(makers) or self._calls_one_of(node, makers)

    @functools.lru_cache(maxsize=64)  # noqa: B019  sources live as long as a check
    def _made_by(self, makers: frozenset[str]) -> Names:
        made = Names(self.scopes)
        made.spread(bindings(self.tree), lambda _, value: self._calls_one_of(value, makers))
        return made

    def _calls_one_of(self, node: ast.AST, functions: frozenset[str]) -> bool:
        return isinstance(node, ast.Call) and self.dotted(node.func) in functions

    # ---- the workload ----

    @functools.cached_property
    def _workloads(self) -> Names:
        """Names that hold the workload: parameters in its place or given it, here or by the entry's other files, and
        what is assigned from them."""
        return self._find_workloads(self._given_by_others())

    @functools.cached_property
    def _workloads_here(self) -> Names:
        return self._find_workloads(())

    def _find_workloads(self, targets: Iterable[ast.arg]) -> Names:
        names = Names(self.scopes, {"workload"})
        for statement in self.tree.body:
            if isinstance(statement, ast.FunctionDef) and statement.name in _WORKLOAD_FIRST and statement.args.args:
                names.add(statement.args.args[0])
        for target in targets:
            names.add(target)
        pairs = [*bindings(self.tree), *parts(self.tree), *passed(self.tree)]
        names.spread(pairs, lambda _, value: value in names or _is_workload_attribute(value))
        return names

    def _given_by_others(self) -> Iterator[ast.arg]:
        """Parameters of functions that another file of the entry imports from here and calls with the workload."""
        own = parameters(self.tree)
        for other in self.siblings:
            known: dict[str, list[ast.arg]] = {}
            for local, (source, name) in other.origins.items():
                if source is self:
                    known |= {local: own.get(name, [])} if name else {f"{local}.{each}": own[each] for each in own}
            for target, value in given(other.tree, known):
                if isinstance(target, ast.arg) and (value in other._workloads_here or _is_workload_attribute(value)):
                    yield target

    def is_workload(self, node: ast.AST) -> bool:
        return node in self._workloads or _is_workload_attribute(node)

    # ---- constants ----

    @functools.cached_property
    def constants(self) -> frozenset[str]:
        """Names that are only ever assigned literals, here or in the file they are imported from, and are no
        function's argument."""
        origins = {local: origin for local in self.origins if (origin := self.origin_of(local))}
        return self._own_constants | {
            local for local, (source, name) in origins.items() if name in source._own_constants
        }

    @functools.cached_property
    def _own_constants(self) -> frozenset[str]:
        fixed: set[str] = set()
        other: set[str] = set()
        for node in self.nodes:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                kept = fixed if _is_literal(node.value, fixed) else other
                kept.update(n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name))
            elif isinstance(node, ast.arg):
                other.add(node.arg)
            elif isinstance(node, ast.For | ast.comprehension) and _is_literal(node.iter, fixed):
                fixed.update(n.id for n in ast.walk(node.target) if isinstance(n, ast.Name))
            elif isinstance(node, ast.For | ast.comprehension | ast.AugAssign | ast.NamedExpr):
                other.update(n.id for n in ast.walk(node.target) if isinstance(n, ast.Name))
        return frozenset(fixed - other)

    def constant_values(self, expression: ast.expr) -> list[ast.expr]:
        """A constant expression, and what was assigned to the names in it; nothing for any other expression."""
        if not self.is_constant(expression):
            return []
        names = [n.id for n in ast.walk(expression) if isinstance(n, ast.Name)]
        places = [self.origin_of(name) or (self, name) for name in names]
        return [expression, *(value for source, name in places for value in source.values_of.get(name, ()))]

    @functools.cached_property
    def assigned(self) -> tuple[tuple[ast.expr, ast.expr], ...]:
        """Names and attributes with what they are assigned, or are a part of (``a, b = value``)."""
        targets = [
            (target, value) for target, value in parts(self.tree) if isinstance(target, ast.Name | ast.Attribute)
        ]
        unpacked = [(t, v) for t, v in targets if isinstance(self.parents.get(t), ast.Tuple | ast.List)]
        return (*bindings(self.tree), *unpacked)

    @functools.cached_property
    def values_of(self) -> Mapping[str, list[ast.expr]]:
        """Names with what they are assigned anywhere in the file."""
        found: dict[str, list[ast.expr]] = {}
        for target, value in self.assigned:
            found.setdefault(ast.unparse(target), []).append(value)
        return found

    def is_constant(self, node: ast.AST) -> bool:
        """Whether an expression has the same value in every trial, as far as the text tells."""
        return _is_literal(node, self.constants)


def _imported_names(node: ast.ImportFrom) -> Iterator[tuple[str, str]]:
    """What an import takes, and as what; all that a star means, where it is of the standard library and known here."""
    for alias in node.names:
        if alias.name != "*":
            yield alias.name, alias.asname or alias.name
        elif not node.level and (node.module or "").partition(".")[0] in sys.stdlib_module_names:
            module = sys.modules.get(node.module or "")
            names = getattr(module, "__all__", None) or [name for name in dir(module) if not name.startswith("_")]
            yield from zip(names, names, strict=True)


def _is_workload_attribute(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in ("workload", "_workload")


def _is_literal(node: ast.AST, constants: frozenset[str] | set[str]) -> bool:
    names = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
    calls = any(isinstance(n, ast.Call | ast.Attribute | ast.Subscript) for n in ast.walk(node))
    return not calls and all(name.id in constants for name in names)


def _resolve(node: ast.AST, aliases: Mapping[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        if node.id in aliases:
            return aliases[node.id]
        return f"builtins.{node.id}" if hasattr(builtins, node.id) or node.id == "__builtins__" else None
    if isinstance(node, ast.Attribute):
        base = _resolve(node.value, aliases)
        return f"{base}.{node.attr}" if base is not None and not base.startswith("builtins.") else None
    return None


def matches(path: str, patterns: frozenset[str]) -> bool:
    """Whether a dotted path is one of the patterns, or lies below one that ends in ``.*``."""
    if path in patterns:
        return True
    parts = path.split(".")
    return any(".".join(parts[:i]) + ".*" in patterns for i in range(1, len(parts) + 1))
