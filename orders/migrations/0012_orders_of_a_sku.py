from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0011_corrections"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="orderitem",
            index=models.Index(fields=["sku", "order"], name="item_of_sku"),
        ),
        migrations.RemoveIndex(
            model_name="orderitem",
            name="item_sku",
        ),
    ]
