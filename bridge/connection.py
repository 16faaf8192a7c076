"""The connection to the broker: opened, accepted or refused, and why it is not there."""

import logging
import select
import ssl
import time
from collections.abc import Callable, Iterable

from bridge.client import BridgeClient
from bridge.frames import MalformedFrameError, Publish
from bridge.lines import line
from bridge.settings import BridgeSettings
from bridge.tls import HandshakeError, TlsFileError, explain, is_alert
from process.said import _

logger = logging.getLogger(__name__)

# Messages in flight. MQTT 3.1.1 has no Receive Maximum, so its brokers do not tell; the embedded one's: 100.
WINDOW_OF_3_1_1 = 100
# Until the broker has answered to CONNECT.
ANSWER_SECONDS = 10.0


class Connection:
    """Connections to the same broker, one after the other; `epoch` counts those that it accepted.
    `on_accepted(code, session_present)` and `on_subscribed(answers)` come from within `read`.
    """

    def __init__(
        self,
        settings: BridgeSettings,
        client_id: str,
        *,
        on_accepted: Callable[[str, bool], None],
        on_subscribed: Callable[[dict[str, str]], None],
    ) -> None:
        self._settings, self._client_id = settings, client_id
        self._on_accepted, self._on_subscribed = on_accepted, on_subscribed
        self._version = settings.address.version or "5"
        self.epoch = 0
        self.accepted = False
        self._leaving = False
        self._refused = ""
        self._opened_at = self._accepted_at = 0.0
        self.client = self._new_client()

    def _new_client(self, tls: ssl.SSLContext | None = None) -> BridgeClient:
        return BridgeClient(
            self._settings.address,
            self._client_id,
            self._version,
            self._settings.window,
            tls,
            on_connected=self._accept,
            on_refused=self._refuse,
            on_ended=self._end,
            on_subscribed=self._on_subscribed,
        )

    # --- from start to end ------------------------------------------------------------------------

    def open(self) -> bool:
        """Connects; False where there is no broker, or no TLS: the log says why."""
        self._refused = ""
        self._leaving = self.accepted = False
        self._opened_at = time.monotonic()
        address = self._settings.address
        try:
            self.client = self._new_client(self._settings.tls.context() if address.tls else None)
            self.client.open()
        except TlsFileError as error:
            logger.error(str(error))
        except HandshakeError as error:
            self._explain_tls(error)
        except (OSError, ValueError) as error:
            logger.warning("no broker at %s (MQTT_URL): %s", address, error)
        else:
            return True
        return False

    @property
    def is_open(self) -> bool:
        return self.client.socket() is not None

    def serves(self) -> bool:
        """Whether to go on with it: it is there, nobody wants to leave it, and the broker answers in time."""
        if not self.is_open:
            return False
        silent = not self.accepted and time.monotonic() - self._opened_at > ANSWER_SECONDS
        if silent or self._leaving:
            self.client.disconnect()
            return False
        return True

    def leave(self) -> None:
        """Marks the connection as useless; the loop that serves it then ends it."""
        self._leaving = True

    @property
    def leaving(self) -> bool:
        return self._leaving

    def close(self) -> float:
        """Closes it. Returns for how many seconds it was accepted; where it never was, the log says why."""
        if not self.accepted:
            self._explain_refusal()
            return 0.0
        self.accepted = False
        return time.monotonic() - self._accepted_at

    def say_goodbye(self) -> None:
        self._leaving = True
        self.client.disconnect()
        deadline = time.monotonic() + 2
        while (sock := self.client.socket()) is not None and self.client.want_write():
            if time.monotonic() > deadline or not select.select([], [sock], [], 0.2)[1]:
                break
            self.client.loop_write()

    # --- what goes over it ------------------------------------------------------------------------

    @property
    def window(self) -> int:
        """How many messages may be in flight: sent by the broker, and not acknowledged yet."""
        return self._settings.window if self._version == "5" else WINDOW_OF_3_1_1

    def read(self) -> list[Publish]:
        """What has come, without waiting. A broker that does not speak MQTT is left, and the log says so."""
        try:
            return self.client.read()
        except MalformedFrameError as error:
            logger.error("the broker at %s does not speak MQTT: %s", self._settings.address, error)
            self.client.disconnect()
            return []

    def acknowledge(self, acks: Iterable[tuple[int, int]]) -> None:
        """Sends PUBACKs for (epoch, packet id) in their order, except for those of an earlier connection."""
        if self.accepted:
            now = self.epoch
            self.client.acknowledge([mid for epoch, mid in acks if epoch == now])

    # --- what the broker says of it ---------------------------------------------------------------

    def _accept(self, code: str, session_present: bool) -> None:
        self.epoch += 1
        self.accepted = True
        self._accepted_at = time.monotonic()
        self._on_accepted(code, session_present)
        logger.debug("MQTT %s, session present: %s", self._version, session_present)

    def _refuse(self, code: str) -> None:
        self._refused = code

    def _end(self, reason: str) -> None:
        if self.accepted and not self._leaving:
            logger.warning("connection to %s ended: %s", self._settings.address, reason)

    def _explain_tls(self, error: OSError) -> None:
        key, said = explain(error)
        logger.error(line(self._settings.language, key, self._settings.address, said))

    def _explain_refusal(self) -> None:
        address = self._settings.address
        error = self.client.error
        if error is not None and is_alert(error):
            self._explain_tls(error)
            return
        unsupported = not self._refused or "version" in self._refused.lower()
        if self._version == "5" and address.version is None and unsupported:
            logger.info("the broker does not speak MQTT 5; trying 3.1.1")
            self._version = "3.1.1"
            return
        if address.tls and not self._refused:
            logger.error(line(self._settings.language, "tls closed", address))
        else:
            why = self._refused or _("it closed it without an answer")
            logger.error("the broker at %s refuses the connection (MQTT_URL): %s", address, why)
        # Where it refused 5 only because it was starting up, 5 is what to try next.
        self._version = address.version or "5"
