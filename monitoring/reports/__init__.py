"""The reports an operator lives by. Each names what stands still, since when, why, and what mends it.

Importing this package fills `base.REPORTS`, in the order in which an order passes them.
"""

from importlib import import_module

for _name in ("rejected", "untransmitted", "awaiting", "in_transit", "differences", "stalled", "differences"):
    import_module(f"monitoring.reports.{_name}")
