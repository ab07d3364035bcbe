"""The rule against entries that tell a workload by the sizes of its model, or by its other numbers."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator

from harness.check.counters import counters
from harness.check.findings import Hit, source_rule
from harness.check.names import Names, bindings, called, parts, returned
from harness.check.numbers import number_of, numbers_in
from harness.check.source import Source, words
from harness.check.texts import ASKS, texts_of_the_layers, texts_of_the_model, texts_of_the_modules

_REALS = words("validation_target_value test_target_value train_mean train_stddev")
_NUMBERS = _REALS | words(
    """
    step_hint num_train_examples num_eval_train_examples num_validation_examples num_test_examples num_parameters
    num_pool_examples max_allowed_runtime_sec eval_period_time_sec eval_batch_size num_classes num_eval_batches
    """
)
"""Numbers of the workload: fine to compute with, but equal to a constant they name a workload."""

_SIZES = words("shape shape_tuple size numel nelement nbytes vocab_size num_leaves")
_KEEPS_SIZE = words("""
    sum max min tuple list sorted int prod set frozenset str repr len round float abs reduce tree_reduce hash encode md5
    sha1 sha256 crc32 digest hexdigest""")
_COUNTED = words("""
    parameters named_parameters leaves tree_leaves tree_flatten flatten children modules named_modules flatten_dict
    param_shapes    model_params_types""")
_CONTAINERS = frozenset({"current_param_container", "model_params", "params"})
_NAMED = words("named_parameters named_modules named_children state_dict keys")
_EQUALS = words("isclose allclose array_equal array_equiv equal isin eq issubset issuperset isdisjoint")
_DIVISORS = words("gcd lcm")
_MAKES_TENSORS = words("empty zeros ones rand randn full eye")
_RESHAPES = words("view reshape expand broadcast_to unflatten")
_EQUALITY = ast.Eq | ast.NotEq | ast.In | ast.NotIn
_COLLECTS = words("Size tuple list set frozenset array asarray tensor")
_SMALLEST_TELLTALE = 8
"""Sizes below this are structure (two axes, one channel, three heads of a fused kernel), not a known model."""

_LARGEST_TILE = 128
"""Lanes of the widest unit that sizes are aligned to: what remains of a division by more is as good as the size."""

_NARROW = 0.1
"""A range for a size is as good as a number where its width is below this share of its end."""


@source_rule(
    "model-shape",
    "error",
    "does not single out a known model by the exact shape or number of its parameters, or by its other numbers",
    "use a rule that holds for every model (a comparison with < or >, the parameter's type, its number of axes)",
)
def by_shape(source: Source) -> Iterable[Hit]:
    sizes = Sizes(source)
    for node in source.nodes:
        telltale = list(sizes.telltales(node))
        if telltale:
            yield node, f"compares a size with {', '.join(map(str, telltale))}"
        elif isinstance(node, ast.Compare):
            yield from _by_layer(sizes, node)
        yield from _tries_a_shape(source, node)
    yield from _as_keys(source)
    yield from _by_batch(sizes)
    for node, text in texts_of_the_model(source).decisions():
        yield node, f"asks whether the model is a {text}"
    for node, text in texts_of_the_modules(source).decisions():
        yield node, f"asks whether the model has a {text}"
    for node, text in texts_of_the_layers(source).decisions():
        if re.search(r"\d.*\.|\..*\d", text):  # encoder.3.weight; norm1 may be any model's
            yield node, f"asks the model for its layer {text}"


_HASHES = words("hash md5 sha1 sha256 sha512 blake2b crc32 adler32")
_STAYS_A_NUMBER = words("int float str repr round encode abs format log log2 sqrt bytes hexdigest digest from_bytes")


def _as_keys(source: Source) -> Iterator[Hit]:
    """Numbers of the workload that are hashed, or choose from a table by themselves or by what remains of them."""
    numbers, is_counter = Names(source.scopes), counters(source)

    def is_number(node: ast.AST) -> bool:
        match node:
            case ast.Attribute(value=value, attr=attr):
                return (attr in _NUMBERS and source.is_workload(value)) or node in numbers
            case ast.Call(func=function, args=args):
                held = [function.value] if isinstance(function, ast.Attribute) else []
                return called(node) in _HASHES | _STAYS_A_NUMBER and any(map(is_number, [*args, *held]))
            case ast.BinOp(left=left, right=right):
                return not any(map(is_counter, ast.walk(node))) and (is_number(left) or is_number(right))
        return node in numbers

    numbers.spread(bindings(source.tree), lambda _, value: is_number(value))
    for node in source.nodes:
        match node:
            case ast.Call(args=[first, *_]) if called(node) in _HASHES and is_number(first):
                yield node, "makes a key of a number of the workload"
            case ast.Subscript(value=table, slice=key, ctx=ast.Load()):
                if is_number(key) and _is_written_out(source, table):
                    yield node, "chooses from a table by a number of the workload"


def _is_written_out(source: Source, table: ast.expr) -> bool:
    """Whether a table is written out in the file: its values are no results of a computation."""
    return isinstance(table, ast.List | ast.Tuple | ast.Dict) or bool(source.constant_values(table))


class Sizes:
    """What in a file is made from sizes of tensors, counts of parameters or numbers of the workload."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.bindings, self.parts = list(bindings(source.tree)), list(parts(source.tree))
        self.counted, self.sized = Names(source.scopes), Names(source.scopes)
        self.is_length, self.is_counter = _batch_lengths(source), counters(source)
        self.counted.spread([*self.bindings, *self.parts], lambda _, value: self._is_counted(value))
        functions = [(function, ast.Tuple(values)) for function, values in returned(source.tree)]
        self.sized.spread([*self.bindings, *self.parts, *functions], self._gives_size)

    # ---- sizes ----

    def _gives_size(self, target: ast.AST, value: ast.expr) -> bool:
        """Whether a value is a size; all values that a function returns, and all parts of them."""
        if isinstance(target, ast.FunctionDef) and isinstance(value, ast.Tuple):
            return all(self._gives_size(target, part) for part in value.elts)
        return self.is_size(value)

    def is_size(self, expression: ast.AST) -> bool:
        """Whether an expression is made from sizes. The value of a call is a size only where its function makes one:
        most take tensors in and give no size out."""
        match expression:
            case ast.Attribute(value=value, attr=attr):
                of_workload = attr in _NUMBERS and self.source.is_workload(value)
                return attr in _SIZES or of_workload or expression in self.sized
            case ast.Name():
                return expression in self.sized
            case ast.Call():
                return self._is_size_call(expression)
            case ast.Subscript(value=value):
                return self.is_size(value)
            case ast.BinOp(left=left, op=ast.Mod(), right=modulus):
                return (self._number(modulus) or 0) > _LARGEST_TILE and self.is_size(left)
            case ast.Compare() | ast.Constant() | ast.Dict():
                return False
            case ast.BinOp() if any(self.is_counter(n) and n not in self.sized for n in ast.walk(expression)):
                return False  # what moves while an entry trains tells no workload
        return any(map(self.is_size, ast.iter_child_nodes(expression)))

    def _is_size_call(self, call: ast.Call) -> bool:
        name = called(call)
        if name in _SIZES and isinstance(call.func, ast.Attribute):
            return True
        if isinstance(call.func, ast.Name) and call.func in self.sized:
            return True
        if name == "len" and call.args:
            return any(map(self._counts, ast.walk(call.args[0])))
        given = [*call.args, *([call.func.value] if isinstance(call.func, ast.Attribute) else [])]
        return name in _KEEPS_SIZE and any(map(self.is_size, given))

    def _counts(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Attribute) and node.attr in _COUNTED:
            return True
        return node in self.counted or (isinstance(node, ast.Name) and node.id in _CONTAINERS)

    def _is_counted(self, value: ast.expr) -> bool:
        """Whether a value is a list of a model's parts."""
        if not isinstance(value, ast.Call):
            return value in self.counted
        return called(value) in _COUNTED or (called(value) in _COLLECTS and any(map(self._is_counted, value.args)))

    # ---- constants that tell ----

    def telltales(self, node: ast.AST) -> Iterator[object]:
        """Numbers that name a model, where a size is compared with them or looked up among them."""
        match node:
            case ast.Compare(left=left, ops=ops, comparators=others):
                yield from self._of_comparison([left, *others], ops)
            case ast.Call(args=args) if called(node) in _DIVISORS:
                yield from filter(_has_a_large_prime, self._among(args))
            case ast.Call(func=ast.Attribute(value=value, attr="is_same_size"), args=[other]):
                yield from self._among(ast.Attribute(tensor, "shape", ast.Load()) for tensor in (value, other))
            case ast.Call(func=function, args=args) if called(node) in _EQUALS | ASKS:
                yield from self._among([*args[:2], *([function.value] if isinstance(function, ast.Attribute) else [])])
            case ast.BinOp(left=left, op=ast.BitAnd(), right=right) if isinstance(left, ast.Set):
                yield from self._among([left, right])
            case ast.UnaryOp(op=ast.Not(), operand=ast.BinOp() as difference):
                yield from self._of_difference(difference)
            case ast.BoolOp(op=ast.And(), values=values):
                yield from self._of_bounds(values)
            case (
                ast.Call(func=ast.Attribute(value=table, attr="get"), args=[key, *_])
                | ast.Subscript(value=table, slice=key)
            ):
                yield from self._among([key, *self._keys(table)])
            case ast.Match(subject=subject, cases=cases):
                patterns = [n for case in cases for n in ast.walk(case.pattern) if isinstance(n, ast.MatchValue)]
                yield from self._among([subject, *(pattern.value for pattern in patterns)])

    def _of_comparison(self, sides: list[ast.expr], ops: list[ast.cmpop]) -> Iterator[object]:
        if all(isinstance(op, _EQUALITY) for op in ops):
            yield from self._among([part for side in sides for part in _ends_of_range(side)])
            if all(map(self.source.is_constant, sides[1:])):  # size - 6000 == 0
                yield from self._of_difference(sides[0])
        elif len(ops) > 1 and self.is_size(sides[1]):
            yield from self._of_ends([sides[0], sides[2]])
        match sides:  # abs(size - 6000) < 1
            case [ast.Call(func=ast.Name(id="abs"), args=[difference]), bound]:
                width = number_of(bound)
                for number in self._of_difference(difference):
                    if width is not None and isinstance(number, int | float) and width <= _NARROW * number:
                        yield number

    def _of_difference(self, expression: ast.expr) -> Iterator[object]:
        match expression:
            case ast.BinOp(left=left, op=ast.Sub() | ast.BitXor(), right=right):
                yield from self._among([left, right])

    def _of_bounds(self, conditions: list[ast.expr]) -> Iterator[object]:
        """``size >= 6000 and size <= 6001``."""
        bounds: dict[str, list[ast.expr]] = {}
        for condition in conditions:
            match condition:
                case ast.Compare(left=left, ops=[ast.Lt() | ast.LtE() | ast.Gt() | ast.GtE()], comparators=[right]):
                    for size, bound in ((left, right), (right, left)):
                        if self.is_size(size):
                            bounds.setdefault(ast.unparse(size), []).append(bound)
        for ends in bounds.values():
            yield from self._of_ends(ends)

    def _of_ends(self, sides: list[ast.expr]) -> Iterator[object]:
        """The ends of a range, where it is narrow. A bound is one end, in however many factors it is written."""
        ends = [end for side in sides if (end := self._number(side)) is not None and end >= _SMALLEST_TELLTALE]
        if len(ends) == 2 and abs(ends[0] - ends[1]) <= _NARROW * max(ends):
            yield from ends

    def _number(self, side: ast.expr) -> float | None:
        """The number that a bound or a modulus is; None where that is not known, as for ``64 * rank``."""
        values = self.source.constant_values(side)[1:] if isinstance(side, ast.Name) else [side]
        return number_of(values[0]) if len(values) == 1 else None

    def _among(self, sides: Iterable[ast.expr]) -> Iterator[object]:
        """Constants among expressions of which one is a size."""
        sides = list(sides)
        if not any(map(self.is_size, sides)):
            return
        if any(map(self.is_length, sides)):
            sides = [side for side in sides if self.is_length(side) or _is_written(side)]
        real = any(isinstance(n, ast.Attribute) and n.attr in _REALS for side in sides for n in ast.walk(side))
        real = real or any(isinstance(n, ast.Constant) and n.value in _REALS for side in sides for n in ast.walk(side))
        remains = any(self.is_size(side) and isinstance(getattr(side, "op", None), ast.Mod) for side in sides)
        for number in numbers_in(value for side in sides for value in self._constant(side)):
            if number >= _SMALLEST_TELLTALE or (real and number not in (0, 1)) or (remains and number != 0):
                yield number

    def _constant(self, expression: ast.expr) -> list[ast.expr]:
        """A constant expression, or what was assigned to the names in it."""
        if isinstance(expression, ast.Call) and called(expression) in _COLLECTS and len(expression.args) == 1:
            return self._constant(expression.args[0])
        if isinstance(expression, ast.Tuple | ast.List | ast.Set) and not self.source.is_constant(expression):
            return [value for part in expression.elts for value in self._constant(part)]
        if isinstance(expression, ast.Attribute) and expression.attr == "shape":
            return self._shape_of_made(expression.value)
        return self.source.constant_values(expression)

    def _shape_of_made(self, tensor: ast.expr) -> list[ast.expr]:
        """What ``torch.empty(784, 128)`` was given, also through a name."""
        made = [tensor, *self.source.values_of.get(ast.unparse(tensor), ())]
        calls = [call for call in made if isinstance(call, ast.Call) and called(call) in _MAKES_TENSORS]
        written = [call.args for call in calls if all(map(self.source.is_constant, call.args))]
        return [argument for arguments in written for argument in arguments]

    def _keys(self, table: ast.expr) -> list[ast.expr]:
        """Keys of a dictionary that is written out."""
        values = [table] if isinstance(table, ast.Dict) else self._constant(table)
        return [key for value in values if isinstance(value, ast.Dict) for key in value.keys if key is not None]


