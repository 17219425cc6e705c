"""The `data.steps` of a spec: what is done to every row, one class a kind."""

from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import AfterValidator, Field

from loray.spec.base import Count, Fraction, ImportPath, Location, StrictModel
from loray.spec.faults import did_you_mean
from loray.spec.languages import LANGUAGES
from loray.spec.sources import Source

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class UnicodeStep(StrictModel):
    """Repair mojibake, normalise to NFC, remove zero-width, bidi, tag and control characters."""

    kind: Literal["unicode"]


class ControlTokensStep(StrictModel):
    """Neutralise the tokenizer's control tokens where a row holds them as plain text."""

    kind: Literal["control_tokens"]


PiiKind = Literal["email", "ip", "phone", "card", "iban", "ssn", "mac", "crypto", "url_credentials"]
CredentialKind = Literal[
    "aws", "github", "gitlab", "slack", "stripe", "google", "openai", "anthropic", "huggingface",
    "npm", "pypi", "twilio", "sendgrid", "azure", "vendor", "jwt", "private_key", "password_hash",
    "connection_string", "http_auth", "login_file", "command", "assignment",
]  # fmt: skip


class PiiStep(StrictModel):
    """Replace personal data by typed placeholders such as `<EMAIL_1f3a>`.

    Names and street addresses would need a model; they are not looked for.
    """

    kind: Literal["pii"]
    entities: tuple[PiiKind, ...] = get_args(PiiKind)
    """What is looked for; each has a check behind its pattern, such as a card's Luhn checksum."""


class CredentialsStep(StrictModel):
    """Replace keys, tokens and passwords by placeholders such as `<SECRET_GITHUB_ab12>`.

    It belongs before `pii`, so that the password of a URL is told as what it is.
    """

    kind: Literal["credentials"]
    formats: tuple[CredentialKind, ...] = get_args(CredentialKind)
    """What is looked for: issuers' formats, private keys, hashes of passwords, logins in URLs,
    headers, files and command lines, passwords assigned in code."""


class LengthStep(StrictModel):
    """Reject rows whose texts together have fewer or more characters than allowed."""

    kind: Literal["length"]
    min_chars: Count = 1
    """Fewest characters in all turns of a row together."""
    max_chars: Count = 1_000_000
    """Most characters in all turns of a row together."""


class ExactDuplicatesStep(StrictModel):
    """Reject every row whose turns equal those of a row with a smaller id."""

    kind: Literal["exact_duplicates"]


class NearDuplicatesStep(StrictModel):
    """Reject every row that is nearly the same as a row that is kept.

    Rows that share an instruction, a document or long working and differ in what they ask or in the
    result are kept. Steps that change texts belong before it.
    """

    kind: Literal["near_duplicates"]
    threshold: Annotated[float, Field(ge=0.5, le=1.0)] = 0.8
    """Least Jaccard similarity of the word 3-grams of a row and the row that is kept for it."""
    by_answers: bool = True
    """Compare the answers by themselves too, so that rows with other answers are kept."""


class DecontaminationStep(StrictModel):
    """Reject every row that shares a run of words with an evaluation item."""

    kind: Literal["decontamination"]
    against: Annotated[tuple[Source, ...], Field(min_length=1)]
    """Where the evaluation items are; they are read, never learned."""
    num_words: Literal[8, 13] = 13
    """Length of the run. One changed word hides an item of fewer than twice as many words."""


class WhitespaceStep(StrictModel):
    """Tidy line ends, trailing blanks, empty lines and odd spaces; fenced blocks stay."""

    kind: Literal["whitespace"]
    max_blank_lines: Annotated[int, Field(ge=0, le=100)] = 2
    """How many empty lines may follow one another."""


class QualityStep(StrictModel):
    """Reject rows that are damaged: mojibake, marks without letters, encoded data, echoes."""

    kind: Literal["quality"]
    max_mojibake: Fraction = 0.005
    """Share of a row's characters that are mojibake; two such characters are always allowed."""
    min_letters: Fraction = 0.1
    """Least share of letters and digits in an answer of 80 visible characters or more."""
    max_encoded_chars: Count = 512
    """Most characters of an answer in base64 or hexadecimal words."""
    max_word_chars: Count = 500
    """Most letters and digits in a row, with no mark or blank among them."""
    keep_open_fences: bool = False
    """Keep answers with a fenced block that never ends."""
    keep_echoes: bool = False
    """Keep answers that equal their prompt."""
    keep_refusals: bool = True
    """Keep answers that open with a boilerplate refusal."""


class RepetitionStep(StrictModel):
    """Reject rows with an answer that repeats itself, as a model in a loop does."""

    kind: Literal["repetition"]
    max_run_chars: Annotated[int, Field(ge=16, le=1_000_000)] = 100
    """Most characters that a piece of up to 8, with a letter in it, may fill by repeating."""
    max_loops: Count = 5
    """Most times that an answer may say its end, piece after piece."""
    max_repeated_lines: Share = 0.8
    """Most of an answer's characters in lines that stood before, from 10 lines up."""
    max_repeated_ngrams: Share = 0.7
    """Most of an answer's characters in six words that stood before, from 100 words up."""


def _is_told_apart(code: str) -> str:
    if code not in LANGUAGES:
        near = did_you_mean(code, sorted(LANGUAGES))
        hint = f"did you mean {near}?" if near else f"use one of {' '.join(sorted(LANGUAGES))}"
        raise ValueError(f"found {code!r}; wanted a code of ISO 639 such as en; {hint}")
    return code


LanguageCode = Annotated[str, Field(examples=["en"]), AfterValidator(_is_told_apart)]


class LanguageStep(StrictModel):
    """Reject rows whose turns together are in another language; short rows are kept."""

    kind: Literal["language"]
    keep: Annotated[tuple[LanguageCode, ...], Field(min_length=1)] = ("en",)
    """ISO 639 codes of the languages that stay."""
    min_probability: Fraction = 0.05
    """Least probability of these languages together; low, as rejections are to be sure."""
    min_letters: Count = 40
    """Letters in words of prose below which a row stays; each word counts once, and twice if it is
    in lower case with an accent or an apostrophe."""


class ToxicityStep(StrictModel):
    """Put rows with slurs, much profanity or attacks on groups aside, by words and rules.

    It misses most hatred: a low score says nothing.
    """

    kind: Literal["toxicity"]
    min_score: Count = 3
    """Score from which a row is put aside: a profane word counts 1, a slur or an attack 3."""
    words: Location | None = None
    """A file of more words on local disk, one a line, each counting 3."""


class OwnStep(StrictModel):
    """Put every row through a function of one's own."""

    kind: Literal["own"]
    function: Annotated[ImportPath, Field(examples=["package.module:function"])]
    """`package.module:function`, importable on every worker; see `loray.data.steps.own`."""


JudgingStep: TypeAlias = QualityStep | RepetitionStep | LanguageStep | ToxicityStep
"""Steps that look at one row and reject it or not."""
RowStep: TypeAlias = WhitespaceStep | JudgingStep | OwnStep
"""Steps that look at one row at a time and need nothing but their spec."""
Step = Annotated[
    UnicodeStep
    | WhitespaceStep
    | ControlTokensStep
    | CredentialsStep
    | PiiStep
    | LengthStep
    | QualityStep
    | RepetitionStep
    | LanguageStep
    | ToxicityStep
    | OwnStep
    | ExactDuplicatesStep
    | NearDuplicatesStep
    | DecontaminationStep,
    Field(discriminator="kind"),
]
