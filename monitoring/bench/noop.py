"""The yardstick of the ledger: a Celery task that does nothing. Only the benchmarks' workers load it."""

from celery import shared_task


@shared_task(name="bench.noop")
def noop(number: int) -> None:
    return None
