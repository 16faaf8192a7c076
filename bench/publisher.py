"""A publisher that costs little: frames are made beforehand, acknowledgements are counted and not looked at.

    python -m bench.publisher HOST PORT TOPIC MESSAGES SENSORS START [REPEAT]

Connects, says `ready`, waits for a line on its input, publishes all messages at QoS 1, and says how many
seconds it took until the broker had acknowledged the last. START: `ts` of the first, Unix seconds. REPEAT:
each so-many-th message is one that went 5,000 before, once more.
"""

import socket
import sys
import threading
import time

UNACKNOWLEDGED = 20_000
REPEATED_AFTER = 5_000


def packet(kind: int, body: bytes) -> bytes:
    length, head = len(body), bytearray([kind])
    while True:
        length, digit = divmod(length, 128)
        head.append(digit | (128 if length else 0))
        if not length:
            return bytes(head) + body


def payload(number: int, sensors: int, start: float) -> bytes:
    return b'{"sensor_id": %d, "value": %.2f, "unit": "V", "ts": %.6f}' % (
        number % sensors + 1,
        number % 330 / 100,
        start + number * 0.001,
    )


def source(number: int, repeat: int) -> int:
    """Which message goes at this place: itself, or an earlier one."""
    return number - REPEATED_AFTER if repeat and number >= REPEATED_AFTER and number % repeat == 0 else number


def frames(topic: bytes, messages: int, sensors: int, start: float, repeat: int = 0) -> list[bytes]:
    return [
        packet(
            0x32,
            len(topic).to_bytes(2)
            + topic
            + (number % 65535 + 1).to_bytes(2)
            + payload(source(number, repeat), sensors, start),
        )
        for number in range(messages)
    ]


def connected(host: str, port: int, client: bytes) -> socket.socket:
    sock = socket.create_connection((host, port))
    sock.sendall(packet(0x10, b"\0\4MQTT\4\2\0\x3c" + len(client).to_bytes(2) + client))
    if sock.recv(4)[3] != 0:
        raise SystemExit("the broker refuses the publisher")
    return sock


def publish(sock: socket.socket, made: list[bytes]) -> float:
    """As fast as the broker acknowledges; seconds until it had acknowledged them all."""
    acknowledged = 0

    def count() -> None:
        nonlocal acknowledged
        received = 0
        while received < 4 * len(made):
            received += len(sock.recv(65536))
            acknowledged = received // 4

    counter = threading.Thread(target=count)
    counter.start()
    began = time.monotonic()
    for first in range(0, len(made), 200):
        while first - acknowledged > UNACKNOWLEDGED:
            time.sleep(0.001)
        sock.sendall(b"".join(made[first : first + 200]))
    counter.join()
    return time.monotonic() - began


def main() -> None:
    host, port, topic, messages, sensors, start, *repeat = sys.argv[1:]
    made = frames(topic.encode(), int(messages), int(sensors), float(start), *map(int, repeat))
    sock = connected(host, int(port), b"bench-publisher")
    print("ready", flush=True)
    sys.stdin.readline()
    print(publish(sock, made), flush=True)
    sock.sendall(b"\xe0\0")
    sock.close()


if __name__ == "__main__":
    main()