def _has_a_large_prime(number: object) -> bool:
    """Whether a number is no block size: what divides by it is as good as equal to it."""
    rest = number if isinstance(number, int) else 0
    for factor in range(2, _LARGEST_TILE):
        while rest and rest % factor == 0:
            rest //= factor
    return rest > 1


def _tries_a_shape(source: Source, node: ast.AST) -> Iterator[Hit]:
    """``try: p.view(784, 128)``, which fails for other shapes."""
    match node:
        case ast.Call(func=ast.Attribute(attr=attr), args=args) if attr in _RESHAPES and args:
            values = [value for each in args for value in source.constant_values(each)]
            texts = any(isinstance(n, ast.Constant) and isinstance(n.value, str) for v in values for n in ast.walk(v))
            numbers = [] if texts else list(numbers_in(values))  # array.view("uint32") is no shape
            written = all(map(source.is_constant, args)) and all(number > 0 for number in numbers)
            if written and max(numbers, default=0) >= _SMALLEST_TELLTALE and _may_fail(source, node):
                yield node, f"tries whether a tensor has the size {', '.join(map(str, numbers))}"


def _may_fail(source: Source, node: ast.AST) -> bool:
    tries = [above for above in source.ancestors(node) if isinstance(above, ast.Try) and above.handlers]
    return any(node in ast.walk(statement) for each in tries for statement in each.body)


