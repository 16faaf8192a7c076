"""Boards, which say online and offline of themselves, and whose sensors are theirs."""

import datetime
import django.db.models.deletion
from django.db import migrations, models

# Ours rather than Django's, as that of the sensor is: checked at once, and a board that is deleted lets go.
LETS_GO = """
ALTER TABLE monitoring_sensorstatus ADD CONSTRAINT sensor_status_of_board
FOREIGN KEY (board_id) REFERENCES monitoring_board (id) ON DELETE SET NULL
"""
HOLDS_ON = "ALTER TABLE monitoring_sensorstatus DROP CONSTRAINT sensor_status_of_board"


class Migration(migrations.Migration):

    dependencies = [
        ('monitoring', '0012_sensor_status'),
    ]

    operations = [
        migrations.CreateModel(
            name='Board',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='The last level of its status topic.', max_length=100, unique=True, verbose_name='name')),
                ('online', models.BooleanField(verbose_name='online')),
                ('since', models.DateTimeField(help_text='Since when it is known to be online, or offline.', verbose_name='since')),
                ('said_at', models.DateTimeField(default=datetime.datetime(1970, 1, 1, 0, 0, tzinfo=datetime.timezone.utc), editable=False)),
                ('last_seen', models.DateTimeField(help_text='When it last said that it is online.', null=True, verbose_name='last seen')),
            ],
            options={
                'verbose_name': 'board',
                'verbose_name_plural': 'boards',
                'ordering': ['name'],
            },
        ),
        migrations.AddField(
            model_name='sensorstatus',
            name='board',
            field=models.ForeignKey(db_constraint=False, help_text='On whose topic its readings come.', null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='standings', to='monitoring.board', verbose_name='board'),
        ),
        migrations.RunSQL(LETS_GO, HOLDS_ON),
    ]
