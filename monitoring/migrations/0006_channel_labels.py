import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('monitoring', '0005_insights'),
        ('orders', '0005_sku_in_the_erp'),
    ]

    operations = [
        migrations.CreateModel(
            name='ChannelLabel',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('content_type', models.CharField(blank=True, max_length=40)),
                ('sealed', models.TextField(editable=False)),
                ('problem', models.TextField(blank=True, verbose_name='problem')),
                ('fetched_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('shipment', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='label', to='orders.shipment')),
            ],
            options={
                'verbose_name': 'label',
                'verbose_name_plural': 'labels',
            },
        ),
    ]