def _ends_of_range(side: ast.expr) -> list[ast.expr]:
    """A narrow range's ends, else the expression itself."""
    match side:
        case ast.Call(
            func=ast.Name(id="range"), args=[ast.Constant(value=int(a)) as first, ast.Constant(value=int(b))]
        ):
            return [first] if 0 < b - a <= _NARROW * b else [side]
    return [side]


# ---- lengths of batches ----


def _by_batch(sizes: Sizes) -> Iterator[Hit]:
    """``len(batch["targets"]) == 17``, which asks what get_batch_size gave by the workload's name. What is not written
    as a number may be what it gives for every workload."""
    for node in sizes.source.nodes:
        if not isinstance(node, ast.Compare) or not isinstance(node.ops[0], _EQUALITY):
            continue
        sides = [node.left, *node.comparators]
        if any(map(sizes.is_length, sides)) and not any(map(sizes.is_size, sides)):
            written = [side for side in sides if _is_written(side)]
            found = [number for number in numbers_in(written) if number >= _SMALLEST_TELLTALE]
            if found:
                yield node, f"compares a batch's length with {', '.join(map(str, found))}"


def _is_written(expression: ast.expr) -> bool:
    """Whether an expression has no names."""
    return not any(isinstance(node, ast.Name) for node in ast.walk(expression))


