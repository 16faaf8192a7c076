"""Certificates of a test's own, by the openssl command."""

import shutil
import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Pair(NamedTuple):
    """PEM files."""

    certificate: Path
    key: Path


def openssl(*arguments: str | Path) -> str:
    """What it prints. Skips the test where the command is not there."""
    if shutil.which("openssl") is None:
        pytest.skip("wants the openssl command: apt install openssl")
    done = subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, text=True)
    return done.stdout


def request(name: str, key: Path, out: Path, *arguments: str) -> None:
    """A request for a certificate with a new key; with -x509 among the arguments, the certificate itself."""
    openssl("req", *NEW_KEY, "-subj", f"/CN={name}", "-keyout", key, "-out", out, *arguments)


def self_signed(folder: Path, name: str, names: str) -> Pair:
    """A certificate for `names`, as subjectAltName has them, that is its own authority."""
    pair = Pair(folder / f"{name}.pem", folder / f"{name}-key.pem")
    extension = ("-addext", f"subjectAltName={names}")
    request(name, pair.key, pair.certificate, "-x509", "-days", "2", *extension)
    return pair


class Authority:
    """A CA in a folder. `ca`: the file that MQTT_CA_FILE names."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder, self.name = folder, name
        self.ca, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        request(name, self._key, self.ca, "-x509", "-days", "2")

    def sign(self, names: str = "IP:127.0.0.1,DNS:localhost", *, name: str = "broker", days: int = 2) -> Pair:
        """A certificate for `names`, as subjectAltName has them. `days=-1`: it has run out."""
        files = {kind: self.folder / f"{self.name}-{name}.{kind}" for kind in ("pem", "key", "csr", "ext")}
        files["ext"].write_text(f"subjectAltName={names}")
        request(name, files["key"], files["csr"], "-new")
        openssl(
            *("x509", "-req", "-in", files["csr"], "-CA", self.ca, "-CAkey", self._key, "-CAcreateserial"),
            *("-days", str(days), "-extfile", files["ext"], "-out", files["pem"]),
        )
        return Pair(files["pem"], files["key"])


def serving(pair: Pair, clients: Authority | None = None) -> ssl.SSLContext:
    """A broker's side of TLS; with `clients`, it wants a certificate that they signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients.ca)
    return context
