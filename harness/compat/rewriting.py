"""Literals that mean a machine with GPUs, rewritten as an entry's file is compiled: the file itself is not touched,
lines keep their numbers, and nothing is intercepted while training."""

from __future__ import annotations

import ast
import importlib.machinery
from types import CodeType
from typing import Any

from harness.compat.conventions import is_cuda_literal

GROUP_SIZES = frozenset({"num_trainers_per_group"})
"""Keyword arguments of distributed optimizers that state how many processes share the work: there is one."""


class Rewriter(ast.NodeTransformer):
    """``"cuda"`` becomes the device that there is, but where it is compared with or looked up; group sizes become 1."""

    def __init__(self, device: str) -> None:
        self._device = device

    def visit(self, node: ast.AST) -> Any:
        if is_cuda_literal(node):
            return ast.copy_location(ast.Constant(self._device), node)
        return super().visit(node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        node.value = self.visit(node.value)
        return node

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        node.values = [self.visit(value) for value in node.values]
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        if node.arg in GROUP_SIZES and isinstance(node.value, ast.Constant) and isinstance(node.value.value, int):
            node.value = ast.copy_location(ast.Constant(1), node.value)
            return node
        return self.generic_visit(node)


class RewritingLoader(importlib.machinery.SourceFileLoader):
    """Loads one of an entry's files, rewritten; writes no byte code into the entry's folder."""

    def __init__(self, fullname: str, path: str, device: str) -> None:
        super().__init__(fullname, path)
        self._device = device

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        tree = ast.parse(self.get_data(path), path)
        tree = ast.fix_missing_locations(Rewriter(self._device).visit(tree))
        return compile(tree, path, "exec", dont_inherit=True)
