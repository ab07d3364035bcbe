"""Values that are only reported: to a log, on a terminal, in an error."""

from __future__ import annotations

import ast
import re

from harness.check.names import Scope
from harness.check.source import Source, matches, words

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


# ---- times ----

_TIMES = words("time.* datetime.datetime.now datetime.datetime.utcnow datetime.datetime.today datetime.date.today")
_SHOWS = words("debug info warning warn error critical exception fatal log vlog log_first_n log_every_n")
_FORMS = words("str float int round format repr min max abs sum")
_FORM_METHODS = words("format isoformat strftime total_seconds join")
_HEARS = words("""
    logging.Handler logging.StreamHandler logging.Filter logging.Formatter logging.LoggerAdapter logging.handlers.*
    logging.setLogRecordFactory logging.setLoggerClass contextlib.redirect_stdout contextlib.redirect_stderr
    builtins.locals builtins.vars""")
"""With these an entry could hear what it reports, or read a name that nothing shows to be read."""

_OPERATORS = re.compile(r"__(format|r?(add|sub|mul|truediv|floordiv|mod|divmod|pow|and|or|xor|lshift|rshift|matmul))__")
"""Methods to which a time may go by way of an operator."""


def is_clock_only_reported(source: Source, node: ast.AST) -> bool:
    """Whether a clock is read for log lines alone: there, or into names of a function that only log lines use."""
    call = source.parents.get(node)
    if not isinstance(call, ast.Call) or call.func is not node or not matches(source.dotted(node) or "", _TIMES):
        return False
    heard = any(matches(path, _HEARS) for each in source.siblings for _, path in each.references)
    computes = any(_OPERATORS.fullmatch(name) for each in source.siblings for name in each.functions)
    return not heard and not computes and _only_shown(source, call, frozenset())


def _only_shown(source: Source, node: ast.AST, seen: frozenset[str]) -> bool:
    """Whether a value is only computed with, formatted and shown."""
    above = source.parents.get(node)
    match above:
        case ast.BinOp() | ast.UnaryOp() | ast.FormattedValue() | ast.JoinedStr() | ast.Tuple() | ast.List():
            return _only_shown(source, above, seen)
        case ast.keyword() | ast.Attribute(attr="days" | "seconds"):
            return _only_shown(source, above, seen)
        case ast.Attribute(attr=attr) if attr in _FORM_METHODS:
            call = source.parents.get(above)
            return isinstance(call, ast.Call) and call.func is above and _only_shown(source, call, seen)
        case ast.Call():
            if _forms(source, above):
                return _only_shown(source, above, seen)
            return _shows(source, above) and isinstance(source.parents.get(above), ast.Expr)
        case ast.Assign(targets=[ast.Name() as target]) | ast.AnnAssign(target=ast.Name() as target):
            return _only_shown_as(source, target, seen)
        case ast.AugAssign(target=ast.Name() as target):
            return _only_shown_as(source, target, seen)
    return False


def _only_shown_as(source: Source, target: ast.Name, seen: frozenset[str]) -> bool:
    scope = next(above for above in source.ancestors(target) if isinstance(above, Scope | ast.ClassDef | ast.Module))
    if not isinstance(scope, Scope) or target.id in seen:
        return isinstance(scope, Scope)
    inner = list(ast.walk(scope))
    if any(isinstance(n, ast.Global | ast.Nonlocal) and target.id in n.names for n in inner):
        return False
    uses = [n for n in inner if isinstance(n, ast.Name) and n.id == target.id and isinstance(n.ctx, ast.Load)]
    return bool(uses) and all(_only_shown(source, use, seen | {target.id}) for use in uses)


def _forms(source: Source, call: ast.Call) -> bool:
    """``round(seconds, 2)``; not ``max(..., key=keep)``."""
    if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Constant):
        return call.func.attr in _FORM_METHODS  # "{}".format(...)
    path = source.dotted(call.func) or ""
    return path.startswith("builtins.") and path.removeprefix("builtins.") in _FORMS and not call.keywords


def _shows(source: Source, call: ast.Call) -> bool:
    """A log line, what is printed on the terminal, and a metric for the logger that a trial may have."""
    path = source.dotted(call.func) or ""
    if path == "builtins.print":
        files = [keyword.value for keyword in call.keywords if keyword.arg in ("file", None)]
        return all(source.dotted(file) in ("sys.stdout", "sys.stderr") for file in files)
    if not isinstance(call.func, ast.Attribute):
        return path.startswith(("logging.", "absl.logging.")) and path.rpartition(".")[2] in _SHOWS
    if call.func.attr == "append_scalar_metrics":
        holder = call.func.value
        return isinstance(holder, ast.Attribute) and source.is_workload(holder.value)
    logs = path in {f"{module}.{shown}" for module in ("logging", "absl.logging") for shown in _SHOWS}
    return logs or (call.func.attr in _SHOWS and source.is_made_by(call.func.value, _LOGGERS))
