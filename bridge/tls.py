"""TLS to the broker: what is trusted, what is shown to it, and why a handshake failed."""

import contextlib
import ssl
from dataclasses import dataclass

from environs import Env

# OpenSSL's X509_V_ERR_*: of the certificate that the broker shows.
_UNKNOWN_CA = {2, 18, 19, 20, 21, 24, 27}
_NOT_NOW = {9, 10}
_WRONG_NAME = {62, 63, 64}


class TlsFileError(Exception):
    """A file does not hold what it should; `variable` names it."""

    def __init__(self, variable: str, why: str) -> None:
        super().__init__(f"{variable}: {why}")
        self.variable, self.why = variable, why


class HandshakeError(OSError):
    """The TCP connection was there, but the TLS handshake failed."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _PassphraseError(Exception):
    """A key asks for one. OpenSSL would ask the terminal."""


@dataclass(frozen=True)
class TlsFiles:
    """Paths of PEM files. Without `ca` the system's store is trusted; `cert` and `key` come together."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    @classmethod
    def read(cls, env: Env) -> "TlsFiles":
        return cls(
            env.str("MQTT_CA_FILE", None) or None,
            env.str("MQTT_CERT_FILE", None) or None,
            env.str("MQTT_KEY_FILE", None) or None,
        )

    def context(self) -> ssl.SSLContext:
        """As the files are now, so that a renewed certificate needs no restart. Raises TlsFileError."""
        if self.ca:
            _certificates(self.ca, "MQTT_CA_FILE")
        context = ssl.create_default_context(cafile=self.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # As every Python before 3.13 has it. Its VERIFY_X509_STRICT refuses authorities that people made with
        # `openssl req -x509`, which have no key usage; and what is trusted is not to depend on the Python.
        context.verify_flags = ssl.VerifyFlags.VERIFY_X509_TRUSTED_FIRST
        if self.cert and self.key:
            _certificates(self.cert, "MQTT_CERT_FILE")
            self._show(context, self.cert, self.key)
        return context

    @staticmethod
    def _show(context: ssl.SSLContext, cert: str, key: str) -> None:
        def asked() -> str:
            raise _PassphraseError

        _readable(key, "MQTT_KEY_FILE")
        try:
            context.load_cert_chain(cert, key, password=asked)
        except _PassphraseError:
            raise TlsFileError(
                "MQTT_KEY_FILE",
                "the key has a passphrase, and nobody is there to type it; `openssl pkey -in … -out …` "
                "writes it without",
            ) from None
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise TlsFileError(
                    "MQTT_KEY_FILE", "not the key of the certificate in MQTT_CERT_FILE"
                ) from None
            if error.reason is None:  # all that Python says of a file that it cannot read as PEM
                raise TlsFileError("MQTT_KEY_FILE", f"{key} holds no private key in PEM form") from None
            raise TlsFileError("MQTT_CERT_FILE", f"OpenSSL does not take it: {error.reason}") from None


def _readable(path: str, variable: str) -> None:
    try:
        with open(path, "rb") as file:
            file.read(1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise TlsFileError(variable, f"{path} cannot be read: {why}") from None


def _certificates(path: str, variable: str) -> None:
    _readable(path, variable)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with contextlib.suppress(ssl.SSLError):
        context.load_verify_locations(path)
    if not context.cert_store_stats()["x509"]:
        raise TlsFileError(variable, f"{path} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)")


def is_alert(error: OSError) -> bool:
    """Whether the other side said in TLS why it ends the connection."""
    return "ALERT" in (getattr(error, "reason", None) or "")


def explain(error: OSError) -> tuple[str, str]:
    """Why there is no TLS: the key of a line of the log (process/report.py), and what OpenSSL said.

    Also for an error after the handshake: in TLS 1.3 a server refuses the client's certificate only then.
    """
    if isinstance(error, HandshakeError):
        error = error.cause
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate_line(error.verify_code), error.verify_message
    reason: str = getattr(error, "reason", None) or ""
    said = reason.lower().replace("_", " ") or str(error) or type(error).__name__
    if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        return "tls client certificate", said
    if "PROTOCOL" in reason:
        return "tls version", said
    if "ALERT" in reason:  # handshake_failure: in TLS 1.2 also for a client certificate that is missing
        return "tls refused", said
    return "tls none", said


def _certificate_line(code: int) -> str:
    if code in _UNKNOWN_CA:
        return "tls unknown ca"
    if code in _WRONG_NAME:
        return "tls wrong name"
    return "tls not valid now" if code in _NOT_NOW else "tls bad certificate"
