"""How many readings a rejected row stands for, and what the rows of an hour hold."""

from django.db import migrations, models

# Until now the table was counted by nobody: once, in one look at it. The sum is RejectedMessage.cost as it was then.
COUNT = """
UPDATE monitoring_rejectedtally AS tally SET held_bytes = held.bytes FROM (
    SELECT code, date_trunc('hour', received_at, 'UTC') AS hour,
           sum(240 + octet_length(topic) + 2 * octet_length(code) + octet_length(detail)
               + octet_length(payload) + octet_length(payload) / 32) AS bytes
    FROM monitoring_rejectedmessage GROUP BY code, hour
) AS held WHERE tally.code = held.code AND tally.hour = held.hour
"""


class Migration(migrations.Migration):

    dependencies = [
        ('monitoring', '0006_deletion'),
    ]

    operations = [
        migrations.AddField(
            model_name='rejectedmessage',
            name='elements',
            field=models.PositiveIntegerField(db_default=1, default=1, help_text='How many refused readings the row stands for.', verbose_name='readings'),
        ),
        migrations.AddField(
            model_name='rejectedmessage',
            name='indexes',
            field=models.TextField(blank=True, db_default='', default='', help_text='Of a message that is kept whole: which of its elements were refused; a line a code.', verbose_name='elements'),
        ),
        migrations.AddField(
            model_name='rejectedtally',
            name='given_way',
            field=models.PositiveBigIntegerField(db_default=0, default=0, help_text='Kept at first, and deleted since all rejected messages together took too much.', verbose_name='given way'),
        ),
        migrations.AddField(
            model_name='rejectedtally',
            name='held_bytes',
            field=models.PositiveBigIntegerField(db_default=0, default=0, help_text='What is still there of the bytes kept.', verbose_name='bytes held'),
        ),
        migrations.AddField(
            model_name='rejectedtotal',
            name='given_way',
            field=models.PositiveBigIntegerField(db_default=0, default=0, verbose_name='given way'),
        ),
        migrations.AlterField(
            model_name='retentionrun',
            name='kind',
            field=models.CharField(choices=[('partition', 'partition dropped'), ('sensor_rows', "sensor's own retention"), ('sensor', 'sensor removed'), ('rejected', 'rejected messages'), ('gave_way', 'rejected messages past REJECTED_MAX_BYTES'), ('ledger', 'ledger folded')], max_length=16, verbose_name='what'),
        ),
        migrations.RunSQL(COUNT, migrations.RunSQL.noop),
    ]
