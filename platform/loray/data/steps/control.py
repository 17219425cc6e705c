r"""Control tokens typed in a corpus, written so that no tokenizer takes them for the real thing.

`<|end|>` becomes `<\|end|>`: a backslash after the first character, and one more where backslashes
stand there already, so that `restore` gives back every text.
"""

import re
from collections.abc import Iterable


def escape_pattern(control_texts: Iterable[str]) -> re.Pattern[str]:
    """A pattern of the control tokens, escaped or not; tokens of one character are left alone."""
    texts = sorted({text for text in control_texts if len(text) > 1}, key=lambda t: (-len(t), t))
    forms = (rf"{re.escape(text[0])}\\*{re.escape(text[1:])}" for text in texts)
    return re.compile("|".join(forms) or r"(?!)")


def escape(text: str, pattern: re.Pattern[str]) -> str:
    """`text` with every control token in it neutralised."""
    return pattern.sub(lambda found: f"{found[0][0]}\\{found[0][1:]}", text)


def restore(text: str, pattern: re.Pattern[str]) -> str:
    """What `escape` was given."""
    return pattern.sub(lambda found: found[0][0] + found[0][1:].removeprefix("\\"), text)
