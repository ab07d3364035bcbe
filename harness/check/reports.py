"""Values that are only reported: to a log, on a terminal, in an error."""

from __future__ import annotations

import ast

from harness.check.source import Source

_LOGGERS = frozenset({"logging.getLogger", "absl.logging.get_absl_logger"})


def is_only_reported(source: Source, node: ast.AST) -> bool:
    """Whether a value goes into an error or a log line, and nowhere else."""
    for above in source.ancestors(node):
        if isinstance(above, ast.Raise):
            return True
        if isinstance(above, ast.Call) and above.func is not node:
            path = source.dotted(above.func) or ""
            if path == "builtins.print" or path.startswith(("logging.", "absl.logging.", "warnings.")):
                return True
            if isinstance(above.func, ast.Attribute) and source.is_made_by(above.func.value, _LOGGERS):
                return True
        if isinstance(above, ast.stmt):
            return False
    return False
