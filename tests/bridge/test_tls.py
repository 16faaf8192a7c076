"""TLS to the broker: what is trusted, what is said where there is none, and that nothing gets stuck in it."""

import fcntl
import os
import select
import shutil
import socket
import ssl
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import paho.mqtt.publish
import pytest
from bridge_process import Start, messages, payloads
from django.core.management import call_command
from scripted_broker import ScriptedBroker, publish_frame, until
from tls_broker import TlsBroker

from batches.store import BatchStore
from bridge.frames import FrameSocket
from bridge.lines import line
from bridge.settings import BridgeSettings
from bridge.tls import HandshakeError, TlsFiles, explain
from process.environment import SettingsError
from runner.services import Binaries, Broker, Redis
from tests.certificates import Authority, openssl, serving


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def ours(folder: Path) -> Authority:
    return Authority(folder, "ours")


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Authority:
    return Authority(folder, "theirs")


def test_it_works(start: Start, store: BatchStore, ours: Authority) -> None:
    with ScriptedBroker(tls=serving(ours.sign())) as broker:
        start(MQTT_URL=broker.url, MQTT_CA_FILE=str(ours.ca))
        connection = broker.connection()
        connection.publish(b"x", 1)
        connection.wait_for_acks(1)
        assert payloads(store) == [b"x"]


def test_it_shows_a_client_certificate(start: Start, store: BatchStore, ours: Authority) -> None:
    board = ours.sign(name="bridge")
    with ScriptedBroker(tls=serving(ours.sign(), ours)) as broker:
        start(
            MQTT_URL=broker.url,
            MQTT_CA_FILE=str(ours.ca),
            MQTT_CERT_FILE=str(board.certificate),
            MQTT_KEY_FILE=str(board.key),
        )
        connection = broker.connection()
        assert isinstance(connection.sock, ssl.SSLSocket)
        assert (("commonName", "bridge"),) in connection.sock.getpeercert()["subject"]


def test_what_it_demands(ours: Authority) -> None:
    context = TlsFiles(ca=str(ours.ca)).context()
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.cert_store_stats()["x509"] == 1, "the system's store is trusted besides"


# --- what is said where there is no TLS -----------------------------------------------------------

Broken = tuple[str, str, str]
SAID: dict[str, tuple[str, str]] = {
    "unknown CA": (
        "no CA that is trusted here has signed the certificate of",
        "aucune autorité reconnue ici",
    ),
    "wrong name": ("is not for that name", "n'est pas pour ce nom"),
    "expired": ("is not valid today", "n'est pas valable aujourd'hui"),
    "no TLS": ("does not answer in TLS", "ne répond pas en TLS"),
    "client certificate": ("client certificate", "certificat client"),
    "client certificate of 1.2": ("client certificate", "certificat client"),
    "old TLS": ("no version of TLS in common", "aucune version de TLS en commun"),
}
TO_DO = {
    "unknown CA": "MQTT_CA_FILE",
    "wrong name": "MQTT_URL",
    "expired": "",
    "no TLS": "mqtt://",
    "client certificate": "MQTT_CERT_FILE",
    "client certificate of 1.2": "MQTT_CERT_FILE",
    "old TLS": "1.2",
}


def broken(what: str, ours: Authority, theirs: Authority) -> ssl.SSLContext:
    match what:
        case "unknown CA":
            return serving(theirs.sign())
        case "wrong name":
            return serving(ours.sign("DNS:broker.example.org", name="elsewhere"))
        case "expired":
            return serving(ours.sign(name="expired", days=-1))
        case "client certificate":
            return serving(ours.sign(), theirs)
    context = serving(ours.sign(), theirs if what == "client certificate of 1.2" else None)
    if what == "old TLS":
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    else:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("what", [what for what in SAID if what != "no TLS"])
def test_no_tls_is_explained_and_tried_again(
    what: str, start: Start, store: BatchStore, ours: Authority, theirs: Authority
) -> None:
    with ScriptedBroker(tls=broken(what, ours, theirs)) as broker:
        bridges = [
            start(
                MQTT_URL=broker.url, MQTT_CA_FILE=str(ours.ca), LANGUAGE_CODE=language, BRIDGE_NAME=language
            )
            for language in ("en", "fr")
        ]
        for bridge, said in zip(bridges, SAID[what], strict=True):
            bridge.wait_for_line(said, times=2)
            for one in bridge.lines:
                if said in one:
                    assert f"mqtts://127.0.0.1:{broker.port}" in one
                    assert TO_DO[what] in one
            assert "Traceback" not in bridge.output
        assert not broker.accepted
        # They were ready all the time.
        broker.tls = serving(ours.sign())
        broker.connection(1)


