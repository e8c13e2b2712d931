"""PostgreSQL alone: a trigram index under the search column, so that any part of a number or name is found fast.

A managed database may not let us create the extension. Search then reads more rows, and everything else is the same:
create `pg_trgm` as its administrator and run `migrate orders 0001` and `migrate orders` again.
"""

import logging

from django.db import ProgrammingError, migrations, transaction

logger = logging.getLogger(__name__)


def create(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    try:
        with transaction.atomic(using=schema_editor.connection.alias):
            schema_editor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            schema_editor.execute(
                "CREATE INDEX IF NOT EXISTS order_search ON orders_order USING gin (search gin_trgm_ops)"
            )
    except ProgrammingError as error:
        logger.warning("No trigram index for the search (%s). See orders/migrations/0002_search_index.py.", error)


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX IF EXISTS order_search")


class Migration(migrations.Migration):
    dependencies = [("orders", "0001_initial")]
    operations = [migrations.RunPython(create, drop)]
