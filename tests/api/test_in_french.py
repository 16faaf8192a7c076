"""The API's errors are in French for whoever asks for it, and for nobody else."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from monitoring.models import Sensor
from tests.api.conftest import API

pytestmark = pytest.mark.django_db
FRENCH = {"Accept-Language": "fr-FR,fr;q=0.9,en;q=0.5"}
NONE = API + "sensors/999/last/"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "There is no sensor with this id."),
        ({"Accept-Language": "de, en;q=0.5"}, "There is no sensor with this id."),
        (FRENCH, "Aucun capteur n’a cet identifiant."),
    ],
)
def test_it_works(client: APIClient, asked: dict[str, str], said: str) -> None:
    answer = client.get(NONE, headers=asked)
    assert (answer.status_code, answer.json()) == (404, {"detail": said})
    assert answer["Content-Language"] == ("fr" if asked is FRENCH else "en")


def test_who_asks_for_nothing_gets_the_language_of_the_installation(client: APIClient, settings: Any) -> None:
    settings.LANGUAGE_CODE = "fr"
    assert client.get(NONE).json() == {"detail": "Aucun capteur n’a cet identifiant."}
    assert client.get(NONE, headers={"Accept-Language": "en"}).json()["detail"].startswith("There is")


def test_field_errors_and_what_is_wrong_with_a_reading_are_in_french(
    sender: APIClient, sensors: dict[int, Sensor]
) -> None:
    def get(query: str) -> Any:
        return sender.get(f"{API}measurements/?{query}", headers=FRENCH).json()

    assert get("from=2026-01-28") == {"from": ["N’est pas une heure RFC 3339 telle que \"2026-01-28T15:07:55Z\"."]}  # fmt: skip # noqa: E501
    assert get("limit=0")["limit"][0].startswith("Assurez-vous")  # by DRF
    assert get("x=1")["detail"].startswith("Paramètre inconnu 'x'\u202f; sont connus limit, cursor")
    refused = sender.post(
        API + "measurements/", {"sensor_id": 3, "value": "21"}, format="json", headers=FRENCH
    ).json()
    assert refused["detail"] == "Rien n’a été pris\xa0: corriger d’abord ce que liste errors."
    assert refused["errors"] == [
        {"index": None, "code": "bad_type", "detail": '"value" doit être un nombre, trouvé "21"'}
    ]
    many = sender.patch(API + "sensors/", [], format="json", headers=FRENCH).json()
    assert many["detail"] == "De 1 à 1\xa0000 capteurs peuvent être changés à la fois."


def test_the_schema_is_in_english_whoever_asks(client: APIClient) -> None:
    def schema(headers: dict[str, str]) -> bytes:
        return client.get("/api/schema/", headers=headers | {"Accept": "application/json"}).content

    assert schema(FRENCH) == schema({})
