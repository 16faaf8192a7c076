"""Certificates of a test's own, by the openssl command."""

import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple


class Pair(NamedTuple):
    """PEM files."""

    certificate: Path
    key: Path


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Authority:
    """A CA in a folder. `ca`: the file that MQTT_CA_FILE names."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder, self.name = folder, name
        self.ca, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        openssl(
            "req", "-x509", *self._new_key(self._key), "-days", "2", "-subj", f"/CN={name}", "-out", self.ca
        )

    @staticmethod
    def _new_key(path: Path) -> list[str | Path]:
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path]

    def sign(self, names: str = "IP:127.0.0.1,DNS:localhost", *, name: str = "broker", days: int = 2) -> Pair:
        """A certificate for `names`, as subjectAltName has them. `days=-1`: it has run out."""
        files = {kind: self.folder / f"{self.name}-{name}.{kind}" for kind in ("pem", "key", "csr", "ext")}
        files["ext"].write_text(f"subjectAltName={names}")
        openssl("req", "-new", *self._new_key(files["key"]), "-subj", f"/CN={name}", "-out", files["csr"])
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
