"""How an entry is written: the one place that tells AlgoPerf's eras and habits apart, from the source alone.

The import name says nothing: files that import ``algoperf`` may be of the older era, and the other way round. An entry
can say what it is in its ``submission_info.yml``:

    timetrial:
      jax_era: pmap        # or jit
      algoperf: real       # the installed package in place of timetrial's own
"""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from harness.compat.dependencies import unused_and_missing
from harness.compat.sources import Sources
from harness.errors import UsageError

JaxEra = Literal["pmap", "jit"]
_CHOICES: Mapping[str, tuple[str, ...]] = {"jax_era": ("pmap", "jit"), "algoperf": ("builtin", "real")}
_CUDA = re.compile(r"cuda(:\d*)?")


@dataclasses.dataclass(frozen=True)
class Conventions:
    """What an entry expects of the harness.

    Attributes:
      jax_era: ``pmap``: parameters, model state and batches have a leading device axis; ``jit``: they have none.
      shardings: a jax entry that says where arrays lie.
      cuda_literals: names the device ``cuda`` outright.
      process_group: refuses to run where no group of processes is there.
      own_dropout: passes ``dropout_rate`` to the model itself; else the harness applies the hyperparameter so named.
      real_algoperf: asks for the installed ``algoperf``.
      empty_modules: packages that are imported for nothing and not installed.
      uses: top-level packages that it imports.
      dotted_names: absolute names of what it imports.
    """

    jax_era: JaxEra = "jit"
    shardings: bool = False
    cuda_literals: bool = False
    process_group: bool = False
    own_dropout: bool = True
    real_algoperf: bool = False
    empty_modules: frozenset[str] = frozenset()
    uses: frozenset[str] = frozenset()
    dotted_names: frozenset[str] = frozenset()
    main: Path | None = None
    root: Path | None = None

    def describe(self) -> list[str]:
        """What is done for the entry, a line each, for people."""
        lines = {
            "a leading device axis on parameters, model state and batches (pmap era)": self.jax_era == "pmap",
            "'cuda' in the source means the CPU on a machine without a GPU": self.cuda_literals,
            "a process group of one is there from the start": self.process_group,
            "the hyperparameter dropout_rate is applied by the harness": not self.own_dropout,
            "algoperf is the installed package": self.real_algoperf,
            f"empty modules for {', '.join(sorted(self.empty_modules))}": bool(self.empty_modules),
        }
        return [line for line, holds in lines.items() if holds]


NONE = Conventions()
"""Of a composition: nothing is needed."""


def conventions_of(sources: Sources, info: Mapping[str, Any], info_path: Path) -> Conventions:
    """
    Args:
      sources: the entry's parsed files.
      info: content of its ``submission_info.yml``.
      info_path: for errors.

    Raises:
      UsageError: ``info`` asks for something that there is not.
    """
    asked = _asked(info, info_path)
    return Conventions(
        jax_era=asked.get("jax_era") or _jax_era(sources),
        shardings=_names_shardings(sources),
        cuda_literals=any(is_cuda_literal(node) for node in sources.walk()),
        process_group=any(_insists_on_group(node) for node in sources.walk()),
        own_dropout=_mentions_keyword(sources, "dropout_rate"),
        real_algoperf=asked.get("algoperf") == "real",
        empty_modules=unused_and_missing(sources),
        uses=frozenset(found.top_level for found in sources.imports if not found.level),
        dotted_names=sources.dotted_names,
        main=sources.layout.main,
        root=sources.layout.root,
    )


def is_cuda_literal(node: ast.AST) -> bool:
    """``"cuda"``, ``"cuda:0"`` or ``f"cuda:{rank}"``."""
    if isinstance(node, ast.JoinedStr) and node.values:
        first = node.values[0]
        return isinstance(first, ast.Constant) and first.value == "cuda:"
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(_CUDA.fullmatch(node.value))


def _asked(info: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    asked = info.get("timetrial") or {}
    if not isinstance(asked, Mapping):
        raise UsageError(f"{path}: timetrial: expected a mapping with {', '.join(_CHOICES)}, found {asked!r}")
    for key, value in asked.items():
        if key not in _CHOICES:
            raise UsageError(f"{path}: timetrial.{key}: unknown key; known: {', '.join(_CHOICES)}")
        if value not in _CHOICES[key]:
            raise UsageError(f"{path}: timetrial.{key}: expected {' or '.join(_CHOICES[key])}, found {value!r}")
    return asked


def _jax_era(sources: Sources) -> JaxEra:
    """``pmap`` where a pmapped function can be called; where there is neither pmap nor a sharding, but a copy per
    device is made or taken (``replicate``, ``unreplicate``), ``pmap`` too."""
    if any(_live_pmaps(sources)):
        return "pmap"
    if _names_shardings(sources):
        return "jit"
    return "pmap" if _uses_name(sources, {"replicate", "unreplicate"}) else "jit"


def _names_shardings(sources: Sources) -> bool:
    return any(name.startswith("jax.sharding") or name.endswith("jax_sharding_utils") for name in sources.dotted_names)


def _live_pmaps(sources: Sources) -> Iterator[ast.AST]:
    """Uses of pmap, but for decorators of functions that nothing mentions."""
    mentioned = {name for node in sources.walk() if (name := _name_read(node))}
    dead: set[ast.AST] = set()
    for node in sources.walk():
        if isinstance(node, ast.FunctionDef) and node.name not in mentioned and not _is_entry_point(node.name):
            dead.update(inner for decorator in node.decorator_list for inner in ast.walk(decorator))
    return (node for node in sources.walk() if _name_read(node) == "pmap" and node not in dead)


def _is_entry_point(name: str) -> bool:
    from harness.interface import OPTIONAL_SUBMISSION_FUNCTIONS, SUBMISSION_FUNCTIONS

    return name in SUBMISSION_FUNCTIONS or name in OPTIONAL_SUBMISSION_FUNCTIONS


def _uses_name(sources: Sources, names: set[str]) -> bool:
    return any(_name_read(node) in names for node in sources.walk())


def _name_read(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None


def _insists_on_group(node: ast.AST) -> bool:
    """``assert dist.is_initialized()``, or a raise where it is not."""
    if not isinstance(node, ast.If | ast.Assert):
        return False
    insists = isinstance(node, ast.Assert) or any(isinstance(inner, ast.Raise) for inner in node.body)
    return insists and any(_name_read(inner) == "is_initialized" for inner in ast.walk(node.test))


def _mentions_keyword(sources: Sources, name: str) -> bool:
    return any(isinstance(node, ast.keyword) and node.arg == name for node in sources.walk())
