"""Every adapter folder is imported and served exactly as PEFT computes it, or refused by name."""

from pathlib import Path
from typing import Any

import pytest

from loray.errors import AdapterError
from loray.models.adapter_import import ImportTerms
from loray.models.identity import base_digest
from loray.registry import Lineage, Registry
from loray.registry.imports import Imported, base_on_disk, import_adapter
from tests.registry.foreign_adapters import BASES, TAKEN, Foreign, base_of, make
from tests.registry.refused_adapters import REFUSED

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bases")
    for kind in BASES:
        base_of(kind).save_pretrained(folder / kind)
    return folder


@pytest.fixture
def take(bases: Path, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(bases)

    def imported(case: Foreign) -> tuple[Path, Imported]:
        folder = make(case, tmp_path / "adapter")
        digest = base_digest(case.base)
        terms = ImportTerms(
            base_model=case.base, base=base_on_disk(case.base, digest), **case.terms
        )
        lineage = Lineage(base_model=case.base, base_digest=digest)
        return folder, import_adapter(registry.add, "x", folder, lineage=lineage, terms=terms)

    return imported


def test_there_are_forty_folders_and_more() -> None:
    assert len(TAKEN) >= 30
    assert len(REFUSED) >= 30


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_served_is_refused_by_name(name: str, take: Any, registry: Registry) -> None:
    with pytest.raises(AdapterError) as caught:
        take(REFUSED[name])
    for word in REFUSED[name].refused:
        assert word in str(caught.value)
    assert str(caught.value).isascii()
    assert registry.adapters() == ()


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_imported_says_what_plain_peft_says(
    name: str, take: Any, registry: Registry
) -> None:
    import torch
    from peft import PeftModel

    from loray.inference import Engine, GenerateRequest, SamplingParams
    from tests.inference.worlds import ByteTokenizer, plain_generate, prompt

    case = TAKEN[name]
    folder, done = take(case)
    said = " ".join([*done.report.left_out, *done.report.notes])
    for word in case.told:
        assert word in said
    stored = registry.fetch(done.version)
    assert {path.name for path in stored.iterdir()} <= {
        "adapter_config.json", "adapter_model.safetensors", "README.md",
    }  # fmt: skip
    plain = PeftModel.from_pretrained(base_of(case.base), folder, "own").eval()
    kept = PeftModel.from_pretrained(base_of(case.base), stored, "own").eval()
    ids = prompt(9, 40)
    tokens = torch.tensor([ids])
    with torch.inference_mode():
        wanted = plain(tokens).logits
        assert torch.allclose(kept(tokens).logits, wanted, atol=1e-5)  # plain PEFT reads it, too
        assert not torch.allclose(base_of(case.base)(tokens).logits, wanted, atol=1e-2)
        nll = float(plain(input_ids=tokens, labels=tokens).loss) * (len(ids) - 1)
    asked = [prompt(31, 5), prompt(32, 17)]
    answers = [plain_generate(plain, one, "own", 12) for one in asked]
    sizes = {"slots": 2, "max_rank": 64, "max_batch": 4, "max_context": 128}
    with Engine(base_of(case.base), ByteTokenizer(), **sizes) as engine:
        engine.load_adapter("own", stored)
        (score,) = engine.score([(ids, [True] * len(ids))], "own")
        assert score.nll_sum == pytest.approx(nll, rel=1e-5)
        params = SamplingParams(max_new_tokens=12)
        requests = [GenerateRequest(f"{i}", ids, "own", params) for i, ids in enumerate(asked)]
        bare = GenerateRequest("bare", asked[0], None, params)
        found = engine.generate([*requests, bare])
    assert [answer.token_ids for answer in found[:2]] == answers
    assert found[2].token_ids == bare_generate(base_of(case.base), asked[0], 12)


def bare_generate(model: Any, ids: tuple[int, ...], count: int) -> tuple[int, ...]:
    """Greedy tokens of a base without any adapter."""
    import torch

    with torch.inference_mode():
        output = model.generate(
            input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            max_new_tokens=count, do_sample=False, pad_token_id=258,
        )  # fmt: skip
    return tuple(output[0, len(ids) :].tolist())
