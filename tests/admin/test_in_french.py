"""In a browser that asks for French, the admin's pages say nothing in English."""

from collections.abc import Iterator
from datetime import datetime
from html.parser import HTMLParser
from typing import Any
from uuid import uuid4

import pytest
from django.contrib import admin as django_admin
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import translation
from django.utils.translation import trans_real
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule

from batches.store import BatchStore
from monitoring.admin.codes import meaning
from monitoring.decoders import MEANINGS, Code
from monitoring.models import (
    AlertChannel,
    AlertRule,
    BlockedSensor,
    Correction,
    Deletion,
    Delivery,
    Incident,
    Job,
    Mute,
    RejectedMessage,
    RetentionRun,
    Token,
)

MODELS = sorted(django_admin.site._registry, key=lambda model: model._meta.label)
FRENCH = {"HTTP_ACCEPT_LANGUAGE": "fr-FR,fr;q=0.9,en;q=0.5"}
NOT_TEXT = {"script", "style", "code", "pre", "textarea"}
# Names that are the same in any language, though a word of ours is written alike: codes, a table, an id.
NAMES = {*Code, "measurement", "ID"}
SPOKEN = {"title", "placeholder", "aria-label", "alt"}


class Texts(HTMLParser):
    """What a page says to somebody who reads it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.within: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        # An icon is a word in a font of icons.
        if tag in NOT_TEXT or "material-symbols" in (dict(attributes).get("class") or ""):
            self.within.append(tag)
        self.found += [" ".join(value.split()) for name, value in attributes if name in SPOKEN and value]

    def handle_endtag(self, tag: str) -> None:
        if tag in self.within:
            self.within.remove(tag)

    def handle_data(self, data: str) -> None:
        if not self.within and data.strip():
            self.found.append(" ".join(data.split()))


@pytest.fixture
def french(admin_client: Client) -> Client:
    admin_client.defaults |= FRENCH
    return admin_client


@pytest.fixture
def everything(data: datetime, store: BatchStore) -> None:
    """A row of whatever has a page, so that each page has its columns."""
    user = User.objects.get()
    Group.objects.create(name="lecteurs")
    Token.objects.create(user, expiry=None)
    Correction.objects.create(messages=1, reason="essai")
    Deletion.objects.create(sensor_id=1, start=data, until=data, requested_by="admin")
    RetentionRun.objects.create(
        day=data.date(),
        kind=RetentionRun.Kind.PARTITION,
        target="p",
        rows=1234,
        freed=1,
        pieces=1,
        last_at=data,
    )
    CrontabSchedule.objects.create()
    IntervalSchedule.objects.create(every=7, period="days")
    ClockedSchedule.objects.create(clocked_time=data)
    Job.objects.create(kind=Job.Kind.REPLAY, selection={"code": "not_json", "sensor": 12})
    BlockedSensor.objects.create(pk=66, blocked_by="admin")
    channel = AlertChannel.objects.create(
        name="essai", kind="ntfy", settings={"topic": "a", "token": "x"}, enabled=False, disabled_why="403"
    )
    rule = AlertRule.objects.create(name="Trop chaud", kind="above", high=25, severity="critical")
    Delivery.objects.create(channel=channel, is_test=True, state="failed", error="403")
    Mute.objects.create(starts_at=data, weekdays=[5], from_time="22:00")
    Incident.objects.create(
        rule=rule,
        title=rule.name,
        kind=rule.kind,
        severity=rule.severity,
        subject="location:Hall",
        since=data,
        fired_at=data,
        seen_at=data,
        state="resolved",
        end="clear",
        resolved_at=data,
    )
    for code, sensor in ((Code.UNKNOWN_SENSOR, 12), (Code.INACTIVE_SENSOR, 1)):
        RejectedMessage.objects.create(
            received_at=data,
            topic="iot",
            payload=b"{}",
            length=2,
            code=code,
            batch=uuid4(),
            position=0,
            sensors=[sensor],
        )


def pages(french: Client) -> Iterator[tuple[str, str]]:
    """(address, HTML) of every page that opens without a form that was sent."""
    addresses = [reverse("admin:index"), reverse("admin:password_change")]
    for model in MODELS:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        addresses += [reverse(f"{name}_changelist"), reverse(f"{name}_add")]
        row = model._default_manager.first()
        if row is not None and django_admin.site._registry[model].list_display_links is not None:
            addresses += [
                reverse(f"{name}_{page}", args=[row.pk]) for page in ("change", "history", "delete")
            ]
    addresses += [
        reverse("admin:monitoring_sensor_changelist") + "import/",
        reverse("admin:monitoring_rejectedmessage_changelist") + "?state__exact=waiting",
        reverse("admin:monitoring_rejectedmessage_lobby"),
        # Nothing links to it, but its address can be written.
        reverse("admin:monitoring_token_change", args=[Token.objects.get().pk]),
    ]
    for address in addresses:
        answer = french.get(address)
        if answer.status_code == 200:
            yield address, answer.content.decode()
    french.logout()
    yield "login", french.get(reverse("admin:login")).content.decode()


def english() -> set[str]:
    """What has another text in French, whether ours or Django's."""
    said = trans_real.translation("fr")._catalog.items()  # type: ignore[attr-defined]
    return {str(key).casefold() for key, value in said if str(key).casefold() != value.casefold()}


