"""Makes docs/tour.ipynb of docs/tour.py: a cell for each `# %%`, executed, with what it shows.

    python docs/notebook.py                  writes tour.ipynb beside tour.py
    python docs/notebook.py other.ipynb      writes there

Edit the script, never the notebook. Needs the extra `dev`. Cells are numbered, times left out, and
everything runs on one thread, so two notebooks differ where their results do.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import jupytext
import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def executed(script: Path) -> nbformat.NotebookNode:
    """The script as a notebook, run from top to bottom; CellExecutionError where a cell fails."""
    notebook = jupytext.read(script, fmt="py:percent")
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata.clear()
    # With no folders to look for kernels in, there is the one of this Python alone.
    kernels = KernelSpecManager(kernel_dirs=[])
    manager = AsyncKernelManager(kernel_spec_manager=kernels)
    client = NotebookClient(notebook, km=manager, timeout=120, record_timing=False)
    client.execute(env=os.environ | ONE_THREAD)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return notebook


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "tour.ipynb"
    nbformat.write(executed(HERE / "tour.py"), out)
