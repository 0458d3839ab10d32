"""A batch: runs report.ipynb once for each region, and collects what it found. ``python examples/batch.py``.

The notebooks that ran, with their timelines, are in the folder that the first argument names. Nothing else has to run:
each kernel has an engine of its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import papermill

REGIONS = ["north", "south", "east"]
REPORT = Path(__file__).parent / "report.ipynb"


def run(region: str, folder: Path) -> dict[str, object]:
    """Run the notebook for one region; returns its report."""
    notebook = papermill.execute_notebook(
        REPORT, folder / f"{region}.ipynb", parameters={"region": region}, progress_bar=False
    )
    (cell,) = (cell for cell in notebook.cells if "result" in cell.metadata.tags)
    report: dict[str, object] = json.loads("".join(output.text for output in cell.outputs if output.name == "stdout"))
    return report


def main() -> None:
    """Run them all, and print a line for each."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "reports")
    folder.mkdir(parents=True, exist_ok=True)
    for region in REGIONS:
        print(json.dumps(run(region, folder)))


if __name__ == "__main__":
    main()
