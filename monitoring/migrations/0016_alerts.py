"""Alerts: rules, where they stand, incidents, and what is told of them to whom."""

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import uuid
from django.conf import settings
from django.db import migrations, models

# Ours rather than Django's: sensors are removed by the database, and what is theirs goes with them.
GOES = """
ALTER TABLE monitoring_alertrule ADD CONSTRAINT alertrule_of_sensor
FOREIGN KEY (sensor_id) REFERENCES monitoring_sensor (id) ON DELETE CASCADE;
ALTER TABLE monitoring_alertstate ADD CONSTRAINT alertstate_of_sensor
FOREIGN KEY (sensor_id) REFERENCES monitoring_sensor (id) ON DELETE CASCADE;
ALTER TABLE monitoring_incident ADD CONSTRAINT incident_of_sensor
FOREIGN KEY (sensor_id) REFERENCES monitoring_sensor (id) ON DELETE CASCADE;
ALTER TABLE monitoring_mute ADD CONSTRAINT mute_of_sensor
FOREIGN KEY (sensor_id) REFERENCES monitoring_sensor (id) ON DELETE CASCADE;
"""
STAYS = """
ALTER TABLE monitoring_alertrule DROP CONSTRAINT alertrule_of_sensor;
ALTER TABLE monitoring_alertstate DROP CONSTRAINT alertstate_of_sensor;
ALTER TABLE monitoring_incident DROP CONSTRAINT incident_of_sensor;
ALTER TABLE monitoring_mute DROP CONSTRAINT mute_of_sensor;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('monitoring', '0015_sensor_sorting'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AlertChannel',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, unique=True, verbose_name='name')),
                ('kind', models.CharField(choices=[('email', 'e-mail'), ('webhook', 'webhook'), ('ntfy', 'ntfy'), ('telegram', 'Telegram'), ('mqtt', 'MQTT topic'), ('apprise', 'Apprise')], max_length=16, verbose_name='kind')),
                ('settings', models.JSONField(default=dict, verbose_name='settings')),
                ('enabled', models.BooleanField(default=True, verbose_name='enabled')),
                ('group_s', models.PositiveIntegerField(default=10, help_text='What happens within so many seconds is told in one message.', verbose_name='gather for (s)')),
                ('language', models.CharField(blank=True, max_length=8, verbose_name='language')),
                ('disabled_why', models.CharField(blank=True, max_length=500, verbose_name='why it is off')),
                ('disabled_at', models.DateTimeField(editable=False, null=True, verbose_name='off since')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='made')),
            ],
            options={
                'verbose_name': 'alert channel',
                'verbose_name_plural': 'alert channels',
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='AlertRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=200, verbose_name='name')),
                ('kind', models.CharField(choices=[('above', 'above a value'), ('below', 'below a value'), ('outside', 'outside a range'), ('rate', 'changes too fast'), ('stuck', 'stuck at a value'), ('silence', 'silent'), ('rejected', 'too much is rejected'), ('board', 'board offline'), ('pipeline', 'the pipeline')], max_length=16, verbose_name='kind')),
                ('enabled', models.BooleanField(default=True, verbose_name='enabled')),
                ('severity', models.CharField(choices=[('info', 'information'), ('warning', 'warning'), ('critical', 'critical')], default='warning', max_length=8, verbose_name='severity')),
                ('sensor_kind', models.CharField(blank=True, max_length=64, verbose_name='kind of sensor')),
                ('location', models.CharField(blank=True, max_length=200, verbose_name='location')),
                ('high', models.FloatField(blank=True, null=True, verbose_name='high')),
                ('low', models.FloatField(blank=True, null=True, verbose_name='low')),
                ('clear_high', models.FloatField(blank=True, null=True, verbose_name='clear at or below')),
                ('clear_low', models.FloatField(blank=True, null=True, verbose_name='clear at or above')),
                ('for_s', models.PositiveIntegerField(default=0, help_text='Fires once it has held for so long, by the times of the measurements.', validators=[django.core.validators.MaxValueValidator(2678400)], verbose_name='for (s)')),
                ('keep_s', models.PositiveIntegerField(default=0, help_text='Goes on firing for so long after it is clear.', validators=[django.core.validators.MaxValueValidator(2678400)], verbose_name='keep firing for (s)')),
                ('window_s', models.PositiveIntegerField(default=0, help_text='Over which a rate, a stuck value or a share of rejected messages is measured.', validators=[django.core.validators.MaxValueValidator(2678400)], verbose_name='window (s)')),
                ('limit_s', models.PositiveIntegerField(blank=True, help_text="Empty: after so many of the sensor's expected intervals as the next field says.", null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(2678400)], verbose_name='silent after (s)')),
                ('intervals', models.PositiveSmallIntegerField(default=10, validators=[django.core.validators.MinValueValidator(2), django.core.validators.MaxValueValidator(1000)], verbose_name='expected intervals')),
                ('check_of', models.CharField(blank=True, choices=[('pending', 'batches wait too long'), ('process', 'a process is silent'), ('books', 'the books do not balance')], max_length=8, verbose_name='check')),
                ('renotify_s', models.PositiveIntegerField(blank=True, help_text='While it fires and nobody has acknowledged it; empty: never.', null=True, validators=[django.core.validators.MinValueValidator(60), django.core.validators.MaxValueValidator(2678400)], verbose_name='tell again after (s)')),
                ('note', models.TextField(blank=True, help_text='What to do; sent with each notification.', max_length=2000, verbose_name='note')),
                ('active_from', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('version', models.PositiveIntegerField(default=1, editable=False)),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='made')),
                ('board', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='alert_rules', to='monitoring.board', verbose_name='board')),
                ('channels', models.ManyToManyField(blank=True, help_text='Whom it tells; none: it is shown on the page alone.', related_name='rules', to='monitoring.alertchannel', verbose_name='channels')),
                ('created_by', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('sensor', models.ForeignKey(blank=True, db_constraint=False, help_text='Empty: every sensor that fits the rest, those to come too.', null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='alert_rules', to='monitoring.sensor', verbose_name='sensor')),
            ],
            options={
                'verbose_name': 'alert rule',
                'verbose_name_plural': 'alert rules',
                'ordering': ['name', 'id'],
            },
        ),
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False, verbose_name='key')),
                ('state', models.CharField(choices=[('pending', 'waiting'), ('sent', 'sent'), ('failed', 'failed')], default='pending', max_length=8, verbose_name='state')),
                ('is_test', models.BooleanField(default=False)),
                ('message', models.JSONField(default=dict)),
                ('tries', models.PositiveIntegerField(default=0, verbose_name='tries')),
                ('next_at', models.DateTimeField(null=True, verbose_name='next try')),
                ('error', models.CharField(blank=True, max_length=500, verbose_name='error')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='made')),
                ('sent_at', models.DateTimeField(null=True, verbose_name='sent')),
                ('channel', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='monitoring.alertchannel', verbose_name='channel')),
            ],
            options={
                'verbose_name': 'delivery',
                'verbose_name_plural': 'deliveries',
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='Incident',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('title', models.CharField(max_length=200, verbose_name="rule's name")),
                ('kind', models.CharField(max_length=16)),
                ('severity', models.CharField(max_length=8)),
                ('subject', models.CharField(max_length=220)),
                ('state', models.CharField(choices=[('firing', 'firing'), ('resolved', 'resolved'), ('withdrawn', 'withdrawn')], default='firing', max_length=9, verbose_name='state')),
                ('since', models.DateTimeField(help_text='Of the reading that it began with.', verbose_name='since')),
                ('fired_at', models.DateTimeField(verbose_name='fired')),
                ('resolved_at', models.DateTimeField(null=True, verbose_name='resolved')),
                ('seen_at', models.DateTimeField(help_text='When it was found; later, where data came late.', verbose_name='seen')),
                ('ended_seen_at', models.DateTimeField(null=True)),
                ('end', models.CharField(blank=True, choices=[('clear', 'it is clear'), ('late', 'readings that came late show that it never was'), ('changed', 'the rule was changed, switched off or deleted')], max_length=8, verbose_name='why it ended')),
                ('value', models.FloatField(null=True, verbose_name='value')),
                ('peak', models.FloatField(null=True, verbose_name='peak')),
                ('peak_at', models.DateTimeField(null=True)),
                ('last', models.FloatField(null=True, verbose_name='last value')),
                ('sequence', models.PositiveIntegerField(default=1)),
                ('told_at', models.DateTimeField(help_text='When a notification of it was last made.', null=True)),
                ('acknowledged_at', models.DateTimeField(null=True, verbose_name='acknowledged')),
                ('comment', models.TextField(blank=True, max_length=2000, verbose_name='comment')),
                ('acknowledged_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('part_of', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='parts', to='monitoring.incident')),
                ('rule', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='incidents', to='monitoring.alertrule', verbose_name='rule')),
                ('sensor', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='incidents', to='monitoring.sensor', verbose_name='sensor')),
            ],
            options={
                'verbose_name': 'incident',
                'verbose_name_plural': 'incidents',
                'ordering': ['-since', '-id'],
            },
        ),
        migrations.CreateModel(
            name='Mute',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('location', models.CharField(blank=True, max_length=200, verbose_name='location')),
                ('starts_at', models.DateTimeField(verbose_name='from')),
                ('ends_at', models.DateTimeField(blank=True, help_text='Empty: until it is ended.', null=True, verbose_name='to')),
                ('weekdays', models.JSONField(blank=True, default=list, verbose_name='on weekdays')),
                ('from_time', models.TimeField(blank=True, null=True, verbose_name='from (time of day)')),
                ('to_time', models.TimeField(blank=True, null=True, verbose_name='to (time of day)')),
                ('zone', models.CharField(default='UTC', max_length=64, verbose_name='time zone')),
                ('comment', models.CharField(blank=True, max_length=500, verbose_name='comment')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='made')),
                ('created_by', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('rule', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='mutes', to='monitoring.alertrule', verbose_name='rule')),
                ('sensor', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='mutes', to='monitoring.sensor', verbose_name='sensor')),
            ],
            options={
                'verbose_name': 'silence of alerts',
                'verbose_name_plural': 'silences of alerts',
                'ordering': ['-starts_at'],
            },
        ),
        migrations.CreateModel(
            name='Notification',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sequence', models.PositiveIntegerField()),
                ('event', models.CharField(choices=[('firing', 'firing'), ('resolved', 'resolved'), ('again', 'still firing')], max_length=8, verbose_name='event')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='made')),
                ('channel', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='notifications', to='monitoring.alertchannel')),
                ('delivery', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='notifications', to='monitoring.delivery')),
                ('incident', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='notifications', to='monitoring.incident')),
            ],
            options={
                'verbose_name': 'notification',
                'verbose_name_plural': 'notifications',
            },
        ),
        migrations.CreateModel(
            name='AlertState',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('subject', models.CharField(max_length=220)),
                ('phase', models.CharField(choices=[('normal', 'normal'), ('pending', 'pending'), ('firing', 'firing'), ('clearing', 'clearing')], default='normal', max_length=8)),
                ('since', models.DateTimeField(null=True)),
                ('fired_at', models.DateTimeField(null=True)),
                ('value', models.FloatField(null=True)),
                ('peak', models.FloatField(null=True)),
                ('last', models.FloatField(null=True)),
                ('clear_since', models.DateTimeField(null=True)),
                ('due_at', models.DateTimeField(null=True)),
                ('check_from', models.DateTimeField(null=True)),
                ('version', models.PositiveIntegerField(default=0)),
                ('rule', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='states', to='monitoring.alertrule')),
                ('sensor', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='monitoring.sensor')),
            ],
            options={
                'verbose_name': 'state of an alert rule',
                'verbose_name_plural': 'states of alert rules',
                'indexes': [models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='alert_state_due'), models.Index(fields=['sensor'], name='alert_state_sensor'), models.Index(condition=models.Q(('phase', 'normal'), _negated=True), fields=['sensor', 'rule'], name='alert_state_busy')],
                'constraints': [models.UniqueConstraint(fields=('rule', 'subject'), name='alert_state_once')],
            },
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('state', 'pending')), fields=['next_at'], name='delivery_due'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(fields=['created_at', 'id'], name='delivery_newest'),
        ),
        migrations.AddIndex(
            model_name='incident',
            index=models.Index(fields=['rule', 'subject', 'since'], name='incident_of_subject'),
        ),
        migrations.AddIndex(
            model_name='incident',
            index=models.Index(fields=['rule', '-since'], name='incident_of_rule'),
        ),
        migrations.AddIndex(
            model_name='incident',
            index=models.Index(fields=['resolved_at'], name='incident_ended'),
        ),
        migrations.AddIndex(
            model_name='incident',
            index=models.Index(fields=['sensor', 'since'], name='incident_of_sensor'),
        ),
        migrations.AddIndex(
            model_name='incident',
            index=models.Index(fields=['since', 'id'], name='incident_newest'),
        ),
        migrations.AddIndex(
            model_name='incident',
            index=models.Index(condition=models.Q(('subject', 'pipeline:behind')), fields=['since'], name='incident_behind'),
        ),
        migrations.AddConstraint(
            model_name='incident',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'firing')), fields=('rule', 'subject'), name='incident_open_once'),
        ),
        migrations.AddIndex(
            model_name='notification',
            index=models.Index(condition=models.Q(('delivery__isnull', True)), fields=['channel', 'created_at'], name='notification_waiting'),
        ),
        migrations.AddConstraint(
            model_name='notification',
            constraint=models.UniqueConstraint(fields=('incident', 'sequence', 'channel'), name='notification_once'),
        ),
        migrations.RunSQL(GOES, STAYS),
    ]
