"""A training goes on from an adapter: what learns begins as what that folder holds."""

from pathlib import Path
from typing import Any

import pytest

from loray.errors import AdapterError
from loray.spec.train import BaseModelSpec, LoraMethod, PatternSpec

FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "DoRA": {"dora": True},
    "patterns": {"patterns": (PatternSpec(modules="up_proj", rank=2, alpha=4),), "rslora": True},
}


def attached(folder: Path, **method: Any) -> Any:
    from loray.models.adapter import attach_adapter
    from loray.models.load import load_base

    base = load_base(BaseModelSpec(path=str(folder), quantization="none", dtype="float32"))
    return attach_adapter(base, LoraMethod(**{"rank": 4, "alpha": 8} | method))


@pytest.fixture
def trained(tiny_model_dir: Path, tmp_path: Path) -> Any:
    """Write an adapter of a form, as a training would leave it; the model that has it."""
    import torch

    from loray.models.adapter import adapter_tensors, save_adapter, saved_form

    def train(form: dict[str, Any]) -> tuple[Any, Path]:
        model, folder = attached(tiny_model_dir, **form), tmp_path / "trained"
        torch.manual_seed(3)
        for weight in adapter_tensors(model).values():
            weight.add_(torch.randn_like(weight), alpha=0.1)
        save_adapter(*saved_form(model, adapter_tensors(model)), folder, base="x")
        return model, folder

    return train


@pytest.mark.parametrize("form", FORMS)
def test_it_computes_what_the_adapter_computed(
    trained: Any, tiny_model_dir: Path, form: str
) -> None:
    import torch

    model, folder = trained(FORMS[form])
    again = attached(tiny_model_dir, begin_from=str(folder), **FORMS[form])
    ids = torch.arange(1, 9)[None]
    with torch.no_grad():
        assert torch.equal(again(ids).logits, model(ids).logits)
        assert not torch.equal(again(ids).logits, attached(tiny_model_dir)(ids).logits)
    assert all(p.requires_grad for n, p in again.named_parameters() if "lora_" in n)


def test_an_adapter_of_another_form_is_refused_when_it_is_loaded(
    trained: Any, tiny_model_dir: Path
) -> None:
    _, folder = trained({})
    for form in ({"rank": 8}, {"targets": ("q_proj",)}, {"dora": True}):
        with pytest.raises(AdapterError, match=r"`loray plan` names the settings that differ"):
            attached(tiny_model_dir, begin_from=str(folder), **form)
