import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('monitoring', '0011_rules'),
        ('orders', '0012_orders_of_a_sku'),
    ]

    operations = [
        migrations.AddField(
            model_name='channellabel',
            name='order',
            field=models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='label', to='orders.order'),
        ),
        migrations.AlterField(
            model_name='channellabel',
            name='shipment',
            field=models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='label', to='orders.shipment'),
        ),
        migrations.AddConstraint(
            model_name='channellabel',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('order__isnull', False), ('shipment__isnull', True)), models.Q(('order__isnull', True), ('shipment__isnull', False)), _connector='OR'), name='label_of_one_thing'),
        ),
    ]
