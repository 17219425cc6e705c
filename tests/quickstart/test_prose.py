"""Plain prose out of sources."""

import ast

from loray.quickstart.corpus_modules import Module
from loray.quickstart.prose import MAX_CHARS, MIN_CHARS, TOPICS, pieces, prose

SENTENCE = "This is a sentence of the kind that documentation is made of. "


def test_paragraphs_are_joined_but_never_cut():
    paragraphs = [SENTENCE * n for n in (1, 2, 3, 9, 4, 30, 1)]
    found = list(pieces("\n\n".join(paragraphs)))
    assert found
    assert all(MIN_CHARS <= len(piece) <= MAX_CHARS for piece in found)
    assert all(part in paragraphs for piece in found for part in piece.split("\n\n"))
    assert paragraphs[5] not in "".join(found)


def test_routines_give_what_follows_their_summary_and_modules_give_all():
    source = (
        f"# by someone@example.org\n# {SENTENCE * 3}\n"
        f'"""{SENTENCE * 3}"""\n'
        f'def f():\n    """Summary, left out.\n\n    {SENTENCE * 4}\n    """\n'
    )
    module = Module(name="m", source=source, tree=ast.parse(source))
    texts = [text for group, text in prose(module) if group == "m"]
    assert texts[0].startswith("by someone@example.org")
    assert len(texts) == 3
    assert not any("Summary" in text for text in texts)


def test_every_topic_of_the_language_reference_is_a_group_of_its_own():
    source = f"topics = {{'for': {SENTENCE * 4!r}, 'while': {SENTENCE * 5!r}}}\n"
    module = Module(name=TOPICS, source=source, tree=ast.parse(source))
    assert [group for group, _ in prose(module)] == [f"{TOPICS}.for", f"{TOPICS}.while"]
