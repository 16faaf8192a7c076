"""How an address is written, and that nothing of its password is ever repeated."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from batches import task_broker
from bridge.address import MqttAddress
from bridge.settings import BridgeSettings
from process import address
from process.environment import SettingsError
from runner import preflight
from runner import settings as run_settings
from runner.problem import Problem
from tests.examples import examples

PROJECT = Path(__file__).parents[2]
READERS = {
    "MQTT_URL": ("mqtt", MqttAddress.parse),
    "REDIS_URL": ("redis", address.redis),
    "DATABASE_URL": ("postgres", address.postgres),
    "CELERY_BROKER_URL": ("amqp", task_broker.check),
    "EMAIL_URL": ("submission", address.email),
}
RESERVED = "/?#@[]% "
# Nobody listens on port 1, so that what is taken for an address is asked, and refused, at once.
SHAPES = [
    "{scheme}://user:{secret}@127.0.0.1:1",
    "{scheme}://:{secret}@127.0.0.1:1/0",
    "{scheme}://{secret}@127.0.0.1:1",
    "{scheme}://user:{secret}@127.0.0.1:1/x?y=z#w",
    "{scheme}://127.0.0.1:1/0?password={secret}",
    "{scheme}://127.0.0.1:{secret}",
    "{scheme}://user:{secret}",
    "{scheme}:user:{secret}@127.0.0.1",
    "{scheme}//user:{secret}@127.0.0.1",
    "user:{secret}@127.0.0.1",
    "http://user:{secret}@127.0.0.1",
    " {scheme}://user:{secret}@127.0.0.1:1",
]
SECRETS = st.text(
    st.sampled_from("QWXZJKqwxzjk" + RESERVED + "!$&'()*+,;=:é\\\"^{|}\t\n"), min_size=4, max_size=12
)


def problems_of(name: str, url: str) -> list[str]:
    """All that our readers of this variable say of the address; what of them asks a server asks it."""
    said = []
    values = run_settings.EMBEDDED | {name: url}
    read = READERS[name][1]
    try:
        read(url)
    except (ValueError, ValidationError) as error:
        said.append(str(error))
    try:
        BridgeSettings.from_environment(values)
    except SettingsError as error:
        said.append(str(error))
    with contextlib.suppress(KeyError):  # what is not asked beforehand
        try:
            preflight.check(name, run_settings.load(PROJECT, {name: url, "ENV_FILES": "0"}))
        except Problem as error:
            said.append(str(error))
    return said


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(shape=st.sampled_from(SHAPES), secret=SECRETS, encoded=st.booleans())
@example(shape=SHAPES[0], secret="QW/XZJK", encoded=False)
@example(shape=SHAPES[0], secret="QW@XZJK", encoded=False)
@example(shape=SHAPES[0], secret="://:", encoded=False)  # as in our examples
@example(shape=SHAPES[0], secret="QWXZ[JKQ", encoded=False)
@example(shape=SHAPES[0], secret="QWXZ\u2100JKQ", encoded=False)
@example(shape=SHAPES[2], secret="QWXZJKQ", encoded=False)
@example(shape=SHAPES[4], secret="QWXZJKQ", encoded=False)
@example(shape=SHAPES[4], secret="&::::=:", encoded=False)
@example(shape=SHAPES[5], secret="QWXZJKQ", encoded=False)
def test_no_problem_of_ours_repeats_a_part_of_a_secret(
    name: str, shape: str, secret: str, encoded: bool
) -> None:
    # Behind an @ stands the host, which may be named.
    assume("@" not in secret or encoded or not shape.endswith(":{secret}"))
    scheme, _ = READERS[name]
    written = quote(secret, safe="") if encoded else secret
    said = problems_of(name, shape.format(scheme=scheme, secret=written))
    ours = f"{address.ENCODE} ; as %3B redis://:password@ {MqttAddress.parse.__doc__}"
    pieces = {text[at : at + 4] for text in (secret, written, unquote(secret)) for at in range(len(text) - 3)}
    for text in said:
        assert not [piece for piece in pieces if piece in text and piece not in ours], text


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("character", [char for char in RESERVED if char != "@"])
def test_a_reserved_character_in_a_password_is_to_be_percent_encoded(name: str, character: str) -> None:
    scheme, read = READERS[name]
    with pytest.raises((ValueError, ValidationError), match="a blank as %2F %3F %23 %40 %5B %5D %25 %20"):
        read(f"{scheme}://user:QW{character}XZ@127.0.0.1")
    read(f"{scheme}://user:QW{quote(character, safe='')}XZ@127.0.0.1")


@pytest.mark.parametrize("character", "@!$&'()*+,;=:é^{|}")
def test_what_can_be_read_without_doubt_needs_no_encoding(character: str) -> None:
    parsed = MqttAddress.parse(f"mqtt://user:QW{character}XZ@host")
    assert (parsed.username, parsed.password, parsed.host) == ("user", f"QW{character}XZ", "host")
    assert address.postgres_parameters(f"postgres://user:QW{character}XZ@host/iot") == {
        "host": "host",
        "user": "user",
        "password": f"QW{character}XZ",
        "dbname": "iot",
    }


@pytest.mark.parametrize(
    "url",
    ["redis://host:0", "redis://host:65536", "redis://host:six", "redis://", "redis:host", "http://host", ""],
)
def test_no_address(url: str) -> None:
    with pytest.raises(ValidationError, match="not an address: redis://:password@host:6379/0"):
        address.redis(url)


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("smtp://mail.example.org", {"port": 25}),
        ("submission://ana%40example.org:p%2Fw@mail.example.org", {"port": 587, "use_tls": True}),
        ("smtps://ana%40example.org:p%2Fw@mail.example.org:1465", {"port": 1465, "use_ssl": True}),
    ],
)
def test_a_mail_servers_scheme_says_how_tls_comes(url: str, read: dict[str, object]) -> None:
    address.email(url)
    login = {"user": "ana@example.org", "password": "p/w"} if "@" in url else {"user": "", "password": ""}
    assert address.email_parameters(url) == {"host": "mail.example.org", **login, **read}


@pytest.mark.parametrize("url", ["mail.example.org", "http://mail.example.org", "smtp+tls://host", ""])
def test_what_is_no_mail_server_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        address.email(url)
    assert address.email_parameters(url) == {}


def test_secrets_are_blotted_out_as_written_and_as_meant() -> None:
    url = "redis://:p%40ss@host/0?sslpassword=more+of+it"
    said = "p@ss and p%40ss and more of it at host"
    assert address.without_secrets(said, url) == "*** and *** and *** at host"
    assert "p%40" not in address.without_secrets("a part of it: p%40", url)
    assert address.without_secrets("timed out", url) == "timed out"
    alike = "redis://host/0?password=QWXZ1&sslpassword=QWXZ2"
    assert address.without_secrets("QWXZ1 and QWXZ2 at host", alike) == "*** and *** at host"
    # As redis-py names what it does not know.
    plus = "redis://host/0?password=abc&de+fg+hi=jk"
    assert "de fg" not in address.without_secrets("unexpected keyword argument 'de fg hi'", plus)


@pytest.mark.parametrize("url", ["redis://:12QWXZJK/x@host", "redis://:QW[XZJK@host", "QWXZJK"])
def test_the_containers_check_repeats_nothing_either(url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-SE", "deploy/healthcheck.py", "beat", "worker"],
        cwd=PROJECT,
        env=os.environ | {"REDIS_URL": url, "REDIS_URL_FILE": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == "worker: cannot ask Redis: REDIS_URL is not an address\n"
