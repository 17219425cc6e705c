"""`method.begin_from`: an adapter to go on from, looked at before anything starts."""

from pathlib import Path

import pytest

from loray.spec.load import load_run_spec
from tests.adapters import write_adapter
from tests.bases import write_base
from tests.cli.conftest import NARROW

OWN = "method={kind: lora, rank: 4, alpha: 8, targets: [q_proj, v_proj], begin_from: start}"
BASE = ("base_model.path=narrow", "base_model.quantization=none")


def changed(*changes: str) -> list[str]:
    return [part for change in (*BASE, *changes) for part in ("--set", change)]


@pytest.fixture
def start(workplace: Path) -> Path:
    write_base(workplace / "wide", **NARROW | {"hidden_size": 16})
    return write_adapter(workplace / "start", base="narrow")


def test_an_adapter_of_the_specs_form_is_taken(loray, start: Path):
    assert loray("validate", "spec.yaml", *changed(OWN)).code == 0
    assert loray("plan", "spec.yaml", *changed(OWN)).code == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("method.rank=8", "rank 4, scaled by 2, dora false; the spec has rank 8, scaled by 1"),
        ("method.alpha=16", "the spec has rank 4, scaled by 4, dora false; set method {rank: 4"),
        ("method.rslora=true", "scaled by 2, dora false; the spec has rank 4, scaled by 4"),
        ("method.dora=true", "the spec has rank 4, scaled by 2, dora true; set method {rank: 4"),
        ("method.targets=[q_proj]", "method.targets differ: the adapter in start has one on model"),
        ("method.targets=attention", "has none on model.layers.0.self_attn.k_proj; set method"),
        ("method.init=eva", "found eva, but method.begin_from names an adapter"),
        ("method.biases=all", "found all, but method.begin_from names an adapter"),
        ("method.begin_from=nowhere", "found no adapter_config.json in nowhere"),
        ("base_model.path=base", "has none on model.layers.1.self_attn.q_proj; set method {rank"),
        ("base_model.path=wide", "over this base model wanted (4, 16) and (16, 4)"),
    ],
)
def test_another_form_is_refused_with_the_settings_of_the_adapter(loray, start, change, said):
    refused = loray("validate", "spec.yaml", *changed(OWN, change))
    assert (refused.code, said in refused.err) == (2, True), refused.err


def test_the_adapters_bytes_decide_what_is_fresh_and_its_place_does_not(workplace, start):
    from loray.pipeline.recipe import recipes

    def mark(*changes: str) -> str:
        return recipes(load_run_spec("spec.yaml", [*BASE, *changes]))[1].stage.fingerprint

    begun = mark(OWN)
    (workplace / "start").rename(workplace / "moved")
    assert mark(OWN, "method.begin_from=moved") == begun
    write_adapter(workplace / "other", seed=1)
    assert mark(OWN, "method.begin_from=other") != begun
    assert mark(OWN, "method.begin_from=null") != begun


def test_the_version_that_was_gone_on_from_is_the_parent(workplace, start):
    from loray.pipeline.publish import parents_of
    from loray.registry import Registry
    from loray.registry.records import Lineage

    registry = Registry("sqlite:///workspace/registry.db", "workspace")
    run = load_run_spec("spec.yaml", [*BASE, OWN])
    assert parents_of(registry, run) == ()
    lineage = Lineage(base_model="narrow", base_digest="0" * 64)
    registry.register("older", start, idempotency_key="one", lineage=lineage, scores={})
    assert parents_of(registry, run) == ("older@1",)
    assert parents_of(registry, load_run_spec("spec.yaml", BASE)) == ()
