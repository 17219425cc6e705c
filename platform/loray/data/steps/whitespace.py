r"""Whitespace of one text: one kind of line end, no trailing blanks, few blank lines, plain spaces.

What blanks mean is kept: indentation, tabs (a trailing tab is an empty cell of a table), and every
blank inside a fenced block, where a diff marks an unchanged empty line by one space. Outside of
fences a Markdown line break made of two trailing spaces is lost. The ideographic space (U+3000)
is the plain one of Chinese and Japanese and stays.
"""

import re

ODD_SPACES = "\u00a0\u1680\u2000-\u200a\u202f\u205f"
"""Non-breaking, ogham, typographic and mathematical spaces. Source: Unicode, category Zs."""
LINE_ENDS = re.compile("\r\n|[\r\u0085\u2028\u2029]")
OPENING = re.compile(rf"^[ \t>{ODD_SPACES}]*(`{{3,}}(?=[^`\n]*$)|~{{3,}})", re.MULTILINE)
"""A line that opens a fenced block. Source: CommonMark 0.31, section 4.5; any indentation will do,
as blocks in lists are indented."""
_ODD_SPACE = re.compile(f"[{ODD_SPACES}]")


def tidy(text: str, max_blank_lines: int = 2) -> str:
    """`text` with its whitespace tidied; doing it twice changes nothing more.

    Args:
        max_blank_lines: how many empty lines may follow one another.
    """
    too_many = "\n" * (max_blank_lines + 2)
    if _is_tidy(text, too_many):
        return text
    if "\r" in text or not text.isascii():
        text = LINE_ENDS.sub("\n", text)
    if "```" not in text and "~~~" not in text:
        return _tidy_prose(text, too_many)
    parts = fenced_parts(text)
    return "".join(part if is_code else _tidy_prose(part, too_many) for part, is_code in parts)


def fenced_parts(text: str) -> list[tuple[str, bool]]:
    """Pieces of `text`, each with whether it is a fenced block; an open one ends with the text."""
    parts: list[tuple[str, bool]] = []
    at = 0
    while (opening := OPENING.search(text, at)) is not None:
        end = fence_end(text, opening)
        end = len(text) if end is None else end
        parts += [(text[at : opening.start()], False), (text[opening.start() : end], True)]
        at = end
    return [*parts, (text[at:], False)]


def fence_end(text: str, opening: re.Match[str]) -> int | None:
    """Where the fenced block that starts at `opening` ends; None when nothing closes it."""
    mark = opening[1]
    closing = re.compile(rf"^[ \t>]*{mark[0]}{{{len(mark)},}}[ \t]*$", re.MULTILINE)
    found = closing.search(text, opening.end())
    return None if found is None else found.end()


def _is_tidy(text: str, too_many: str) -> bool:
    """Whether nothing is to do; says no too often, and never yes too often."""
    return (
        text.isascii()
        and "\r" not in text
        and " \n" not in text
        and "\t\n" not in text
        and too_many not in text
        and not text.endswith((" ", "\t"))
    )


def _tidy_prose(text: str, too_many: str) -> str:
    if not text.isascii():
        text = _ODD_SPACE.sub(" ", text)
    if " \n" in text or "\t\n" in text or text.endswith((" ", "\t")):
        text = "\n".join(map(_tidy_line, text.split("\n")))
    return re.sub(f"{too_many}+", too_many[1:], text) if too_many in text else text


def _tidy_line(line: str) -> str:
    return line.rstrip(" ") if line.strip(" \t") else ""
