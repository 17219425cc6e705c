import base64
import hashlib

import pytest

from loray.data.steps.quality import find_damage
from loray.spec.steps import QualityStep
from tests.data.steps.instruction_rows import GOOD

NOISE = b"".join(hashlib.sha512(bytes([n])).digest() for n in range(12))
LENIENT = QualityStep(kind="quality")
STRICT = QualityStep(kind="quality", keep_refusals=False)
SENTENCE = "The quick brown fox jumps over the lazy dog. "

BAD = [
    ("mojibake", "So?", "It\u2019s \ufffd\ufffd\ufffd\ufffd not \ufffd\ufffd readable"),
    ("mojibake", "caf\u00c3\u00a9 cr\u00c3\u00a8me br\u00c3\u00bbl\u00c3\u00a9e", "a dessert"),
    (
        "mojibake",
        "Quote",
        "\u00e2\u20ac\u0153So\u00e2\u20ac\u009d, she said; it\u00e2\u20ac\u2122s",
    ),
    ("too_few_letters", "Explain", "~!@ #$% ^&* ()_ +{} |:\" <>? -=[ ]\\; ',. " * 4),
    ("too_few_letters", "Draw", "\u2588\u2591\u2592 \u2593" * 40),
    ("encoded_blob", "Send it", "Here: " + base64.b64encode(NOISE).decode()),
    ("encoded_blob", "In lines", base64.encodebytes(NOISE).decode()),
    ("encoded_blob", "In hex", SENTENCE + NOISE.hex()),
    ("long_word", "Read", "itwasadarkandstormynight" * 30),
    ("long_word", "Pi", "3." + "1415926535" * 60),
    ("truncated", "Code", "Like so:\n```python\nprint(1)\n"),
    ("truncated", "Code", "```\na\n```\nand\n```sh\nmake"),
    ("answer_echoes_prompt", "What is the capital of France?", "what is the  capital of France?\n"),
    ("refusal", "Hack", "I'm sorry, but I can't help with that."),
    ("refusal", "Hack", "I cannot assist with this request."),
    ("refusal", "Feel", "As an AI language model, I don't have feelings."),
    ("refusal", "Hack", "Sorry, I am not able to do so."),
    ("refusal", "Hack", "I\u2019m really sorry, but I won\u2019t do that."),
]


def row(prompt: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]


@pytest.mark.parametrize(("prompt", "answer"), GOOD)
def test_sound_rows_pass_every_rule(prompt, answer):
    assert find_damage(row(prompt, answer), STRICT) is None


@pytest.mark.parametrize(("reason", "prompt", "answer"), BAD)
def test_damage_is_found_under_its_own_reason(reason, prompt, answer):
    assert find_damage(row(prompt, answer), STRICT) == reason


@pytest.mark.parametrize(
    ("reason", "lenient"),
    [
        ("mojibake", {"max_mojibake": 1.0}),
        ("too_few_letters", {"min_letters": 0.0}),
        ("encoded_blob", {"max_encoded_chars": 10_000}),
        ("long_word", {"max_word_chars": 10_000}),
        ("truncated", {"keep_open_fences": True}),
        ("answer_echoes_prompt", {"keep_echoes": True}),
        ("refusal", {"keep_refusals": True}),
    ],
)
def test_every_rule_is_one_setting_and_no_other_rule_finds_the_row(reason, lenient):
    rules = STRICT.model_copy(update=lenient)
    rows = [row(prompt, answer) for found, prompt, answer in BAD if found == reason]
    allowed = {None, "long_word"} if reason == "encoded_blob" else {None}
    assert {find_damage(turns, rules) for turns in rows} <= allowed
    assert rows


@pytest.mark.parametrize(
    "answer",
    [
        "Es tut mir leid, aber dabei kann ich Ihnen nicht helfen.",
        "Leider kann ich diese Frage nicht beantworten.",
        "Als KI-Sprachmodell, Ki hin oder her, kann ich keine Meinung haben.",
        "D\u00e9sol\u00e9, mais je ne peux pas vous aider.",
        "En tant qu'intelligence artificielle, je ne suis pas capable de sentir.",
        "Lo siento mucho, pero no puedo ayudarte con eso.",
        "Como modelo de lenguaje, no tengo la capacidad de opinar.",
        "Mi dispiace, ma non posso aiutarti.",
        "Desculpe, mas n\u00e3o posso ajudar com isso.",
        "Het spijt me, maar daar kan ik je niet mee helpen.",
    ],
)
def test_refusals_in_other_languages_are_found(answer):
    assert find_damage(row("?", answer), STRICT) == "refusal"
    assert find_damage(row("?", answer), LENIENT) is None


@pytest.mark.parametrize(
    "answer",
    [
        "Leider ist der Zug weg, ich kann aber zu Fuss gehen.",
        "Lo siento por la tardanza; puedo venir ma\u00f1ana.",
        "Je suis d\u00e9sol\u00e9 du retard. Voici la liste.",
        "Sorry dat ik te laat ben, ik kan morgen komen.",
        "Como modelo de lenguaje se usa GPT en el ejemplo.",
        "Mi dispiace per il ritardo, arrivo subito.",
    ],
)
def test_apologies_that_decline_nothing_are_kept(answer):
    assert find_damage(row("?", answer), STRICT) is None


def test_refusals_are_kept_unless_asked_for():
    assert find_damage(row("Hack", "I cannot assist with this request."), LENIENT) is None


def test_prompts_may_be_what_answers_may_not():
    blob = base64.b64encode(NOISE).decode()
    assert find_damage(row(f"Decode {blob}", "It is noise."), STRICT) is None
    assert find_damage(row("What does this do?\n```sh\nmake", "It builds."), STRICT) is None


def test_every_answer_of_a_conversation_is_judged():
    turns = [
        *row("Hello", "Hello"),
        *row("Again, what is two plus two?", "again, what is two PLUS two?"),
    ]
    assert find_damage(turns, STRICT) == "answer_echoes_prompt"
    assert find_damage([*row("Code", "```\nx"), *row("Go on", "y")], STRICT) == "truncated"
    assert find_damage([{"role": "text", "content": "#$%^ " * 40}], STRICT) == "too_few_letters"
    assert find_damage([], STRICT) is None
