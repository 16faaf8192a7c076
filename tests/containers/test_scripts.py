"""deploy/add-device and deploy/make-certificates, as somebody types them."""

import os
import shutil
import ssl
import stat
import subprocess
from pathlib import Path

import pytest

from tests.certificates import openssl

DEPLOY = Path(__file__).parents[2] / "deploy"


def run(script: Path, *arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{path}:{os.environ['PATH']}"}
    return subprocess.run([script, *arguments], env=environment, capture_output=True, text=True, timeout=60)


# --- deploy/add-device ---------------------------------------------------------------------------


@pytest.fixture
def docker(tmp_path: Path) -> Path:
    """Stands first in PATH: notes each argument it was given in `asked`, one a line."""
    command = tmp_path / "docker"
    command.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{tmp_path}/asked\n')
    command.chmod(0o755)
    return tmp_path


def asked(docker: Path) -> list[str]:
    file = docker / "asked"
    return file.read_text().splitlines() if file.exists() else []


def test_a_board_gets_a_user_and_a_password_that_is_made(docker: Path) -> None:
    said = run(DEPLOY / "add-device", "greenhouse-1", path=str(docker)).stdout.split()
    assert said[:3] == ["user", "greenhouse-1,", "password"]
    password = said[3].rstrip(",")
    assert len(password) == 36
    place = asked(docker).index("mosquitto_passwd")
    assert asked(docker)[place : place + 5] == [
        *("mosquitto_passwd", "-b", "/mosquitto/users/passwords", "greenhouse-1", password)
    ]


def test_a_password_is_one_word_whatever_is_in_it(docker: Path) -> None:
    password = "a b; $(reboot) `id` 'x' \"y\" *"
    assert run(DEPLOY / "add-device", "one", password, path=str(docker)).returncode == 0
    assert password in asked(docker)


NO_BOARD = ["", "-x", "--help", "a b", "a\nb", "one\n", "é", "a/b", "+", "#", "a:b", "$SYS"]
TAKEN = ["bridge", "demo", "status", "measurements"]


@pytest.mark.parametrize("name", [*NO_BOARD, *TAKEN])
@pytest.mark.parametrize("remove", [[], ["--remove"]])
def test_what_is_no_boards_name_is_refused(docker: Path, name: str, remove: list[str]) -> None:
    done = run(DEPLOY / "add-device", *remove, name, path=str(docker))
    assert done.returncode == 2
    assert done.stderr.startswith("add-device: ")
    assert asked(docker) == []


def test_where_the_broker_is_not_there_no_password_is_promised(docker: Path) -> None:
    (docker / "docker").write_text("#!/bin/sh\nexit 1\n")
    done = run(DEPLOY / "add-device", "one", path=str(docker))
    assert done.returncode != 0
    assert done.stdout == ""


# --- deploy/make-certificates --------------------------------------------------------------------


@pytest.fixture
def make_certificates(tmp_path: Path) -> Path:
    openssl("version")
    (tmp_path / "certificates").mkdir()
    return Path(shutil.copy(DEPLOY / "make-certificates", tmp_path))


def certificates(script: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (script.parent / "certificates").iterdir()}


def names(certificate: Path) -> str:
    return openssl("x509", "-in", certificate, "-noout", "-ext", "subjectAltName")


def test_a_pair_for_all_names_that_the_authority_signed(make_certificates: Path) -> None:
    done = run(make_certificates, "iot.example.org", "192.168.1.5", "fe80::1")
    assert done.returncode == 0, done.stderr
    folder = make_certificates.parent / "certificates"
    assert set(certificates(make_certificates)) == {"ca.crt", "server.crt", "server.key"}
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(folder / "server.crt", folder / "server.key")
    for one in ("DNS:mosquitto", "DNS:iot.example.org", "IP Address:192.168.1.5", "FE80"):
        assert one in names(folder / "server.crt")
    authority = folder.parent / "authority"
    assert stat.S_IMODE(authority.stat().st_mode) == 0o700
    for key in (authority / "ca.key", folder / "server.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    openssl("verify", "-CAfile", folder / "ca.crt", folder / "server.crt")


def test_run_again_it_keeps_the_authority(make_certificates: Path) -> None:
    run(make_certificates)
    before = certificates(make_certificates)
    assert run(make_certificates, "another.example.org").returncode == 0
    after = certificates(make_certificates)
    assert after["ca.crt"] == before["ca.crt"]
    assert after["server.crt"] != before["server.crt"]


@pytest.mark.parametrize("tried_before", [False, True])
def test_what_another_authority_made_stays(make_certificates: Path, tried_before: bool) -> None:
    if tried_before:
        run(make_certificates)
    folder = make_certificates.parent / "certificates"
    openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=a real one", "-days", "1"),
        *("-keyout", folder / "server.key", "-out", folder / "ca.crt"),
    )
    shutil.copy(folder / "ca.crt", folder / "server.crt")
    before = certificates(make_certificates)
    done = run(make_certificates, "iot.example.org")
    assert done.returncode == 1
    assert done.stderr.startswith("make-certificates: ")
    assert tried_before or "move ca.crt and server.* away" in done.stderr
    assert certificates(make_certificates) == before


def test_an_authority_that_was_lost_in_part_is_made_anew(make_certificates: Path) -> None:
    run(make_certificates)
    folder = make_certificates.parent / "certificates"
    (folder / "ca.crt").unlink()
    assert run(make_certificates).returncode == 0
    openssl("verify", "-CAfile", folder / "ca.crt", folder / "server.crt")


@pytest.mark.parametrize(
    "host", ["", "a b", "a\nb", "a,DNS:b", "host:8883", "1.2.3", "300.1.1.1", "-x", "mqtts://host", "*"]
)
def test_what_is_no_host_is_said_and_the_pair_stays(make_certificates: Path, host: str) -> None:
    run(make_certificates)
    before = certificates(make_certificates)
    done = run(make_certificates, host)
    assert done.returncode != 0
    assert done.stderr.startswith("make-certificates: ")
    assert certificates(make_certificates) == before