@pytest.mark.parametrize(
    ("reason", "key"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "tls client certificate"),
        ("SSLV3_ALERT_BAD_CERTIFICATE", "tls client certificate"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "tls client certificate"),
        ("TLSV1_ALERT_UNKNOWN_CA", "tls client certificate"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "tls version"),
        ("UNSUPPORTED_PROTOCOL", "tls version"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "tls refused"),
        ("TLSV1_ALERT_INTERNAL_ERROR", "tls refused"),
        ("WRONG_VERSION_NUMBER", "tls none"),
    ],
)
def test_what_openssl_says_is_understood(reason: str, key: str) -> None:
    error = ssl.SSLError()
    error.reason = reason
    assert explain(HandshakeError(error)) == (key, reason.lower().replace("_", " "))
    for language in ("en", "fr"):
        assert reason in line(language, key, "mqtts://host:8883", reason)


def test_every_failure_has_its_words_in_both_languages() -> None:
    for language in ("en", "fr"):
        for code in range(100):
            error = ssl.SSLCertVerificationError()
            error.verify_code, error.verify_message = code, "why"
            key, said = explain(error)
            assert "why" in line(language, key, "mqtts://host:8883", said)
        for other in (TimeoutError("timed out"), ConnectionResetError(104, "reset"), ssl.SSLEOFError()):
            assert explain(HandshakeError(other))[0] == "tls none"


def test_a_broker_without_tls(start: Start, store: BatchStore, tmp_path: Path) -> None:
    with Broker(tmp_path / "broker", binaries="wheels") as broker:
        bridge = start(MQTT_URL=broker.url.replace("mqtt", "mqtts"))
        bridge.wait_for_line(SAID["no TLS"][0], times=2)
        assert "or begin with mqtt://" in bridge.output
        assert "Traceback" not in bridge.output


