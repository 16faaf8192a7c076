"""Tokens get a scope. Those in knox's own table go on working, with scope `manage`.

Until now a token might do everything, whatever its user's permissions; from now on these decide. So that boards
and dashboards of an installation that grows older do not stop at the upgrade, users who have a token are given
what sending and reading need. Changing sensors is not among it: the group `operator` may.

knox's table stays, for the web process of the old version that still runs while this does; nothing reads it later.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

OLD = "knox_authtoken"
KEPT = ("add_measurement", "view_measurement", "view_sensor", "view_ingestbatch")


def take_over(apps, schema_editor):
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO monitoring_token (digest, token_key, user_id, created, expiry, scope, name)"
            " SELECT digest, token_key, user_id, created, expiry, 'manage', '' FROM knox_authtoken"
        )
        # Django no longer deletes from it with a user, whom its reference would then hold fast.
        for name, constraint in connection.introspection.get_constraints(cursor, OLD).items():
            if constraint["foreign_key"]:
                cursor.execute(f"ALTER TABLE {OLD} DROP CONSTRAINT {connection.ops.quote_name(name)}")
    Permission = apps.get_model("auth", "Permission")
    User = apps.get_model(settings.AUTH_USER_MODEL)
    kept = Permission.objects.filter(content_type__app_label="monitoring", codename__in=KEPT)
    for user in User.objects.filter(auth_token_set__isnull=False, is_superuser=False).distinct():
        user.user_permissions.add(*kept)


class Migration(migrations.Migration):

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ('auth', '0012_alter_user_first_name_max_length'),
        ('knox', '0009_extend_authtoken_field'),
        ('monitoring', '0009_ledger_default'),
    ]

    operations = [
        migrations.CreateModel(
            name='Token',
            fields=[
                ('digest', models.CharField(max_length=128, primary_key=True, serialize=False)),
                ('token_key', models.CharField(db_index=True, max_length=25)),
                ('created', models.DateTimeField(auto_now_add=True)),
                ('expiry', models.DateTimeField(blank=True, null=True)),
                ('scope', models.CharField(choices=[('send', 'send: measurements, and nothing else'), ('read', 'read: everything that its user may see'), ('manage', 'manage: everything that its user may do')], default='manage', max_length=6, verbose_name='scope')),
                ('name', models.CharField(blank=True, help_text='What it is for: a board, a script.', max_length=100, verbose_name='name')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='auth_token_set', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'API token',
                'verbose_name_plural': 'API tokens',
            },
        ),
        migrations.RunPython(take_over, migrations.RunPython.noop),
    ]
