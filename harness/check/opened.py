"""How an entry opens files, and what only looks as if it did: open files, and files in memory."""

from __future__ import annotations

import ast

from harness.check.names import bindings
from harness.check.source import Source, words

OPENERS = words("builtins.open io.open codecs.open gzip.open bz2.open lzma.open zipfile.ZipFile tarfile.open")


def _open_mode(source: Source, node: ast.AST) -> str:
    """The mode of a call of ``open``; empty where the node is no such call."""
    call = source.parents.get(node)
    if not isinstance(call, ast.Call) or call.func is not node:
        return ""
    path = source.dotted(node)
    place = 0 if path is None or source.is_own(path) else 1  # path.open("w"), open(path, "w")
    given = [*call.args[place : place + 1], *(k.value for k in call.keywords if k.arg == "mode")]
    return str(given[0].value) if given and isinstance(given[0], ast.Constant) else "r"


def _opens(source: Source, node: ast.AST) -> bool:
    return source.dotted(node) in OPENERS or getattr(node, "attr", "") == "open"


def writes(source: Source, node: ast.AST) -> bool:
    return _opens(source, node) and any(letter in _open_mode(source, node) for letter in "wax+")


def is_read_only(source: Source, node: ast.AST) -> bool:
    """What the rule on writing may pass over: opening to read, and logging without a file."""
    call = source.parents.get(node)
    if source.dotted(node) == "logging.basicConfig" and isinstance(call, ast.Call):
        return not any(keyword.arg in ("filename", None) for keyword in call.keywords)
    return _opens(source, node) and not writes(source, node)


def is_an_open_file(source: Source, node: ast.AST) -> bool:
    """``with open(path) as file: numpy.load(file)``: the opening was judged."""
    call = source.parents.get(node)
    given = call.args[0] if isinstance(call, ast.Call) and call.func is node and call.args else None
    opened = {
        ast.unparse(target)
        for target, value in bindings(source.tree)
        if isinstance(value, ast.Call) and _opens(source, value.func)
    }
    return given is not None and ast.unparse(given) in opened


_IN_MEMORY = words("io.BytesIO io.StringIO")
_SECOND = words("torch.save torch.jit.save")
"""Functions whose second argument is the file; others have it first."""
_UNPICKLING = words("torch.load numpy.load")


def is_in_memory(source: Source, node: ast.AST) -> bool:
    """``torch.save(state, buffer)``, ``torch.load(buffer)``, where the buffer is an ``io.BytesIO()`` and nothing else,
    and holds nothing that is written out in the source."""
    call, path = source.parents.get(node), source.dotted(node)
    if path is None or not isinstance(call, ast.Call) or call.func is not node:
        return False
    place = 1 if path in _SECOND else 0
    given = [*call.args[place : place + 1], *(k.value for k in call.keywords if k.arg in ("f", "file"))]
    if len(given) != 1 or not source.is_made_by(given[0], _IN_MEMORY):
        return False
    name = ast.unparse(given[0])
    made = [given[0]] if isinstance(given[0], ast.Call) else source.values_of.get(name, [])
    calls = [each for each in made if isinstance(each, ast.Call) and source.dotted(each.func) in _IN_MEMORY]
    if len(calls) < len(made):
        return False
    written = [
        argument
        for each in source.nodes
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute)
        if each.func.attr in ("write", "writelines") and ast.unparse(each.func.value) == name
        for argument in each.args
    ]
    given_at_once = [*(k.value for each in calls for k in each.keywords), *(a for each in calls for a in each.args)]
    held = [*written, *given_at_once]
    return path not in _UNPICKLING or not any(is_written_out(source, argument) for argument in held)


def is_written_out(source: Source, expression: ast.expr) -> bool:
    """``b"..."``, also through names and functions of modules (``base64.b64decode(TEXT)``)."""
    names = [n.id for n in ast.walk(expression) if isinstance(n, ast.Name)]
    return all(name in source.constants or name in source.imported for name in names)
