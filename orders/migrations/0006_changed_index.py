"""PostgreSQL alone: finds what changed in the last minutes, among any number of orders.

A BRIN is a few kilobytes for each hundred thousand orders and makes writing one no slower. It keeps the newest change
of each range of the table, and few ranges have one of the last minutes. Rows are wide and a range is read as a whole,
hence the small ranges. An embedded hub has so few orders that reading them all is as good.
"""

from django.db import migrations


def create(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            "CREATE INDEX IF NOT EXISTS order_changed ON orders_order USING brin (changed_at) "
            "WITH (pages_per_range = 16, autosummarize = on)"
        )


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX IF EXISTS order_changed")


class Migration(migrations.Migration):
    dependencies = [("orders", "0005_sku_in_the_erp")]
    operations = [migrations.RunPython(create, drop)]
