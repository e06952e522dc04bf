r"""Escaping of untrusted text for each output format; every writer uses it.

Run folders, plugins and users supply names that may contain anything. Each format shows such text literally, never as
markup, a formula, a command or a link.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from urllib.parse import quote

from rich.markup import escape as escape_rich

_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
_MARKDOWN = re.compile(r"[\\`*\[\]|~]|(?<=\])\(|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|^[#+-](?=\s|#|$)")
_FORMULA = tuple("=+-@\t\r＝＋－＠")
_LATEX = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",
    "]": "{]}",
    "±": r"$\pm$",
    "≈": r"$\approx$",
    "†": r"$\dagger$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "→": r"$\rightarrow$",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "−": r"$-$",
    "–": "--",
    "·": r"$\cdot$",
    "²": r"$^2$",
    "…": r"\ldots{}",
}


def visible(text: str) -> str:
    r"""Escape invisible characters that terminals or editors interpret; line breaks become spaces.

    These are control characters (which start ANSI sequences), characters that reorder or hide text, and bytes of file
    names that are not UTF-8.

    >>> visible("red\x1b[31m\nline"), visible("\u202eevil")
    ('red\\x1b[31m line', '\\u202eevil')
    """
    if text.isascii() and text.isprintable():
        return text
    plain = (" " if c in "\n\r\t\v\f\x85\u2028\u2029" else c for c in text.replace("\r\n", "\n"))
    return "".join(ascii(c)[1:-1] if unicodedata.category(c) in _INVISIBLE else c for c in plain)


def markdown(text: str) -> str:
    r"""Escape text for a paragraph or table cell of Markdown.

    >>> print(markdown("a|b [x](javascript:y) <b> mse_frame"))
    a\|b \[x\]\(javascript:y) &lt;b&gt; mse_frame
    """
    escaped = _MARKDOWN.sub(r"\\\g<0>", visible(text))
    return re.sub(r"&(?=#?\w+;)", "&amp;", escaped).replace("<", "&lt;").replace(">", "&gt;")


def latex(text: str) -> str:
    r"""Escape text for LaTeX; non-ASCII characters without a command become ``?``.

    >>> print(latex("mse_frame ↓ 5 %"))
    mse\_frame $\downarrow$ 5 \%
    """
    return "".join(_LATEX.get(c, c if c.isascii() else "?") for c in visible(text))


def csv_cell(value: object) -> object:
    """Prepend an apostrophe to text that a spreadsheet would read as a formula.

    >>> csv_cell("=1+1"), csv_cell("-2.5"), csv_cell(-3), csv_cell("- 2")
    ("'=1+1", '-2.5', -3, "'- 2")
    """
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) and not _is_number(text) else text


def terminal(text: str) -> str:
    r"""Escape text for rich markup.

    >>> print(terminal("[red]x[/red]"))
    \[red]x\[/red]
    """
    return escape_rich(visible(text))


def picture(text: str) -> str:
    """Escape text for matplotlib, where a dollar sign starts a formula."""
    return visible(text).replace("$", r"\$")


def link(path: Path, seen_from: Path) -> str:
    """Return a path relative to the folder ``seen_from``, percent-encoded, so that it cannot be a scheme or markup.

    >>> link(Path("/a/runs/javascript:x"), Path("/a/out"))
    '../runs/javascript%3Ax'
    """
    relative = Path(os.path.relpath(path.resolve(), seen_from.resolve())).as_posix()
    return quote(os.fsencode(relative), safe="/").replace("~", "%7E")


def run_link(folder: Path, seen_from: Path) -> str | None:
    """Return the link to a run folder that lies below the folder ``seen_from``; None for any other.

    A document travels with what lies below its folder; a link out of it would be dead wherever the document goes.

    >>> run_link(Path("/a/out/runs/x"), Path("/a/out")), run_link(Path("/a/runs/x"), Path("/a/out"))
    ('runs/x', None)
    """
    return link(folder, seen_from) if folder.resolve().is_relative_to(seen_from.resolve()) else None


def file_name(text: str, most: int = 80) -> str:
    """Make text safe for a file name: all but letters, digits, ``.``, ``-`` and ``_`` becomes ``-``.

    >>> file_name("../a b"), file_name("moving_digits")
    ('..-a-b', 'moving_digits')
    """
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in text)[:most]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
