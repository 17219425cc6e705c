import subprocess
import sys
import warnings
from typing import Any

import pytest

from loray.data.steps.language import (
    NO_LANGUAGE,
    _identifier,
    find_language,
    probability_of,
    sample_of,
    words_of_prose,
)
from loray.spec.languages import LANGUAGES
from loray.spec.steps import LanguageStep
from tests.data.steps.instruction_rows import GOOD
from tests.data.steps.manuals import ENGLISH as ENGLISH_MANUALS
from tests.data.steps.manuals import MANUALS
from tests.data.steps.sentences import SENTENCES


def rules(**settings: Any) -> LanguageStep:
    return LanguageStep(kind="language", **settings)


ENGLISH = rules()
PLAIN = [
    "How do I bake a good cake without eggs?",
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many in May.",
    "Genetic changes cause hereditary hemorrhagic telangiectasia in three families of four.",
    "name[The Mill], eatType[coffee shop], food[Chinese], priceRange[cheap], area[riverside]",
    "WHY IS MY CARD NOT WORKING? I TRIED IT TWICE TODAY AND NOTHING HAPPENED AT ALL",
    "Display detailed information about containers\ndocker inspect {{container}}",
    "Convert a video\nffmpeg -i {{input.avi}} -codec:a aac -b:a 128k {{output.mp4}}",
    "Initialize the database\nsudo mariadb-install-db --user {{user}} --datadir {{/var/lib/mysql}}",
    "```sql\nSELECT nombre, apellido FROM personas WHERE ciudad = 'Sevilla' ORDER BY nombre;\n```",
    "int argc, char **argv; extern int argc, char **argv; unsigned char *asc, int asclen",
    "from os import path\n\n\ndef main(argv):\n    return [path.abspath(a) for a in argv]",
    "$\\int_0^1 x^2 dx = \\frac{1}{3}$ et $\\alpha + \\beta = \\gamma$",
    "K\u00f6ln, M\u00fcnchen, D\u00fcsseldorf",
    "Ja, gern.",
]


def row(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[at % 2], "content": t} for at, t in enumerate(texts)]


@pytest.mark.parametrize("text", PLAIN)
def test_english_code_and_what_is_too_short_to_tell_are_kept(text):
    assert find_language(row(text), ENGLISH) is None


@pytest.mark.parametrize(("prompt", "answer"), [(p, a) for p, a in GOOD if "train" not in p])
def test_sound_rows_are_kept(prompt, answer):
    if "Hindi" not in prompt:
        assert find_language(row(prompt, answer), ENGLISH) is None


@pytest.mark.parametrize("code", SENTENCES)
def test_a_sentence_in_another_language_is_rejected(code):
    joined = " ".join(SENTENCES[code])
    assert find_language(row(joined), ENGLISH) == "language"
    assert find_language(row(joined), rules(keep=("en", code))) is None
    assert probability_of(["en"], joined) < 0.001


def test_nearly_every_single_sentence_is_known():
    texts = [text for texts in SENTENCES.values() for text in texts]
    missed = [text for text in texts if find_language(row(text), ENGLISH) is None]
    assert len(texts) >= 45
    assert len(missed) <= 1


@pytest.mark.parametrize(
    ("code", "line"), [(code, line) for code, lines in MANUALS.items() for line in lines]
)
def test_a_manual_full_of_code_elisions_and_marks_is_judged(code, line):
    assert find_language(row(line), ENGLISH) == "language"
    assert find_language(row(line), rules(keep=(code,))) is None


@pytest.mark.parametrize("line", ENGLISH_MANUALS)
def test_an_english_manual_full_of_code_is_kept(line):
    assert find_language(row(line), ENGLISH) is None
    assert find_language(row(line, line), ENGLISH) is None


def test_the_manuals_are_in_many_languages():
    assert len(MANUALS) >= 12


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("d'un n\u2019est Android-Werkzeug", ["d'un", "n'est", "Android-Werkzeug"]),
        (": - > | # -- \u2013 \u00ab oui \u00bb", ["oui"]),
        ("use --force, -v and -rf=x at apt-get", ["use", "and", "at"]),
        ("a `b c` d ``e f`` g", ["a", "d", "g"]),
    ],
)
def test_words_may_be_joined_and_lone_marks_are_none(text, words):
    assert words_of_prose(text) == words


def test_a_row_is_judged_by_all_its_turns():
    german = " ".join(SENTENCES["de"])
    assert find_language(row("Say it in German.", german), ENGLISH) == "language"
    english = "It says that we went to the town by train, and how they would bake a cake."
    assert find_language(row(f"What does this mean? {german}", english), ENGLISH) is None
    assert find_language(row(german, german, german, german), rules(keep=("de",))) is None
    assert find_language(row(PLAIN[0] + PLAIN[1]), rules(keep=("de",))) == "language"


def test_settings_say_how_sure_and_how_long():
    text = SENTENCES["fr"][0]
    assert find_language(row(text), rules(min_letters=500)) is None
    assert find_language(row(text), rules(min_probability=0.0)) == "language"  # no doubt


def test_the_languages_are_those_of_the_model():
    assert set(_identifier().labels) == {*LANGUAGES, NO_LANGUAGE}


def test_only_prose_is_judged():
    text = "See `les mots`, https://a.b/c, {{nom}}, <br>, $x$, snake_case, camelCase, x1: "
    assert words_of_prose(text + '"yes", t\u00eate!') == ["See", "yes", "t\u00eate"]
    assert words_of_prose("ALL LOUD") == ["all", "loud"]
    assert words_of_prose("x == \u00f7= r'\u2190 \u4f60\u597d\uff0c\u4e16\u754c") == [
        "x",
        "\u4f60\u597d\uff0c\u4e16\u754c",
    ]


def test_every_turn_has_a_share_of_the_sample():
    sample = sample_of(["a" * 5000, "b" * 5000, "```\ncode\n```\nc"])
    assert {char: sample.count(char) for char in "abc"} == {"a": 333, "b": 333, "c": 1}
    assert sample_of(["short", "texts"]) == "short\ntexts"
    assert sample_of(["x" * 400] * 90).split() == ["x" * 20] * 90
    assert sample_of([]) == ""


def test_the_model_is_loaded_when_it_is_needed_and_says_nothing():
    script = (
        "import warnings; warnings.simplefilter('error')\n"
        "from loray.data.steps import language as at\n"
        "from loray.spec.steps import LanguageStep\n"
        "at.find_language([{'role': 'user', 'content': 'what is the use of that, and how'}],"
        " LanguageStep(kind='language'))\n"
        "print(at._identifier.cache_info().currsize)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("0\n", "")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        probability_of(["en"], "")
        probability_of(["en"], "x" * 1000)
