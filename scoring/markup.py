"""Pieces of the HTML pages; every text that goes in is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def document(title: str, parts: Iterable[str]) -> str:
    """A self-contained page: a title, and parts that are HTML."""
    css = (Path(__file__).parent / "report.css").read_text()
    head = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{text(title)}</title><style>{css}</style></head><body><main>",
        f"<h1>{text(title)}</h1>",
    ]
    return "\n".join([*head, *parts, "</main></body></html>"]) + "\n"


def text(value: Any) -> str:
    return html.escape(str(value))


def figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{text(caption)}</figcaption></figure>"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], identity: str, numeric: Sequence[str] = ()) -> str:
    """A table; cells are HTML that brings its own ``<td>``."""
    head = "".join(f"<th{' class=number' if name in numeric else ''}>{text(name)}</th>" for name in header)
    body = "\n".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table id="{identity}"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def cell(value: Any, kind: str = "") -> str:
    return f'<td class="{kind}">{text(value)}</td>' if kind else f"<td>{text(value)}</td>"
