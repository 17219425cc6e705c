"""The notebook runs from its first cell to its last, on the corpus and spec it ships with."""

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

REPOSITORY = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
SECONDS_A_CELL = 300
SHORTER = """
SPEC = "configs/runs/docstring.yaml"
OVERRIDES = [
    "resources.workers=1",
    "train.strategy={kind: plain}",
    "train.steps=4",
    "train.checkpoint_every=4",
    "train.schedule.warmup_steps=1",
    "evaluate.max_rows=8",
    "evaluate.max_new_tokens=8",
    "storage.root=workspace/notebook",
    "storage.registry=sqlite:///workspace/notebook/registry.db",
]
"""


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the notebook needs of a checkout, so that the real one is left as it is."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("configs", "models", "notebooks"):
        shutil.copytree(REPOSITORY / name, folder / name)
    shutil.copy(REPOSITORY / "cluster.yaml", folder)
    return folder


@pytest.fixture(scope="module")
def executed(checkout: Path, ray_cluster: None) -> nbformat.NotebookNode:
    import ray

    notebook = read(checkout / "notebooks" / "quickstart.ipynb")
    (settings,) = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", ()))
    settings.source = SHORTER
    client = NotebookClient(
        notebook,
        timeout=SECONDS_A_CELL,
        kernel_name="python3",
        resources={"metadata": {"path": str(checkout / "notebooks")}},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)
        return client.execute()


def shown(notebook: nbformat.NotebookNode, form: str) -> str:
    """Everything that the cells display as `form`."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    return "\n".join(output.data.get(form, "") for output in outputs if "data" in output)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_committed_notebook_holds_no_outputs(path: Path):
    cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
    assert [cell.outputs for cell in cells] == [[]] * len(cells)
    assert [cell.execution_count for cell in cells] == [None] * len(cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_cell_of_code_is_introduced_in_words(path: Path):
    kinds = [cell.cell_type for cell in read(path).cells]
    assert kinds[0] == "markdown"
    assert kinds.count("markdown") * 2 >= kinds.count("code")


@pytest.mark.ray
def test_the_plan_and_what_it_takes_are_shown(executed):
    tables = shown(executed, "text/markdown")
    assert tables.count("| never made |") == 3
    assert "| parameters that learn |" in tables


@pytest.mark.ray
def test_the_adapter_is_scored_against_the_base_and_registered(executed):
    tables = shown(executed, "text/markdown")
    assert "| test | perplexity |" in tables
    assert "| docstring@1 |" in tables
    assert "<iframe srcdoc=" in shown(executed, "text/html")


@pytest.mark.ray
def test_plain_peft_answers_with_what_was_trained(executed):
    tables = shown(executed, "text/markdown")
    found = re.search(r"^\| base \| (.*) \|\n\| adapter \| (.*) \|$", tables, re.MULTILINE)
    assert found is not None, tables
    base, adapter = found.groups()
    assert base != adapter


@pytest.mark.ray
def test_nothing_is_written_outside_the_workspace(executed, checkout: Path):
    names = {path.name for path in checkout.iterdir()}
    assert names == {"configs", "models", "notebooks", "cluster.yaml", "workspace"}
    assert {p.name for p in (checkout / "notebooks").iterdir()} == {p.name for p in NOTEBOOKS}
