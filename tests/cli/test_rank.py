import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.adapters import MODULES, adapter_document, write_weights
from tests.bases import write_base


@pytest.fixture
def ranked(loray, workplace: Path):
    """bot@1 of rank 16: one module with 2 directions, one with 5 equal ones."""
    tensors = {}
    for module, values in zip(MODULES, ((3.0, 1.0), (2.0,) * 5), strict=True):
        a, b = np.zeros((16, 40)), np.zeros((30, 16))
        for at, value in enumerate(values):
            a[at, at] = 1.0
            b[at + 1, at] = 2.0 * value  # alpha / r is 8 / 16
        tensors[f"base_model.model.{module}.lora_A.weight"] = a
        tensors[f"base_model.model.{module}.lora_B.weight"] = b
    folder = workplace / "adapter"
    folder.mkdir()
    document = adapter_document() | {"r": 16, "base_model_name_or_path": "odd"}
    (folder / "adapter_config.json").write_text(json.dumps(document))
    write_weights(folder, tensors)
    heads = {"num_attention_heads": 3, "num_key_value_heads": 3, "head_dim": 10}
    write_base(workplace / "odd", hidden_size=40, num_hidden_layers=1, **heads)
    assert loray("registry", "import", "bot", "adapter", "--base-model", "odd").code == 0
    return loray


def test_the_table_tells_what_each_module_needs_and_what_every_rank_keeps(ranked):
    said = ranked("registry", "rank", "bot@1", "--all")
    assert said.code == 0
    query, value = (line.split() for line in said.out.splitlines() if "self_attn" in line[:30])
    assert query[1:5] == ["16", "3.162", "1.8", "2"]
    assert query[5:] == ["90.00%", "100.00%", "100.00%", "100.00%"]
    assert value[1:5] == ["16", "4.472", "5.0", "5"]
    assert value[5:] == ["20.00%", "40.00%", "80.00%", "100.00%"]
    assert "1           43.33%" in said.out  # (9 + 4) / 30
    assert "rank 8 is enough to train with" in said.out
    assert "loray registry rank bot@1 --truncate 5" in said.out


def test_the_share_to_keep_decides_which_rank_is_enough(ranked):
    document = ranked("registry", "rank", "bot@1", "--keep", "0.75", "--json").document
    assert document["rank_keeping"] == 4
    assert [module["rank_keeping"] for module in document["modules"]] == [1, 4]
    assert document["modules"][0]["singular_values"][:2] == pytest.approx([3.0, 1.0])
    assert document["energy_kept"][:5] == pytest.approx([13 / 30, 18 / 30, 22 / 30, 26 / 30, 1.0])
    assert "75% of the energy of every module lies in 4 of 16" in document["advice"][0]


def test_a_version_is_cut_and_its_lineage_says_so(ranked):
    said = ranked("registry", "rank", "bot@1", "--truncate", "2")
    assert said.code == 0
    assert said.out.startswith("bot@2 is bot@1 cut from rank 16 to 2 (2 of 2 modules)\n")
    assert "energy kept     60.00%" in said.out
    assert "relative error  0.6325, measured on what was written" in said.out  # sqrt(12 / 30)
    assert "it is registered: it was not scored and passed no gate" in said.out
    shown = ranked("registry", "lineage", "bot@2").out
    assert "parents         bot@1" in shown
    assert "how made        cut from rank 16 to 2, by singular values: keeps 60.0000%" in shown
    first, second = ranked("registry", "lineage", "bot@2", "--json").document
    assert first["how_made"].startswith("cut from rank 16")
    assert second["how_made"] is None


def test_auto_gives_each_module_its_own_rank(ranked):
    document = ranked("registry", "rank", "bot@1", "--truncate", "auto", "--json").document
    assert (document["version"], document["parent"]) == ("bot@2", "bot@1")
    assert [module["rank"] for module in document["modules"]] == [2, 5]
    assert document["energy_kept"] == pytest.approx(1.0)
    assert document["relative_error"] < 1e-6
    ranks = [m["rank"] for m in ranked("registry", "rank", "bot@2", "--json").document["modules"]]
    assert ranks == [2, 5]


