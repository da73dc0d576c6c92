import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelManager]:
    """Yield a kernel for one notebook after the other: starting and importing take longer than most of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PLATFORM_DIRS", "1")
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        manager = KernelManager()
        manager.start_kernel()
        yield manager
        manager.shutdown_kernel(now=True)


# Libraries of the notebook's kernel warn of one another.
@pytest.mark.filterwarnings("default")
@pytest.mark.xdist_group("notebooks")
@pytest.mark.parametrize("length", ["short", pytest.param("full", marks=pytest.mark.slow)])
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, length: str, kernel: KernelManager, tmp_path: Path) -> None:
    (tmp_path / "results").symlink_to(path.parent / "results")
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells if length == "short" else ():
        source = re.sub(r"(max_epochs )\d\d", r"\g<1>2", cell.source)  # many runs, of the command line
        cell.source = re.sub(r"(max_epochs\W+)\d\d", r"\g<1>5", source)  # one, of which the fifth epoch is looked at
    begin = f"%reset -f\nimport os\nos.chdir({str(tmp_path)!r})\ndel os"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(begin))
    client = NotebookClient(notebook, km=kernel, timeout=None)
    client.execute()
    assert client.kc is not None
    client.kc.stop_channels()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output.output_type == "error"]
    assert any("image/png" in output.get("data", {}) for output in outputs)


def test_nothing_that_a_notebook_leaves_is_kept() -> None:
    folder = NOTEBOOKS[0].parent
    picture = folder / "clean_and_noisy_loss.png"  # README's
    assert sorted(folder.iterdir()) == sorted([*NOTEBOOKS, picture, folder / "results"])
    assert {path.suffix for path in (folder / "results").iterdir()} == {".csv", ".md"}


def test_committed_notebooks_are_small_and_have_been_run() -> None:
    for path in NOTEBOOKS:
        assert path.stat().st_size < 500_000
        cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        assert all(cell.execution_count for cell in cells), f"{path.name} is committed without its outputs"
