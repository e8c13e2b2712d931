"""The benchmarks: one module each, every figure beside its yardstick, measured in the same run.

`python -m monitoring.bench NAME` runs one on the servers its environment names and prints JSON. `manage.py bench`
starts the servers, makes each benchmark a database of its own and prints the table.
"""

NAMES = (
    "ingest", "ledger", "pipeline", "push", "freshness", "fairness", "calls", "catchup", "incident",
    "reports", "pages", "memory",
)  # fmt: skip
