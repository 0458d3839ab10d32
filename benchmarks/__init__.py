"""How fast pctx is: medians, each beside its baseline measured in the same run. ``make bench`` prints the table.

Machines differ and are shared, so a ratio to the baseline says more than a figure. No test depends on any of this.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

# Folders of their own for what measured engines, servers and kernels remember: none of it is the user's.
_home = tempfile.mkdtemp(prefix="pctx-bench-")
os.environ |= {
    "JUPYTER_DATA_DIR": f"{_home}/data",
    "JUPYTER_CONFIG_DIR": f"{_home}/config",
    "IPYTHONDIR": f"{_home}/ipython",
}
atexit.register(shutil.rmtree, _home, ignore_errors=True)
