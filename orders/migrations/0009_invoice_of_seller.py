import django.db.models.deletion
from django.db import migrations, models


def fill(apps, schema_editor):
    """Each NF-e is its order's seller's, in one statement."""
    schema_editor.execute(
        "UPDATE orders_invoice SET seller_id ="
        " (SELECT seller_id FROM orders_order WHERE orders_order.id = orders_invoice.order_id)"
    )


def _seller(**changes):
    return models.ForeignKey(
        db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="hub.seller", **changes
    )


class Migration(migrations.Migration):
    # PostgreSQL does not alter a table that has just been written to in the same transaction.
    atomic = False

    dependencies = [
        ("hub", "0005_setup_closed_at"),
        ("orders", "0008_filter_indexes"),
    ]

    operations = [
        migrations.AddField("invoice", "seller", _seller(null=True)),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.AlterField("invoice", "seller", _seller()),
        migrations.AlterField("invoice", "key", models.CharField(max_length=44, verbose_name="access key")),
        migrations.AddConstraint(
            "invoice", models.UniqueConstraint(fields=["key", "seller"], name="invoice_of_seller")
        ),
    ]
