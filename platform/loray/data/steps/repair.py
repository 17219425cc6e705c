"""Unicode repair of one text: mojibake, normal form, and characters that no reader can see.

Invisible characters are how instructions are smuggled past a reader (tag characters spell ASCII,
bidirectional overrides reorder code) and why equal texts compare unequal.
"""

import re
import unicodedata

import ftfy

CONFIG = ftfy.TextFixerConfig(
    uncurl_quotes=False,  # code and prose mean their quotes
    unescape_html=False,  # so does `if x &lt; 3`
    fix_character_width=False,  # full-width punctuation is right in Chinese and Japanese
    normalization="NFC",
    explain=False,
)
CONTROLS = "\x00-\x08\x0b-\x1f\x7f"
"""C0 and DEL, without tab and newline; carriage returns become newlines first."""
INVISIBLE = re.compile(
    f"[{CONTROLS}\x80-\x84\x86-\x9f"  # C1, without NEL, which ends a line
    "\u00ad\u061c\u180e\u200b\u200e\u200f"  # soft hyphen, marks of direction, zero-width space
    "\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # overrides, isolates, joiners, annotations
    "\U000e0000-\U000e01ef]"  # tag characters and supplementary variation selectors
)
JOINER = re.compile("(?<![^\x00-\x7f])[\u200c\u200d]+|[\u200c\u200d]+(?![^\x00-\x7f])")
"""Zero-width (non-)joiners beside ASCII; between other letters they are spelling, or emoji."""
MAX_ROUNDS = 8
"""Mojibake of mojibake of ...; each round takes a layer, and the last changes nothing."""
ODD_ASCII = re.compile(f"[{CONTROLS}]")


def repair(text: str) -> str:
    """`text` repaired; a text of printable ASCII is given back as it is."""
    for _ in range(MAX_ROUNDS):  # what is taken away may have hidden that the rest is mojibake
        before, text = text, _repaired(text)
        if text == before:
            break
    return text


def _repaired(text: str) -> str:
    if text.isascii() and ODD_ASCII.search(text) is None:
        return text
    fixed = ftfy.fix_text(text, config=CONFIG)
    visible = JOINER.sub("", INVISIBLE.sub("", fixed))
    return unicodedata.normalize("NFC", visible)
