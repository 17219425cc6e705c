import codecs
import re

import pytest

from loray.data.steps.toxicity import (
    OUR_LIST,
    WordList,
    digest_of,
    find_toxicity,
    read_words,
    score_of,
)
from loray.errors import SpecError
from tests.data.steps.hate_rows import harmless, hateful, share_found

NONE = frozenset[bytes]()
MADE_UP = WordList(
    frozenset({digest_of("blorf"), digest_of("blatt")}), frozenset({digest_of("snerg")})
)
HARMLESS = """
    Sexual intercourse, penis, vagina, anus, rectum, breast, nipple, testicle, semen, erection.
    Mental retardation; the growth was retarded. Rape is a crime; child abuse, incest, prostitution.
    A homosexual man, a lesbian woman, a queer reading, Homo sapiens, HIV, gonorrhea, feces, urine.
    Scunthorpe, Penistone, Essex, cockpit, peacock, cocktail, assess, classic, bass, Dickens, Dick,
    Pakistan, niggardly, snigger, Niger, Nigeria, shiitake, pussycat, a blue tit, a donkey, an ass.
    The A55 road, 6000K light, 455 grams, 5417, 0x5417, f*k, s*t, a*b, x**2, A$AP, B@B, P!NK, $HOME.
    kill the process, abort, master and slave, blacklist, execute, die, dummy, hell, damn, crap.
"""


def row(*texts: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text} for text in texts]


def plain(rotated: str) -> str:
    """A word that the repository does not spell, by its rotation."""
    return codecs.decode(rotated, "rot13")


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("a blorf", 1),
        ("Blorf! BLORF, (blorf) \u201cblorf\u201d blorf-blorf so_blorf_it **blorf**", 8),
        ("bl0rf b1orf blor4 bl@tt 8latt b!att", 3),
        ("blooorf blorffff BLOOOORF blattttt", 4),
        ("\uff42\uff4c\uff4f\uff52\uff46", 1),  # full-width letters
        ("blorfing blor f b.l.o.r.f unblorf", 0),
        ("snerg blorf", 4),
        ("sn3rg", 3),
        ("", 0),
    ],
)
def test_listed_words_are_found_as_people_write_them(text, score):
    assert score_of(row(text), MADE_UP) == score


def test_a_row_is_put_aside_by_the_score_of_all_its_turns():
    assert find_toxicity(row("a blorf", "blorf"), MADE_UP) is None
    assert find_toxicity(row("a blorf", "blorf blorf"), MADE_UP) == "toxicity"
    assert find_toxicity(row("a snerg", "fine"), MADE_UP) == "toxicity"
    assert find_toxicity(row("a blorf"), MADE_UP, min_score=1) == "toxicity"
    assert find_toxicity([], MADE_UP) is None


@pytest.mark.parametrize("line", HARMLESS.strip().splitlines())
def test_medicine_law_animals_names_and_code_are_left_alone(line):
    assert [word for word in line.split() if score_of(row(word))] == []


@pytest.mark.parametrize(
    ("rotated", "score"),
    [
        ("shpx", 1),
        ("fuvg", 1),
        ("5u1g", 1),
        ("fuvvvvg", 1),
        ("onfgneq", 0),
        ("avttre", 3),
        ("snttbgf", 3),
    ],
)
def test_our_list_has_what_it_should(rotated, score):
    word = plain(rotated)
    assert score_of(row(f"You {word.upper()}!")) == score


@pytest.mark.parametrize(
    ("rotated", "score"),
    [
        ("Fpurv\u00dfr", 1),
        ("nefpuybpu", 1),
        ("chgnva", 1),
        ("zvreqn", 1),
        ("fgebamb", 1),
        ("pnenyub", 1),
        ("xhejn", 1),
        ("fpujhpugry", 3),
        ("znevp\u00f3a", 3),
    ],
)
def test_our_list_has_words_of_other_languages(rotated, score):
    assert score_of(row(f"{plain(rotated)}!")) == score


def test_what_people_are_attacked_for_counts_as_a_slur():
    assert score_of(row("All foreigners are vermin. We should kill foreigners!")) == 6
    assert score_of(row("Foreigners are welcome. Vermin is not.")) == 0
    assert find_toxicity(row("All foreigners are vermin.")) == "toxicity"


def test_a_slur_that_is_spoken_about_counts_as_profanity():
    said = WordList(frozenset({digest_of("blorf")}), frozenset({digest_of("snerg")}))
    assert score_of(row("Get out, snerg"), said) == 3
    assert score_of(row("They called me a snerg. You blorf!"), said) == 2
    assert score_of(row('The word "snerg" hurts'), said) == 1
    own = said.with_words(frozenset({digest_of("frob")}))
    assert score_of(row("They called me a frob"), own) == 3


def test_hateful_sentences_are_found_far_more_often_than_harmless_ones():
    """Shares of a table of our own: 9 and 12 in 100 when only words were looked up."""
    assert len(hateful()) >= 100
    assert len(harmless()) >= 100
    assert len({*hateful(), *harmless()}) == len(hateful()) + len(harmless())
    assert share_found(hateful()) >= 0.6
    assert share_found(harmless()) <= 0.01


def test_our_list_is_digests_alone():
    assert len(OUR_LIST.profanity) > 100
    assert len(OUR_LIST.slurs) > 50
    assert not OUR_LIST.profanity & OUR_LIST.slurs
    assert {len(digest) for digest in OUR_LIST.profanity | OUR_LIST.slurs} == {6}


def test_a_users_words_weigh_as_much_as_slurs(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("# ours\nFrobnicate  # a comment\n\nCaf\u00e9ling\n", encoding="utf-8")
    words = OUR_LIST.with_words(read_words(path))
    assert find_toxicity(row("do not frobnicate"), words) == "toxicity"
    assert find_toxicity(row("caf\u00c9ling"), words) == "toxicity"
    assert find_toxicity(row("do not frobnicate")) is None
    assert score_of(row(plain("shpx")), words) == 1


def test_a_bad_list_is_refused_with_its_line(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("one\ntwo words\n", encoding="utf-8")
    with pytest.raises(SpecError, match=re.escape(f"{path}:2: found 2 words; wanted one")):
        read_words(path)
    with pytest.raises(SpecError, match="cannot be read"):
        read_words(tmp_path / "none.txt")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SpecError, match="cannot be read"):
        read_words(path)


def test_words_remembered_do_not_mix_lists():
    assert score_of(row("blorf"), MADE_UP) == 1
    assert score_of(row("blorf"), WordList(NONE, NONE)) == 0
    assert score_of(row("blorf"), MADE_UP) == 1
