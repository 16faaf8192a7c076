"""Just enough of MQTT 3.1.1 to publish at QoS 1, and to know what has arrived.

MicroPython's own umqtt waits for an acknowledgement for ever, and cannot send a message again under the same
packet id. See docs/decisions/0006-own-mqtt-client-on-the-board.md.
"""

import asyncio
import binascii
import errno

CONNECT, CONNACK, PUBLISH, PUBACK, PINGREQ, PINGRESP = 0x10, 0x20, 0x30, 0x40, 0xC0, 0xD0
QOS_1, DUP, RETAIN = 0x02, 0x08, 0x01
# Whoever subscribes to nothing is sent nothing that is longer.
MAX_ANSWER_BYTES = 64

REFUSALS = {
    1: "it does not speak MQTT 3.1.1",
    2: "it does not like the client id: set another broker, or its rules for client ids",
    3: "it is not ready; it may be later",
    4: "wrong user or password: look at MQTT_USER and MQTT_PASSWORD",
    5: "it does not let this board in: look at MQTT_USER and MQTT_PASSWORD, and at the broker's own rules",
}
REFUSED_CERTIFICATE = "the broker's certificate is refused: does MQTT_CA_FILE fit? (%s)"


class MqttError(Exception):
    """The broker said no, or something that MQTT does not allow; the text says what."""


class Client:
    """One connection. Every wait ends after `timeout` seconds with asyncio.TimeoutError.

    `will`: (topic, payload), which the broker publishes, retained, once the board is gone without a word.
    `tls`: what tls() returned, or None.
    """

    def __init__(
        self, host, port, client_id, user="", password="", will=None, keepalive=60, tls=None, timeout=10
    ):
        self.host, self.port, self.tls = host, port, tls
        self.client_id, self.user, self.password, self.will = client_id, user, password, will
        self.keepalive, self.timeout = keepalive, timeout
        self._reader = self._writer = None

    async def connect(self):
        """Raises MqttError with the reason if the broker refuses."""
        if self.tls is None:
            opening = asyncio.open_connection(self.host, self.port)
        else:
            opening = asyncio.open_connection(self.host, self.port, ssl=self.tls, server_hostname=self.host)
        self._reader, self._writer = await asyncio.wait_for(opening, self.timeout)
        # 0x02: a clean session. This client subscribes to nothing, so there is nothing to keep for it.
        flags, body = 0x02, string(self.client_id)
        if self.will:
            flags |= 0x04 | QOS_1 << 2 | RETAIN << 5
            body += string(self.will[0]) + string(self.will[1])
        if self.user:
            flags |= 0x80
            body += string(self.user)
            if self.password:
                flags |= 0x40
                body += string(self.password)
        head = string("MQTT") + bytes((4, flags)) + self.keepalive.to_bytes(2, "big")
        try:
            # TLS shakes hands in here; by the version of MicroPython its errors are of one class or another.
            await self._send(CONNECT, head + body)
            answer = await self._answer(CONNACK)
        except ValueError as error:
            raise MqttError(REFUSED_CERTIFICATE % str(error).strip())
        if answer[1]:
            raise MqttError("the broker refuses: " + REFUSALS.get(answer[1], "code %d" % answer[1]))

    async def publish(self, packet_id, topic, payload, again=False, retain=False):
        """Sends `payload` (bytes); acknowledged() says whether it arrived. `again`: it was sent before."""
        kind = PUBLISH | QOS_1 | (DUP if again else 0) | (RETAIN if retain else 0)
        await self._send(kind, string(topic) + packet_id.to_bytes(2, "big") + payload)

    async def acknowledged(self):
        """The packet id of a message that the broker has, of those that were sent."""
        return int.from_bytes((await self._answer(PUBACK))[:2], "big")

    async def ping(self):
        """So that the broker does not take a silent board for dead, and the board notices a dead broker."""
        await self._send(PINGREQ, b"")
        await self._answer(PINGRESP)

    async def close(self):
        """Without a good-bye: the broker then publishes the will."""
        if self._writer is not None:
            self._writer.close()
            await self._writer.wait_closed()

    async def _send(self, kind, body):
        self._writer.write(bytes((kind,)) + length(len(body)) + body)
        await asyncio.wait_for(self._writer.drain(), self.timeout)

    async def _answer(self, kind):
        found, body = await asyncio.wait_for(self._packet(), self.timeout)
        if found & 0xF0 != kind or (kind != PINGRESP and len(body) < 2):
            raise MqttError("the broker answered with packet %#x instead of %#x" % (found, kind))
        return body

    async def _packet(self):
        kind = (await self._reader.readexactly(1))[0]
        size = (await self._reader.readexactly(1))[0]
        if size > MAX_ANSWER_BYTES:
            raise MqttError("what answers there does not speak MQTT: is MQTT_PORT right?")
        return kind, await self._reader.readexactly(size) if size else b""


def string(text):
    """MQTT's strings: their length in bytes, which is not that in characters, and then UTF-8."""
    data = text if isinstance(text, bytes) else text.encode()
    return len(data).to_bytes(2, "big") + data


def length(number):
    """MQTT's lengths: seven bits a byte, the lowest first."""
    out = bytearray()
    while True:
        out.append(number & 0x7F | (0x80 if number > 0x7F else 0))
        number >>= 7
        if not number:
            return bytes(out)


def tls(ca_file):
    """For Client. Without a CA file anybody may be at the other end; the line is encrypted all the same."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file:
        try:
            with open(ca_file, "rb") as file:
                context.load_verify_locations(cadata=der(file.read()))
        except (OSError, ValueError) as error:
            raise MqttError(
                "MQTT_CA_FILE = %r: no such file on the board, or no certificate in it (%r)"
                % (ca_file, error)
            )
        context.verify_mode = ssl.CERT_REQUIRED
    else:
        context.verify_mode = ssl.CERT_NONE
    return context


def der(certificate):
    """MicroPython may take certificates in DER alone. PEM is that in base64; of several, the first counts."""
    if b"-----BEGIN" not in certificate:
        return certificate
    return binascii.a2b_base64(certificate.split(b"-----")[2])


def why(error):
    """What went wrong with the network, in a sentence that says where to look."""
    if isinstance(error, MqttError):
        return str(error)
    if isinstance(error, asyncio.TimeoutError):
        return "no answer in time: is MQTT_HOST right, does a firewall stand between?"
    if isinstance(error, EOFError):
        return "the broker closed the connection: is it going down, or does MQTT_PORT want TLS (MQTT_TLS)?"
    if not isinstance(error, OSError):
        return repr(error)
    if "X509" in str(error):
        return REFUSED_CERTIFICATE % (error,)
    if len(error.args) > 1 or not error.args:  # TLS: a number and its meaning
        return "%s: is MQTT_PORT one for TLS, does MQTT_CA_FILE fit?" % (error,)
    number = error.args[0]
    # lwIP's numbers for a name that it does not find; elsewhere it is a text.
    if "addrinfo" in str(number) or number in (-2, -202):
        return "the name MQTT_HOST is not known, or there is no internet (%s)" % number
    name = "EPIPE" if number == 32 else errno.errorcode.get(number, str(number))
    if name in ("ECONNRESET", "ECONNABORTED", "ENOTCONN", "EPIPE"):
        return "the broker broke off, or nobody listens on MQTT_PORT (%s)" % name
    if name == "ECONNREFUSED":
        return "nobody takes the connection (%s): is the broker up, is MQTT_PORT right?" % name
    if name in ("EHOSTUNREACH", "ETIMEDOUT"):
        return "MQTT_HOST cannot be reached (%s): does this Wi-Fi lead there?" % name
    return name