@pytest.mark.parametrize("rank", ["0", "-1", "1025", "2.5", "all"])
def test_what_is_no_rank_is_refused_before_anything_is_read(ranked, rank: str):
    said = ranked("registry", "rank", "bot@1", "--truncate", rank)
    assert said.code == 2
    assert "wanted a rank from 1 to 1024, or auto" in said.err


@pytest.mark.parametrize("keep", ["0", "1", "1.5"])
def test_a_share_that_keeps_nothing_or_everything_is_refused(ranked, keep: str):
    assert ranked("registry", "rank", "bot@1", "--keep", keep).code == 2


def test_a_rank_that_is_no_lower_one_is_refused_and_no_version_is_made(ranked):
    said = ranked("registry", "rank", "bot@1", "--truncate", "16")
    assert said.code == 1
    assert (
        "AdapterError: the adapter has rank 16 and was to be cut to 16; wanted 1 to 15" in said.err
    )
    assert len(ranked("registry", "show", "bot", "--json").document) == 1


def test_a_dora_is_told_apart_and_not_cut(loray, workplace: Path):
    from tests.adapters import change, write_adapter

    magnitudes = {
        f"base_model.model.{name}.lora_magnitude_vector": np.ones(8, np.float32) for name in MODULES
    }
    folder = write_adapter(workplace / "dora", tensors=magnitudes, base="narrow")
    change(folder, use_dora=True)
    loray("registry", "import", "bot", "dora", "--base-model", "narrow")
    assert "It is a DoRA" in loray("registry", "rank", "bot@1").out
    said = loray("registry", "rank", "bot@1", "--truncate", "2")
    assert (said.code, "is a DoRA" in said.err) == (1, True)


def test_no_champion_no_rank(loray):
    said = loray("registry", "rank", "bot")
    assert said.code == 1
    assert "AdapterNotFoundError" in said.err


@pytest.fixture
def deep(loray, workplace: Path):
    """bot@1: q_proj of 12 layers, v_proj of layers 0, 1 and 5; layer n has the norm n + 1."""
    tensors = {}
    for name, layers in (("q_proj", range(12)), ("v_proj", (0, 1, 5))):
        for layer in layers:
            a, b = np.zeros((4, 24)), np.zeros((24, 4))
            a[0, 0], b[0, 0] = 1.0, (layer + 1) / 2  # alpha / r is 8 / 4
            module = f"model.layers.{layer}.self_attn.{name}"
            tensors[f"base_model.model.{module}.lora_A.weight"] = a
            tensors[f"base_model.model.{module}.lora_B.weight"] = b
    folder = workplace / "adapter"
    folder.mkdir()
    some = [f"layers.{layer}.self_attn.v_proj" for layer in (0, 1, 5)]
    document = adapter_document() | {"r": 4, "base_model_name_or_path": "deep"}
    document["target_modules"] = ["q_proj", *some]
    (folder / "adapter_config.json").write_text(json.dumps(document))
    write_weights(folder, tensors)
    heads = {"num_attention_heads": 3, "num_key_value_heads": 3, "head_dim": 8}
    write_base(workplace / "deep", hidden_size=24, num_hidden_layers=12, **heads)
    said = loray("registry", "import", "bot", "adapter", "--base-model", "deep")
    assert said.code == 0, said.err
    return loray


def test_layers_of_one_projection_share_a_row_and_all_lists_each(deep):
    short = deep("registry", "rank", "bot@1").out
    full = deep("registry", "rank", "bot@1", "--all").out
    query, value = (re.split("  +", x) for x in short.splitlines() if x.startswith("model.layers"))
    assert query[:5] == ["model.layers.*.self_attn.q_proj", "0-11", "4", "1 to 12", "1.0"]
    assert value[:4] == ["model.layers.*.self_attn.v_proj", "0-1, 5", "4", "1 to 6"]
    assert len([x for x in full.splitlines() if x.startswith("model.layers")]) == 15
    assert "--all lists each" in short
    assert "--all lists each" not in full
