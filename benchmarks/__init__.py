"""How fast pctx is: medians, each beside its baseline measured in the same run. ``make bench`` prints the table.

Machines differ and are shared, so a ratio to the baseline says more than a figure. No test depends on any of this.
"""
