from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orders", "0009_invoice_of_seller")]

    operations = [
        migrations.AddField("order", "own_tags", models.JSONField(blank=True, default=list, editable=False)),
    ]
