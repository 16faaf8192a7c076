"""The embedded MQTT broker's own process: ``python iotcore_server.py OPTIONS`` (a JSON object)."""

import json
import logging
import sys

from iotcore.iotcore import IotCoreBroker


def main() -> None:
    # rumqttd writes an ERROR record for every packet (its tracing spans); only warnings of others count.
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
    IotCoreBroker(**json.loads(sys.argv[1])).run_forever()


if __name__ == "__main__":
    main()
