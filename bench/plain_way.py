"""The way that most tutorials show: one callback and one `save` a message, each a transaction of its own.

    python -m bench.plain_way HOST PORT TOPIC

Says `ready` once it has subscribed. It leaves out what the pipeline is for: a message whose row cannot be
stored is lost, one that is sent again is stored again, what is not valid ends the callback.
"""

import json
import sys
from datetime import UTC, datetime
from typing import Any


def main() -> None:
    import django

    django.setup()
    from paho.mqtt.client import Client, MQTTMessage
    from paho.mqtt.enums import CallbackAPIVersion

    from monitoring.models import Measurement

    host, port, topic = sys.argv[1:]

    def on_message(_client: Client, _data: Any, message: MQTTMessage) -> None:
        reading = json.loads(message.payload)
        Measurement(
            sensor_id=reading["sensor_id"],
            value=reading["value"],
            unit=reading["unit"],
            created_at=datetime.fromtimestamp(reading["ts"], UTC),
            received_at=datetime.now(UTC),
        ).save(force_insert=True)

    client = Client(CallbackAPIVersion.VERSION2, client_id="bench-plain-way")
    client.on_message = on_message
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.connect(host, int(port))
    client.subscribe(topic, qos=1)
    client.loop_forever()


if __name__ == "__main__":
    main()