def test_every_page_is_in_french(french: Client, everything: None) -> None:
    known = english() - {text.casefold() for text in NAMES}
    opened = dict(pages(french))
    assert len(opened) > 50
    for address, html in opened.items():
        assert 'lang="fr"' in html, address
        assert [text for text in Texts(html).found if text.casefold() in known] == [], address
    for address, said in (
        ("/admin/", ["Vue d’ensemble", "Registre", "À traiter", "n’ont encore rien envoyé"]),
        ("/admin/monitoring/sensor/", ["Importer un CSV", "Grandeur", "Rechercher"]),
        ("/admin/monitoring/sensor/1/change/", ["Activité", "Conservation (jours)"]),
        (
            "/admin/monitoring/rejectedmessage/",
            ["La charge utile n’est pas du JSON.", "Groupes", "aucun capteur nommé"],
        ),
        (
            "/admin/monitoring/rejectedmessage/?state__exact=waiting",
            ["état\xa0: en attente", "Essai à blanc", "les messages cochés"],
        ),
        ("/admin/monitoring/rejectedmessage/lobby/", ["Capteurs que personne n’a déclarés", "Accepter…"]),
        ("/admin/monitoring/job/", ["Tâches", "Rejeu"]),
        ("/admin/monitoring/rejectedtally/", ["Rejets par heure", "au-delà du plafond"]),
        ("/admin/monitoring/ingestbatch/", ["Relevés", "Doublons", "Appliquer les filtres"]),
        ("/admin/monitoring/retentionrun/", ["~1\xa0234", "partition supprimée"]),
        ("/admin/monitoring/token/", ["sa révocation", "manage\xa0: tout ce que son utilisateur peut faire"]),
        ("/admin/monitoring/alertchannel/", ["il a échoué", "Envoyer un essai"]),
        ("/admin/monitoring/alertchannel/add/", ["Comment les alertes doivent-elles être annoncées"]),
        ("/admin/monitoring/incident/", ["résolu", "critique"]),
        ("/admin/monitoring/mute/", ["sam", "en vigueur"]),
        ("login", ["Bienvenue sur"]),
    ):
        for text in said:
            assert text in opened[address], address
    assert "Cette page n’existe pas" in french.get("/no-such-page").content.decode()


def test_a_browser_that_asks_for_neither_gets_the_sites_language(admin: Client, settings: Any) -> None:
    for language, said in (("en", "Overview"), ("fr", "Vue d’ensemble")):
        settings.LANGUAGE_CODE = language
        html = admin.get(reverse("admin:index"), HTTP_ACCEPT_LANGUAGE="nl").content.decode()
        assert said in html


def test_counts_of_one_are_in_the_singular(french: Client, everything: None) -> None:
    sensors = reverse("admin:monitoring_sensor_changelist")
    for chosen, said in (([1], "1 capteur est inactif"), ([1, 2], "2 capteurs sont inactifs")):
        form = {"action": "deactivate", "_selected_action": chosen}
        assert said in french.post(sensors, form, follow=True).content.decode()


def test_every_reason_has_its_meaning_in_french() -> None:
    with translation.override("fr"):
        for code, sentence in MEANINGS.items():
            assert meaning(code) not in {"", sentence}
    with translation.override("en"):
        assert meaning("not_json") == "The payload is not JSON."
        assert meaning("of_an_older_version") == ""
