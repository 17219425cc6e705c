r"""Make what hides in a text visible, so that a row cannot forge the report it is shown in.

HTML escaping stops markup. It does not stop terminal escapes (a copied report, `less report.html`),
bidirectional overrides that reorder what is read, or characters without a glyph. These are written
out as `\x1b` or `\u202e`; newline and tab stay as they are.
"""

import re

_HIDDEN = re.compile(
    "["
    "\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f"  # C0 and C1 controls without tab and newline
    "\\u00ad\\u061c\\u180e\\u200b\\u200e\\u200f\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb"  # no glyph
    "\\u2028\\u2029\\u202a-\\u202e"  # line and paragraph separators, bidirectional overrides
    "\\ud800-\\udfff"  # surrogates, which UTF-8 cannot hold
    "\\U000e0000-\\U000e007f"  # tags
    "]"
)


def visible(text: str) -> str:
    """`text` with every character that hides, reorders or controls written out as an escape."""
    return _HIDDEN.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def one_line(text: str, *, longest: int) -> str:
    """`text` on one line of at most `longest` characters, for a title or a caption."""
    joined = " ".join(visible(text).split())
    return joined if len(joined) <= longest else joined[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"
