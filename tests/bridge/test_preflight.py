"""`make run` asks a broker beforehand as the bridge will: same address, same TLS, same versions."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_broker import ScriptedBroker
from tls_broker import TlsBroker

from runner import preflight, settings
from runner.problem import Problem
from tests.certificates import Authority, serving


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"), "ours")


@pytest.fixture
def tls_broker(ours: Authority, tmp_path: Path) -> Iterator[TlsBroker]:
    with TlsBroker(tmp_path / "broker", ours.sign(), "wheels") as broker:
        yield broker


def ask(**variables: str) -> None:
    preflight.check("MQTT_URL", settings.load(Path("/nowhere"), variables | {"ENV_FILES": "0"}))


def test_it_works_with_a_real_broker_over_tls(tls_broker: TlsBroker, ours: Authority) -> None:
    """What README says: MQTT_URL=mqtts://... MQTT_CA_FILE=... make run. It speaks 3.1.1 alone."""
    ask(MQTT_URL=tls_broker.url, MQTT_CA_FILE=str(ours.ca))


def test_it_says_of_tls_what_the_bridge_says(tls_broker: TlsBroker, ours: Authority) -> None:
    with pytest.raises(Problem, match=r"no CA that is trusted here has signed .* MQTT_CA_FILE"):
        ask(MQTT_URL=tls_broker.url)
    with pytest.raises(Problem, match="aucune autorité reconnue ici"):
        ask(MQTT_URL=tls_broker.url, LANGUAGE_CODE="fr")


def test_it_shows_the_client_certificate(ours: Authority) -> None:
    board = ours.sign(name="bridge")
    pair = {"MQTT_CERT_FILE": str(board.certificate), "MQTT_KEY_FILE": str(board.key)}
    with ScriptedBroker(tls=serving(ours.sign(), ours)) as broker:
        ask(MQTT_URL=broker.url, MQTT_CA_FILE=str(ours.ca), **pair)
        with pytest.raises(Problem, match="client certificate"):
            ask(MQTT_URL=broker.url, MQTT_CA_FILE=str(ours.ca))


@pytest.mark.parametrize("short", [False, True])
def test_a_broker_of_one_version(short: bool) -> None:
    with ScriptedBroker(refuse={5: 0x84}, short_refusals=short) as broker:
        ask(MQTT_URL=broker.url)
        with pytest.raises(Problem, match="MQTT_URL: no answer from"):
            ask(MQTT_URL=f"{broker.url}?version=5")
    with ScriptedBroker(refuse={4: 1}) as broker:
        ask(MQTT_URL=broker.url)


@pytest.mark.parametrize(("code", "said"), [(0x86, "Bad user name or password"), (0x87, "Not authorized")])
def test_a_refusal_is_repeated_and_the_password_is_not(code: int, said: str) -> None:
    with ScriptedBroker(refuse={5: code}) as broker:
        with pytest.raises(Problem, match=said) as caught:
            ask(MQTT_URL=broker.url.replace("//", "//me:QWXZJK@"))
        assert "QWX" not in str(caught.value)


def test_its_session_ends_with_it() -> None:
    """A guest that the broker remembered would be one whose messages it kept, for nobody."""
    with ScriptedBroker() as broker:
        ask(MQTT_URL=broker.url)
        (attempt,) = broker.attempts
        assert attempt.client_id.startswith("preflight-")
        assert attempt.clean
        assert attempt.properties == b""


def test_what_is_no_broker() -> None:
    with ScriptedBroker() as broker:
        broker.silent = True
        with pytest.raises(Problem, match="not a word of MQTT within 5 s"):
            ask(MQTT_URL=broker.url)
