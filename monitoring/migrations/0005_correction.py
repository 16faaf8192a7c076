from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('monitoring', '0004_retention_remembers'),
    ]

    operations = [
        migrations.CreateModel(
            name='Correction',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('messages', models.BigIntegerField(help_text='Handed over, less those in the ledger.', verbose_name='messages')),
                ('reason', models.CharField(max_length=200, verbose_name='reason')),
                ('made_at', models.DateTimeField(auto_now_add=True, verbose_name='made at')),
            ],
            options={
                'verbose_name': 'correction of the books',
                'verbose_name_plural': 'corrections of the books',
            },
        ),
    ]