def _batch_lengths(source: Source) -> Callable[[ast.AST], bool]:
    """Whether an expression is the length of a part of a batch."""
    batches, held, lengths = Names(source.scopes, {"batch"}), Names(source.scopes), Names(source.scopes)
    pairs = [*bindings(source.tree), *parts(source.tree)]

    def is_batch(node: ast.AST) -> bool:
        match node:
            case ast.Call(func=ast.Name(id="next"), args=[ast.Name(id="input_queue"), *_]):
                return True
        return node in batches

    def is_part(node: ast.AST) -> bool:
        match node:
            case ast.Subscript(value=value) | ast.Call(func=ast.Attribute(value=value, attr="get")):
                return is_batch(value)
        return node in held

    def is_length(node: ast.AST) -> bool:
        match node:
            case (
                ast.Call(func=ast.Name(id="len"), args=[given])
                | ast.Subscript(value=ast.Attribute(value=given, attr="shape"), slice=ast.Constant(value=0))
                | ast.Call(func=ast.Attribute(value=given, attr="size"), args=[ast.Constant(value=0)])
            ):
                return is_part(given)
        return node in lengths

    batches.spread(pairs, lambda _, value: is_batch(value))
    held.spread(pairs, lambda _, value: is_part(value))
    lengths.spread(pairs, lambda _, value: is_length(value))
    return is_length


