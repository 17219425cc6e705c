"""That a converted model is read rightly: it is loaded as loray loads it, and asked."""

from pathlib import Path
from typing import Any

from loray.errors import ModelError
from loray.spec.train import BaseModelSpec

MAX_NEW_TOKENS = 24


def prove(folder: Path, *, question: str | None = None, answer: str | None = None) -> str | None:
    """What the model in `folder` says to `question`, greedily; without one, None.

    Raises:
        ModelError: it cannot be loaded, gives a number that is not finite, or says something else
            than `answer`.
    """
    import torch  # noqa: PLC0415 (as heavy as it is, only here)

    from loray.models.chat import load_tokenizer  # noqa: PLC0415
    from loray.models.load import load_base  # noqa: PLC0415

    spec = BaseModelSpec(path=str(folder), quantization="none", dtype="float32")
    model: Any = load_base(spec)
    tokenizer = load_tokenizer(str(folder))
    with torch.no_grad():
        logits = model(torch.arange(min(8, model.config.vocab_size))[None]).logits
        if not bool(logits.isfinite().all()):
            raise ModelError(
                f"the model in {folder} gives numbers that are not finite; wanted a sound one; "
                "fetch its source again"
            )
        if question is None:
            return None
        turns = [{"role": "user", "content": question}]
        asked: Any = tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        made = model.generate(**asked, max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
    start = asked["input_ids"].shape[1]
    said = str(tokenizer.decode(made[0][start:], skip_special_tokens=True)).strip()
    if answer is not None and said != answer:
        raise ModelError(
            f"asked {question!r}, the converted model answers {said[:100]!a}; wanted {answer!r}; "
            "it was not kept: pull it again, and report it if that stays so"
        )
    return said