def test_what_is_no_broker_at_all(start: Start, store: BatchStore) -> None:
    """A web server, say: the right machine, the wrong port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1000)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        bridge = start(MQTT_URL=f"mqtts://127.0.0.1:{listener.getsockname()[1]}", LANGUAGE_CODE="fr")
        bridge.wait_for_line(SAID["no TLS"][1], times=2)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_the_files_are_read_anew_for_each_connection(
    start: Start, store: BatchStore, ours: Authority, theirs: Authority, tmp_path: Path
) -> None:
    """A certificate is renewed while the bridge runs."""
    ca = tmp_path / "ca.pem"
    shutil.copy(theirs.ca, ca)
    with ScriptedBroker(tls=serving(ours.sign())) as broker:
        bridge = start(MQTT_URL=broker.url, MQTT_CA_FILE=str(ca))
        bridge.wait_for_line(SAID["unknown CA"][0])
        ca.unlink()
        bridge.wait_for_line(f"MQTT_CA_FILE: {ca} cannot be read")
        shutil.copy(ours.ca, ca)
        broker.connection()


# --- settings -------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path, ours: Authority) -> dict[str, str]:
    pair, other = ours.sign(name="client"), ours.sign(name="other")
    locked = tmp_path / "locked.key"
    openssl("pkcs8", "-topk8", "-in", pair.key, "-passout", "pass:secret", "-out", locked)
    (tmp_path / "text").write_text("hello\n")
    (tmp_path / "empty").touch()
    return {
        "ca": str(ours.ca),
        "cert": str(pair.certificate),
        "key": str(pair.key),
        "other key": str(other.key),
        "locked key": str(locked),
        "text": str(tmp_path / "text"),
        "empty": str(tmp_path / "empty"),
        "folder": str(tmp_path),
        "nothing": str(tmp_path / "nothing"),
    }


@pytest.mark.parametrize(
    ("given", "named", "said"),
    [
        ({"MQTT_CA_FILE": "nothing"}, "MQTT_CA_FILE", "No such file"),
        ({"MQTT_CA_FILE": "folder"}, "MQTT_CA_FILE", "Is a directory"),
        ({"MQTT_CA_FILE": "text"}, "MQTT_CA_FILE", "no certificate in PEM form"),
        ({"MQTT_CA_FILE": "empty"}, "MQTT_CA_FILE", "no certificate in PEM form"),
        ({"MQTT_CA_FILE": "key"}, "MQTT_CA_FILE", "no certificate in PEM form"),
        ({"MQTT_CERT_FILE": "cert"}, "MQTT_KEY_FILE", "missing"),
        ({"MQTT_KEY_FILE": "key"}, "MQTT_CERT_FILE", "missing"),
        ({"MQTT_CERT_FILE": "key", "MQTT_KEY_FILE": "key"}, "MQTT_CERT_FILE", "no certificate in PEM form"),
        ({"MQTT_CERT_FILE": "cert", "MQTT_KEY_FILE": "cert"}, "MQTT_KEY_FILE", "no private key in PEM form"),
        ({"MQTT_CERT_FILE": "cert", "MQTT_KEY_FILE": "text"}, "MQTT_KEY_FILE", "no private key in PEM form"),
        ({"MQTT_CERT_FILE": "cert", "MQTT_KEY_FILE": "nothing"}, "MQTT_KEY_FILE", "No such file"),
        ({"MQTT_CERT_FILE": "cert", "MQTT_KEY_FILE": "other key"}, "MQTT_KEY_FILE", "not the key of"),
        ({"MQTT_CERT_FILE": "cert", "MQTT_KEY_FILE": "locked key"}, "MQTT_KEY_FILE", "passphrase"),
        ({"MQTT_CA_FILE": "ca", "MQTT_URL": "mqtt://host"}, "MQTT_CA_FILE", "mqtts:// alone"),
    ],
)
def test_a_wrong_file_is_named_in_one_line(
    given: dict[str, str], named: str, said: str, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"REDIS_URL": "redis://host/0", "MQTT_URL": "mqtts://host"}
    environment |= {name: files.get(value, value) for name, value in given.items()}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        BridgeSettings.from_environment()
    assert str(caught.value).startswith(f"{named}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_good_files_are_taken(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also beside variables whose name with _FILE would be theirs: MQTT_CA, MQTT_CERT, MQTT_KEY."""
    both = Path(files["folder"]) / "both.pem"
    both.write_text(Path(files["cert"]).read_text() + Path(files["key"]).read_text())
    for name, value in {
        "REDIS_URL": "redis://host/0",
        "MQTT_URL": "mqtts://host",
        "MQTT_CA_FILE": files["ca"],
        "MQTT_CERT_FILE": str(both),
        "MQTT_KEY_FILE": str(both),
        "MQTT_CA": "x",
        "MQTT_CERT": "x",
        "MQTT_KEY": "x",
    }.items():
        monkeypatch.setenv(name, value)
    settings = BridgeSettings.from_environment()
    assert settings.tls == TlsFiles(files["ca"], str(both), str(both))


# --- nothing stalls -------------------------------------------------------------------------------


@pytest.fixture
def ends(ours: Authority) -> Iterator[tuple[FrameSocket, ssl.SSLSocket]]:
    """The bridge's end of a TLS connection, which does not block, and the broker's, which does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        left = socket.create_connection(listener.getsockname())
        right, _ = listener.accept()
    right.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for end in (left, right):
        end.settimeout(10)
    server = serving(ours.sign()).wrap_socket(right, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.do_handshake)
    thread.start()
    client = TlsFiles(ca=str(ours.ca)).context().wrap_socket(left, server_hostname="localhost")
    thread.join()
    client.setblocking(False)
    yield FrameSocket(client, version_5=False), server
    client.close()
    server.close()


def arrived(sent_by: socket.socket) -> None:
    """All that was sent lies in the other end's kernel."""

    def left() -> int:
        return int.from_bytes(fcntl.ioctl(sent_by, termios.TIOCOUTQ, bytes(4)), sys.byteorder)

    until(lambda: left() == 0, "the other end to have it")


@pytest.mark.parametrize("size", [20, 5_000, 16_000])
def test_what_openssl_has_decrypted_is_not_left_there(
    size: int, ends: tuple[FrameSocket, ssl.SSLSocket]
) -> None:
    """After the last of it, select() shows nothing any more: whoever waits for it waits for ever."""
    sock, broker = ends
    frame = publish_frame(b"x" * size, 1)
    count = 1_500_000 // len(frame)

    def pour() -> None:
        broker.sendall(frame * count)

    thread = threading.Thread(target=pour)
    thread.start()
    found = 0
    while found < count:
        if not sock.has_more:
            assert select.select([sock], [], [], 10)[0], f"{found} of {count}"
        got = len(sock.fill())
        assert got * len(frame) <= 300 * 1024, "one turn of the loop takes all there is"
        found += got
    thread.join()
    assert sock.fill() == []
    assert not sock.has_more


