from django.db import migrations, models

ANSWERS = [
    ("", "Not sent"),
    ("accepted", "Accepted by the channel"),
    ("not_needed", "The channel does this itself"),
    ("refused", "Refused by the channel"),
    ("replaced", "Replaced by hand"),
]


class Migration(migrations.Migration):
    dependencies = [("orders", "0010_own_tags")]

    operations = [
        migrations.AddField("order", "own_references", models.JSONField(blank=True, default=list, editable=False)),
        migrations.AddField("order", "corrections", models.JSONField(blank=True, default=dict, editable=False)),
        migrations.AlterField(
            "invoice", "answer", models.CharField(blank=True, choices=ANSWERS, default="", max_length=10)
        ),
        migrations.AlterField(
            "shipment", "answer", models.CharField(blank=True, choices=ANSWERS, default="", max_length=10)
        ),
    ]
