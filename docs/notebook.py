"""Generates docs/tour.ipynb from docs/tour.py: one executed cell per `# %%`, with its output.

    python docs/notebook.py                  writes tour.ipynb next to tour.py
    python docs/notebook.py other.ipynb      writes to that path

Edit the script, never the notebook. Requires the extra `dev`. Cells are numbered, execution times
are omitted, and everything runs on one thread, so two notebooks differ only if their results do.
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
    """The script as a notebook, executed. CellExecutionError if a cell fails."""
    notebook = jupytext.read(script, fmt="py:percent")
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata.clear()
    # Without kernel directories, only the kernel of this Python is available.
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
