import pytest

from loray.data.steps.differences import differ, say

WORKING = "we take the first box and then add the second one to it so that all of them are there "
OTHER = [
    ("Close the brackets: ( [ {", "Close the brackets: { { ("),
    ("f(x[0], y)", "f(x(0), y)"),
    ("([", "[("),
    (f"{WORKING} The total is 25.", f"{WORKING} The total is 28."),
    (f"{WORKING}\nAnswer: cat", f"{WORKING}\nAnswer: dog"),
    (f"{WORKING} the answer is cats.", f"{WORKING} the answer is dogs."),
    ("if (a <= b) return c", "if (a < b) return c"),
    ("if a == b: c", "if a != b: c"),
    ("i++; j--", "i--; j++"),
    ("!x && y", "x && y"),
    ("(a+b)*c", "a+b*c"),
    ("a.b of c", "a,b of c"),
    ("-5 degrees", "5 degrees"),
    ("3.5 m long.", "35 m long."),
    ("x\u00b2 + 1", "x\u00b3 + 1"),
    ("from 5 to 9", "from 9 to 5"),
    ("take a and b", "take a or b"),
    ("sono sette case", "sono otto case"),
    ("Classify: My parcel never came", "Classify: Where is the box I ordered"),
    ("Is it true that it burned oil?", "Is it true that flour came by boat?"),
    ("it is ok \U0001f44d", "it is ok \U0001f44e"),
    ("\u6211\u67093\u4e2a\u82f9\u679c", "\u6211\u67095\u4e2a\u82f9\u679c"),
]
SAME = [
    ("f(x[0], y)", "f(x[0],y)"),
    ("Is it so?", "Is it so!"),
    ("Hello, world. It is", "hello world  it is"),
    (f"{WORKING} with a dog here", f"{WORKING} with a cat here"),
    ("It is 3.5 m long.", "it is 35 m long"),
    ("1,000 cats.", "1000 cats"),
    ("What is (are) x ?", "what is are x"),
    ("* one\n* two", "- one\n- two"),
    ("caf\u00e9 \u2014 bar", "caf\u00e9 - bar"),
    ("it's \u201cso\u201d", 'it\u2019s "so"'),
    ("**bold** word", "bold word"),
    ("well-known man.", "well known man."),
    ("I paid $5 (once)", "I paid 5 once"),
    ("one line\nand more of it", "one line and more of it"),
    ("the box is red and it stands there", "the box is blue and it stands there"),
    ("it is true that he went to the old town", "it is true that he ran to the new town"),
    ("\uff21\uff22\uff23 (\uff11)", "abc (1)"),
    ("", ""),
]


def both_ways(one: str, other: str) -> set[bool]:
    return {differ([say(one)], [say(other)]), differ([say(other)], [say(one)])}


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_what_turns_the_meaning_is_a_difference(one, other):
    assert both_ways(one, other) == {True}


@pytest.mark.parametrize(("one", "other"), SAME)
def test_case_layout_prose_marks_and_single_words_are_none(one, other):
    assert both_ways(one, other) == {False}


def test_a_row_has_lost_its_punctuation_when_all_of_its_texts_have():
    question = say("Negate the term x.")
    assert differ([question, say("!x")], [question, say("x")])
    assert not differ([question, say("!x")], [say("negate the term x"), say("x")])


def test_a_text_is_taken_apart():
    said = say("It's 1,000.5 m.\n- Then (a-b) <= !c, x1!\n\nThe end: -3")
    assert " ".join(said.words) == "it s 1000.5 m then a b c x1 the end -3"
    assert said.numbers == ["1000.5", "-3"]
    assert sorted(said.brackets) == ["!", "(", ")"]
    assert said.operators == ["-", "<="]
    assert [" ".join(words) for words in said.segments if words] == [
        "it s 1000.5 m", "then a b c x1", "the end", "-3",
    ]  # fmt: skip
    assert said.words[said.last_line :] == ["the", "end", "-3"]
