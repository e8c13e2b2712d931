from collections import Counter
from decimal import Decimal

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Max, Sum
from django.db.models.functions import TruncMonth

OPEN = ("waiting", "running")
ROWS = 2000


def add_up(apps, schema_editor):
    """The months of the days that are counted already."""
    _products(apps.get_model("monitoring", "ProductOfDay"), apps.get_model("monitoring", "ProductOfMonth"))
    _paces(apps.get_model("monitoring", "PaceOfDay"), apps.get_model("monitoring", "PaceOfMonth"))


def _products(days, months):
    keys = ("channel_id", "month", "product", "currency")
    rows = days.objects.annotate(month=TruncMonth("day")).order_by().values(*keys)
    sums = rows.annotate(a_title=Max("title"), all_pieces=Sum("pieces"), all_revenue=Sum("revenue"))
    months.objects.bulk_create(
        (
            months(
                **{name: row[name] for name in keys},
                title=row["a_title"],
                pieces=round(row["all_pieces"], 4),
                revenue=round(row["all_revenue"], 4),
            )
            for row in sums.iterator()
        ),
        batch_size=ROWS,
    )


def _paces(days, months):
    found = {}
    for one in days.objects.iterator():
        key = (one.channel_id, one.day.replace(day=1))
        hours, stages = found.setdefault(key, ([[0] * 24 for _day in range(7)], {}))
        week = hours[one.day.weekday()]
        week[:] = [count + more for count, more in zip(week, one.hours, strict=True)]
        for code, spread in one.stages.items():
            sums = stages.setdefault(code, {"count": 0, "seconds": 0, "buckets": Counter()})
            sums["count"] += spread["count"]
            sums["seconds"] += spread["seconds"]
            sums["buckets"].update(spread["buckets"])
    months.objects.bulk_create(
        [
            months(channel_id=pk, month=month, hours=hours, stages=stages)
            for (pk, month), (hours, stages) in found.items()
        ],
        batch_size=ROWS,
    )


def begin_files_again(apps, schema_editor):
    """Files under way have no order yet."""
    tasks = apps.get_model("monitoring", "BulkTask").objects.filter(kind="export", state__in=OPEN)
    tasks.update(total=None, seen=0, changed=0, cursor=0)


class Migration(migrations.Migration):
    dependencies = [
        ("monitoring", "0009_alert_preferences"),
        ("orders", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="bulkpart",
            name="orders",
            field=models.JSONField(default=list),
        ),
        migrations.AlterField(
            model_name="bulkpart",
            name="sealed",
            field=models.TextField(blank=True, editable=False),
        ),
        migrations.CreateModel(
            name="PaceOfMonth",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("month", models.DateField()),
                ("hours", models.JSONField(default=list)),
                ("stages", models.JSONField(default=dict)),
                (
                    "channel",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="orders.saleschannel",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("channel", "month"), name="one_pace_a_month")],
            },
        ),
        migrations.CreateModel(
            name="ProductOfMonth",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("month", models.DateField()),
                ("product", models.CharField(max_length=255)),
                ("currency", models.CharField(max_length=3)),
                ("title", models.CharField(blank=True, max_length=255)),
                (
                    "pieces",
                    models.DecimalField(decimal_places=4, default=Decimal("0"), max_digits=12, verbose_name="pieces"),
                ),
                (
                    "revenue",
                    models.DecimalField(decimal_places=4, default=Decimal("0"), max_digits=14, verbose_name="revenue"),
                ),
                (
                    "channel",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="orders.saleschannel",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("channel", "month", "product", "currency"), name="one_row_of_a_product_a_month"
                    )
                ],
            },
        ),
        migrations.RunPython(add_up, migrations.RunPython.noop),
        migrations.RunPython(begin_files_again, migrations.RunPython.noop),
    ]
