"""Finite numbers that no computation survives are refused, and the module is named."""

import json

import numpy as np
import pytest

from loray.errors import AdapterError
from loray.models.adapter_files import check_adapter_folder
from loray.models.adapter_sizes import check_sizes
from tests.adapters import MODULES, adapter_document, write_adapter, write_weights


def scaled(folder, module, part, factor):
    """A sound adapter, one tensor of it multiplied."""
    a, b = np.full((4, 16), 0.1, np.float32), np.full((16, 4), 0.1, np.float32)
    tensors = {}
    for name in MODULES:
        for kind, values in (("lora_A", a), ("lora_B", b)):
            is_it = (name, kind) == (module, part)
            tensors[f"base_model.model.{name}.{kind}.weight"] = values * (factor if is_it else 1.0)
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(adapter_document()))
    write_weights(folder, tensors)
    return folder, check_adapter_folder(folder)


@pytest.mark.parametrize("part", ["lora_A", "lora_B"])
@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("factor", [1e6, 1e31])
def test_a_huge_update_is_refused_by_the_name_of_its_module(tmp_path, module, part, factor):
    folder, config = scaled(tmp_path / "adapter", module, part, factor)
    with pytest.raises(AdapterError, match=rf"B A of {module} has a norm of .*; wanted at most"):
        check_sizes(folder, config)


def test_a_factor_that_another_undoes_and_one_that_was_trained_pass(tmp_path):
    check_sizes(*scaled(tmp_path / "large", MODULES[0], "lora_A", 100.0))
    folder = write_adapter(tmp_path / "plain", seed=1, base="base")
    check_sizes(folder, check_adapter_folder(folder))
