from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("orders", "0004_report_indexes"),
    ]

    operations = [
        migrations.AddField(
            model_name="orderitem",
            name="erp_sku",
            field=models.CharField(blank=True, default="", max_length=120, verbose_name="SKU in the ERP"),
            preserve_default=False,
        ),
    ]
