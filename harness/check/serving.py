"""What in an entry's files serves get_batch_size alone, which is given the workload's name."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator

from harness.check.names import Scope
from harness.check.source import SIZE_FUNCTIONS, Source, words


def serves_sizes(source: Source, node: ast.AST) -> bool:
    """Whether a node stands in get_batch_size, or in what this alone uses: a function, a member of a class, a value."""
    return _place(source, node) in _serving(source)


def size_functions(source: Source) -> Iterator[tuple[str, Scope]]:
    """A file's functions, methods and lambdas that serve get_batch_size, the outermost ones, with a name for each."""
    for node in source.nodes:
        if isinstance(node, Scope) and not any(isinstance(above, Scope) for above in source.ancestors(node)):
            place = _place(source, node)
            if place in _serving(source):
                yield place, node


def _place(source: Source, node: ast.AST) -> str:
    """What a node is a part of: ``function``, ``Class.member``, or the name of a module that it is a value of; empty
    where something else can have it."""
    chain = [node, *source.ancestors(node)]
    outer = chain[-2] if len(chain) > 1 else node
    if isinstance(outer, ast.ClassDef):
        member = _name_of(source, chain[-3]) if len(chain) > 2 else ""
        return f"{outer.name}.{member}" if member else ""
    found = [each for each in chain if isinstance(each, ast.FunctionDef)]  # also in a block: if ...: def f
    if found and any(decorator in chain for decorator in found[-1].decorator_list):
        return ""
    return found[-1].name if found else _name_of(source, outer)


def _name_of(source: Source, statement: ast.AST) -> str:
    match statement:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return name
        case (
            ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.AnnAssign(target=ast.Name(id=name), value=value)
        ) if value is not None and not _reaches_others(source, value):
            return name
    return ""


_PLAIN = frozenset({"tuple", "list", "set", "frozenset", "sorted", "zip", "enumerate", "staticmethod"})
_MAKERS = words("""
    builtins.dict collections.namedtuple collections.defaultdict collections.OrderedDict collections.ChainMap
    collections.Counter dataclasses.field dataclasses.make_dataclass functools.partial functools.lru_cache
    functools.cache types.MappingProxyType types.SimpleNamespace typing.NamedTuple""")
_WRAPPERS = words("functools.lru_cache functools.cache")
_VIEWS = frozenset({"items", "keys", "values", "copy"})


def _reaches_others(source: Source, value: ast.expr) -> bool:
    """Whether something can leave a value where it is made: by ``:=``, or by a call of what may keep it."""
    stack: list[ast.AST] = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Lambda):
            stack += [*node.args.defaults, *(default for default in node.args.kw_defaults if default)]
            continue
        if isinstance(node, ast.NamedExpr) or (isinstance(node, ast.Call) and not _only_makes(source, node)):
            return True
        stack += ast.iter_child_nodes(node)
    return False


def _only_makes(source: Source, call: ast.Call) -> bool:
    path = source.dotted(call.func) or ""
    if path.removeprefix("builtins.") in _PLAIN:
        return not call.keywords  # sorted(..., key=keep)
    if path in _MAKERS:
        return True
    match call.func:
        case ast.Attribute(value=value, attr=attr):
            return (attr in _VIEWS and not call.args) or (attr == "split" and isinstance(value, ast.Constant))
        case ast.Call(func=wrapper):  # functools.lru_cache(None)(...)
            return source.dotted(wrapper) in _WRAPPERS
        case ast.Name(id=name):
            own = [
                n for each in source.siblings for n in each.tree.body if isinstance(n, ast.ClassDef) and n.name == name
            ]
            if own:  # its __init__ may keep what it is given
                return (not call.args and not call.keywords) or all(map(_only_holds, own))
            made = source.values_of.get(name, [])
            return bool(made) and all(isinstance(v, ast.Call) and _is_a_tuple(source, v) for v in made)
    return False


def _only_holds(kind: ast.ClassDef) -> bool:
    """A class of fields alone: a dataclass, a NamedTuple."""
    return not any(isinstance(node, ast.FunctionDef) for node in ast.walk(kind))


def _is_a_tuple(source: Source, call: ast.Call) -> bool:
    return source.dotted(call.func) in ("collections.namedtuple", "typing.NamedTuple")


# ---- who uses it ----


@functools.lru_cache(maxsize=64)
def _serving(source: Source) -> frozenset[str]:
    """Places that nothing but get_batch_size uses, itself or through each other."""
    uses: dict[str, set[str]] = {place: set() for each in source.siblings for place in _places(each)}
    members: dict[str, list[str]] = {}
    for place in uses:
        members.setdefault(place.rpartition(".")[2], []).append(place)
    for each in source.siblings:
        for node in each.nodes:
            for place in members.get(name_read(each, node), ()):
                if _may_mean(each, node, place):
                    uses[place].add(_place(each, node))
    found = SIZE_FUNCTIONS
    while True:
        others = {place: users - {place} for place, users in uses.items()}
        more = found | {place for place, users in others.items() if users and users <= found}
        if more == found:
            return found
        found = more


def _places(source: Source) -> Iterator[str]:
    for statement in source.tree.body:
        if isinstance(statement, ast.ClassDef):
            names = (_name_of(source, member) for member in statement.body)
            yield from (f"{statement.name}.{name}" for name in names if name)
        elif name := _name_of(source, statement):
            yield name


def name_read(source: Source, node: ast.AST) -> str:
    """The name by which something is read, as it is called where it is defined; empty for other nodes."""
    match node:
        case ast.Name(id=name, ctx=ast.Load()):
            return source.imported.get(name, name).rpartition(".")[2]
        case ast.Attribute(attr=attr, ctx=ast.Load()):
            return attr
    return ""


def _may_mean(source: Source, node: ast.AST, place: str) -> bool:
    """Whether a name that is read may be that of a place: members are attributes, but in the body of their class."""
    kind, dot, _ = place.rpartition(".")
    if not dot or isinstance(node, ast.Attribute):
        return True
    return any(isinstance(above, ast.ClassDef) and above.name == kind for above in source.ancestors(node))
