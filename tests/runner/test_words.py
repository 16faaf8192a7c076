"""What `make run` says, and what is wrong with a variable, in French."""

import errno
import re
import socket
from pathlib import Path

import pytest

from bridge.settings import BridgeSettings
from process import wrong_settings
from process.environment import SettingsError
from runner import ports, settings, words
from runner.console import clear_error
from runner.problem import Problem
from runner.services.redis import Redis
from runner.welcome import welcome


def in_french(text: str) -> str:
    return words.said(text, "fr")


@pytest.mark.parametrize(
    ("english", "french"),
    [
        ("stopping …", "arrêt …"),
        ("starting PostgreSQL, Redis, the MQTT broker …", "démarrage de PostgreSQL, Redis, du broker MQTT …"),
        (
            "the MQTT broker is ready at 127.0.0.1:1883 (0.5 s)",
            "le broker MQTT : prêt à 127.0.0.1:1883 (0.5 s)",
        ),
        ("web is ready (2.1 s)", "web : prêt (2.1 s)"),
        ("making the tables (manage.py migrate) …", "création des tables (manage.py migrate) …"),
        ("making the tables: done (3.2 s)", "création des tables : fait (3.2 s)"),
        (
            "worker was killed by SIGKILL; starting it again in 1 s",
            "worker a été tué par SIGKILL ; redémarrage dans 1 s",
        ),
        (
            "worker ended with exit code 3 before it was ready; its last lines are above",
            "worker s’est terminé avec le code 3 avant d’être prêt ; ses dernières lignes sont ci-dessus",
        ),
        (
            "manage.py migrate failed with exit code 1; its last lines are above",
            "manage.py migrate a échoué avec le code 1 ; ses dernières lignes sont ci-dessus",
        ),
        (
            "REDIS_URL: no answer from h:1: Connection refused (start it or mend REDIS_URL; "
            "without REDIS_URL, `make run` brings its own)",
            "REDIS_URL : pas de réponse de h:1 : Connection refused (le démarrer ou corriger REDIS_URL ; "
            "sans REDIS_URL, `make run` apporte le sien)",
        ),
        ("a line that nobody knows", "a line that nobody knows"),
    ],
)
def test_it_works(english: str, french: str) -> None:
    assert re.sub("[\xa0\u202f]", " ", in_french(english)) == french
    assert words.said(english, "en") == english


def test_a_port_that_is_taken_is_said_in_french() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        taken = ports.problem(port)
    said = in_french(f"port {port} {taken}; choose another, for example: WEB_PORT={port + 1} make run")
    assert re.fullmatch(
        rf"le port {port} est pris par .*, pid \d+\u202f; en choisir un autre, par exemple\xa0: WEB_PORT=.*",
        said,
    )


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("file", [None, "/a/file"])
def test_an_error_of_the_system_is_said_in_french(code: int, file: str | None) -> None:
    english = clear_error(OSError(code, "Strange", file))
    assert in_french(english).startswith(("le disque est plein", "écriture impossible"))
    assert (f"({file})" in in_french(english)) == bool(file)


def test_a_service_that_ends_is_said_in_french(tmp_path: Path) -> None:
    service = Redis(tmp_path)
    with pytest.raises(Problem) as raised:
        service.raise_for_log("ended at once with exit code 1")
    assert in_french(str(raised.value)).startswith(
        "Redis s’est terminé aussitôt avec le code 1 (journal\xa0: /"
    )


def test_each_variable_that_is_wrong_is_named_in_french() -> None:
    given = {
        "LANGUAGE_CODE": "FR",
        "MQTT_URL": "mqtt://h",
        "LOG_LEVEL": "loud",
        "MQTT_RECEIVE_WINDOW": "many",
    }
    with pytest.raises(SettingsError) as raised:
        BridgeSettings.from_environment(given | {"MQTT_CA_FILE": "/none", "MQTT_TOPICS": "a/#/b"})
    said = [line.replace("\xa0", " ") for line in re.split(r"(?<!\u202f); ", str(raised.value))]
    assert said == [
        'LOG_LEVEL: vaut "loud"\u202f; doit être DEBUG, INFO, WARNING ou ERROR',
        "MQTT_CA_FILE: ne vaut que pour `mqtts://`, et MQTT_URL commence par `mqtt://`\u202f;"
        " changer l’un ou l’autre",
        "MQTT_RECEIVE_WINDOW: N’est pas un nombre entier.",
        "MQTT_TOPICS: 'a/#/b' n’est pas un filtre de topics MQTT",
        "REDIS_URL: Variable d’environnement non définie.",
    ]
    # What others put together from it is put together in English.
    assert raised.value.problems["REDIS_URL"] == {"Environment variable not set.": None}


def test_an_address_that_is_none_is_said_in_french() -> None:
    from process import address

    with pytest.raises(ValueError, match="not an address") as raised:
        address.split("mqtt://a b", ("mqtt",), "mqtt://host:1883")
    assert wrong_settings.said(str(raised.value), "fr").startswith(
        "ce n’est pas une adresse\xa0: mqtt://host:1883"
    )


def test_the_box_is_in_french(tmp_path: Path) -> None:
    env = settings.load(tmp_path, {"HOME": "/", "LANGUAGE_CODE": "fr", "WEB_LISTEN": "0.0.0.0"})
    said = welcome(env, {**env.values, "MQTT_URL": "mqtt://127.0.0.1:1883"})
    assert "  Tableau de bord http://" in said
    assert "  Réafficher      Entrée\n" in said
    assert "ouvert à ce réseau" in said
    assert "Envoyer une mesure, la voir sur le tableau de bord, et la relire\xa0:\n" in said
    for line in said.splitlines()[1:13]:
        # One column beside the other, whatever the language.
        assert re.match(r"  \S.{13,14} \S", line) or not line.strip(), line