# ---- names of layers ----


def _by_layer(sizes: Sizes, node: ast.Compare) -> Iterator[Hit]:
    """``"layer4.2.conv3.weight" in dict(model.named_parameters())``, ``set(params) == {"Dense_0", "Dense_1"}``."""
    sides = [node.left, *node.comparators]
    texts = [n.value for side in sides for n in ast.walk(side) if isinstance(n, ast.Constant)]
    numbered = [text for text in texts if isinstance(text, str) and re.search(r"\d", text)]
    asks = isinstance(node.ops[0], _EQUALITY)
    if numbered and asks and any(_names_of_layers(sizes, side) for side in sides):
        yield node, f"asks the model for its layer {numbered[0]!r}"


def _names_of_layers(sizes: Sizes, expression: ast.AST) -> bool:
    if isinstance(expression, ast.Name) and expression.id not in _CONTAINERS:
        return any(map(_collects_layers, sizes.source.values_of.get(expression.id, ())))
    return _collects_layers(expression) or (isinstance(expression, ast.Call) and called(expression) in _NAMED)


def _collects_layers(expression: ast.AST) -> bool:
    """``params``, ``flatten_dict(params)``, ``set(model.state_dict())``; no loop over the names."""
    match expression:
        case ast.Name(id=name):
            return name in _CONTAINERS
        case ast.Call(args=[given, *_]) if called(expression) in ("dict", "sorted", "flatten_dict", *_COLLECTS):
            return _collects_layers(given) or (isinstance(given, ast.Call) and called(given) in _NAMED)
    return False