def test_what_is_left_of_a_record_is_not_left_there(
    ends: tuple[FrameSocket, ssl.SSLSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A turn of the loop ends in the midst of the last record: nothing is left that select() could show."""
    monkeypatch.setattr("bridge.frames._READ_BYTES", 40_000)
    sock, broker = FrameSocket(ends[0]._sock, version_5=False), ends[1]
    for mid in (1, 2, 3):
        broker.sendall(publish_frame(b"x" * 16_000, mid))
    arrived(broker)
    found = len(sock.fill())
    while sock.has_more:
        found += len(sock.fill())
    assert found == 3


def test_many_small_records_are_taken_in_one_turn(ends: tuple[FrameSocket, ssl.SSLSocket]) -> None:
    """A broker writes each message by itself, and each is then a record."""
    sock, broker = ends
    for mid in range(1, 51):
        broker.sendall(publish_frame(b"x", mid))
    arrived(broker)
    assert [publish.mid for publish in sock.fill()] == list(range(1, 51))


def test_the_end_is_seen_with_the_last_messages(ends: tuple[FrameSocket, ssl.SSLSocket]) -> None:
    """TLS ends; TCP does not, so nothing would come of another select()."""
    sock, broker = ends
    broker.sendall(publish_frame(b"x", 1))
    broker.setblocking(False)
    with pytest.raises(ssl.SSLWantReadError):
        broker.unwrap()
    arrived(broker)
    assert len(sock.fill()) == 1
    assert sock.has_something_for_paho
    assert sock.recv(10) == b""


def test_a_flood_with_the_receive_window_full(
    start: Start, own_redis: Redis, own_store: BatchStore, ours: Authority
) -> None:
    """Past its bound the bridge leaves off reading in the middle of what has come, and takes it up again."""
    with ScriptedBroker(tls=serving(ours.sign())) as broker:
        more = {"MQTT_CA_FILE": str(ours.ca), "MQTT_RECEIVE_WINDOW": "100"}
        start(MQTT_URL=broker.url, REDIS_URL=own_redis.url, **more)
        connection = broker.connection()
        # Redis is busy while they come, so that more is held than there is room for.
        own_store.redis.execute_command("CLIENT", "PAUSE", 1000, "WRITE")
        mids = range(1, 6001)
        connection.send(b"".join(connection.frame(b"x" * 200, mid) for mid in mids))
        connection.wait_for_acks(*mids)
        assert len(messages(own_store)) == 6000


@pytest.fixture(params=["wheels", "system"])
def tls_broker(
    request: pytest.FixtureRequest, ours: Authority, tmp_path: Path
) -> Iterator[Callable[[], TlsBroker]]:
    binaries: Binaries = request.param
    if binaries == "system" and os.environ.get("SERVICES_FROM") != "system":
        pytest.skip("wants Mosquitto: SERVICES_FROM=system")
    with TlsBroker(tmp_path / "broker", ours.sign(), binaries) as broker:
        yield broker


def test_with_a_real_broker(tls_broker: TlsBroker, start: Start, store: BatchStore, ours: Authority) -> None:
    bridge = start(MQTT_URL=tls_broker.url, MQTT_CA_FILE=str(ours.ca))
    bridge.wait_for_line("MQTT connected with code: 0")
    wanted = [b"%d " % number + b"x" * (number * 37 % 3000) for number in range(3000)]
    paho.mqtt.publish.multiple(
        [("iot/measurements", payload, 1, False) for payload in wanted],
        hostname="127.0.0.1",
        port=tls_broker.port,
        tls={"ca_certs": str(ours.ca)},
    )
    until(lambda: len(payloads(store)) >= len(wanted), "all of them", 60)
    assert payloads(store) == wanted
    assert bridge.terminate() == 0


def test_simulated_boards_trust_the_same_ca(
    tls_broker: TlsBroker, start: Start, store: BatchStore, ours: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make run` with MQTT_URL and MQTT_CA_FILE starts one."""
    bridge = start(MQTT_URL=tls_broker.url, MQTT_CA_FILE=str(ours.ca))
    bridge.wait_for_line("MQTT connected with code: 0")
    monkeypatch.setenv("MQTT_URL", tls_broker.url)
    monkeypatch.setenv("MQTT_CA_FILE", str(ours.ca))
    call_command("simulate", "--messages", "5", "--rate", "100", stdout=StringIO())
    until(lambda: len(payloads(store)) == 5, "what it sent")
