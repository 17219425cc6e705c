"""What is wrong with a base model's tokenizer, from its JSON files and its number of rows alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loray.artifacts.strict_json import parse_json
from loray.models.adapter_tensors import LFS_POINTER, LFS_REMEDY

TOKENIZER, CONFIG = "tokenizer.json", "tokenizer_config.json"
_SLOW = ("tokenizer.model", "vocab.json", "spiece.model", "vocab.txt")
_SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token")


@dataclass
class TokenFindings:
    """What the files of a tokenizer tell."""

    faults: list[str]
    notes: list[str]


def token_findings(folder: Path, vocabulary: int) -> TokenFindings:
    """Faults and notes about the tokenizer in `folder`.

    Args:
        vocabulary: rows of the base's embedding.
    """
    found = TokenFindings([], [])
    missing = [name for name in (TOKENIZER, CONFIG) if not (folder / name).is_file()]
    if missing:
        slow = [name for name in _SLOW if (folder / name).is_file()]
        found.faults.append(
            f"the folder has no {' and no '.join(missing)}"
            + (f", only {slow[0]} of a slow tokenizer" if slow and TOKENIZER in missing else "")
            + "; wanted a fast tokenizer as transformers saves it; fetch the tokenizer's files, or "
            "save it with AutoTokenizer"
        )
        return found
    read = {}
    for name in (TOKENIZER, CONFIG):
        try:
            data = (folder / name).read_bytes()
            if data.startswith(LFS_POINTER):
                found.faults.append(f"{name}: {LFS_REMEDY}")
                continue
            document = parse_json(data)
        except (OSError, ValueError, RecursionError) as error:
            found.faults.append(f"{name} cannot be read ({str(error)[:200]}); fetch it again")
            continue
        if not isinstance(document, dict):
            found.faults.append(f"{name} is not a JSON object; fetch it again")
            continue
        read[name] = document
    if len(read) == 2:
        _examine(read[TOKENIZER], read[CONFIG], vocabulary, found)
    return found


def _examine(
    tokenizer: Mapping[str, Any], config: Mapping[str, Any], rows: int, found: TokenFindings
) -> None:
    try:
        plain, added = _plain_ids(tokenizer), _added(tokenizer)
    except (KeyError, TypeError, ValueError, AttributeError):
        found.faults.append(f"{TOKENIZER} has no model with a vocabulary of tokens; fetch it again")
        return
    named = dict(_named(config))
    known = plain | {text: at for text, (at, _) in added.items()}
    for key, text in named.items():
        if text not in known:
            found.faults.append(
                f"{CONFIG} has the {key} {text[:60]!a}, which {TOKENIZER} does not have: it would "
                f"be added as id {len(known)}; wanted a token of its vocabulary; correct {CONFIG}"
            )
    found.faults += list(_beyond(plain, added, named, rows))
    unused = [t for t, (at, special) in added.items() if at >= rows and special]
    if unused and not any(text in named.values() for text in unused):
        found.notes.append(
            f"the tokenizer's {unused[0][:60]!a} has no row in the embedding; no row may hold it"
        )
    if "eos_token" not in named:
        found.notes.append(
            f"{CONFIG} names no eos_token; texts and answers need an end that the template writes"
        )


def _beyond(
    plain: Mapping[str, int],
    added: Mapping[str, tuple[int, bool]],
    named: Mapping[str, str],
    rows: int,
) -> Iterator[str]:
    """Tokens that a row can hold and the embedding has no row for."""
    over = {text: at for text, at in plain.items() if at >= rows}
    over |= {
        text: at
        for text, (at, special) in added.items()
        if at >= rows and (not special or text in named.values())
    }
    if over:
        text, at = max(over.items(), key=lambda item: item[1])
        as_what = next((f" (its {key})" for key, value in named.items() if value == text), "")
        yield (
            f"the tokenizer has {text[:60]!a}{as_what} with id {at}, but the embedding has {rows} "
            f"rows (vocab_size): {len(over)} tokens have none; wanted the tokenizer that the model "
            "was saved with; fetch it again, or resize the model's embedding and save both"
        )


def _plain_ids(tokenizer: Mapping[str, Any]) -> dict[str, int]:
    vocabulary = tokenizer["model"]["vocab"]
    if isinstance(vocabulary, list):  # Unigram: pairs of a piece and its score
        return {str(pair[0]): at for at, pair in enumerate(vocabulary)}
    return {str(text): int(at) for text, at in vocabulary.items()}


def _added(tokenizer: Mapping[str, Any]) -> dict[str, tuple[int, bool]]:
    """Id, and whether it is special, of each added token."""
    return {
        str(token["content"]): (int(token["id"]), bool(token.get("special")))
        for token in tokenizer.get("added_tokens") or ()
    }


def _named(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in _SPECIAL:
        value = config.get(key)
        text = value.get("content") if isinstance(value, Mapping) else value
        if isinstance(text, str):
            yield key, text
