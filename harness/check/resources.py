"""What a file reads as a resource of its own package, put as a path made of ``__file__``, which is the same file."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

_THEN = {
    "importlib.resources.files": "",
    "importlib.resources.path": ".joinpath()",
    "importlib.resources.read_text": ".joinpath().read_text()",
    "importlib.resources.read_binary": ".joinpath().read_bytes()",
    "importlib.resources.open_text": ".joinpath().open()",
    "importlib.resources.open_binary": ".joinpath().open()",
    "pkgutil.get_data": ".joinpath().read_bytes()",
}
"""Functions with what they do in the folder of the package that they are given."""

_MODULES = ("importlib", "importlib.resources", "pkgutil")
NEEDS = "pathlib"
"""The module that the paths are made with."""


def readers(tree: ast.AST) -> Mapping[str, str]:
    """How a file may write the functions that read resources, and which is which."""
    return dict(_readers(tree))


def _readers(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known = {alias.asname or alias.name: alias.name for alias in node.names if alias.name in _MODULES}
        elif isinstance(node, ast.ImportFrom) and node.module in _MODULES and not node.level:
            known = {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        else:
            continue
        for local, path in known.items():
            yield from ((local + each.removeprefix(path), each) for each in _THEN if f"{each}.".startswith(f"{path}."))


def own_resource(node: ast.AST, known_as: Mapping[str, str]) -> ast.expr | None:
    """``files(__package__)`` as ``pathlib.Path(__file__).parent``, and ``get_data(__name__, name)`` as reading what is
    there; None for other calls, and for other packages than the file's own."""
    match node:
        case ast.Call(func=function, args=[ast.Name(id="__package__" | "__name__"), *names]) if (
            ast.unparse(function) in known_as
        ):
            then = _THEN[known_as[ast.unparse(function)]]
            made = ast.parse(f"{NEEDS}.Path(__file__).parent{then}", mode="eval").body
        case _:
            return None
    for part in ast.walk(made):
        ast.copy_location(part, node)
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr == "joinpath":
            part.args = names[:1]
    return made
