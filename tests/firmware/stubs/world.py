"""What the stubs say: a JSON file that the test writes, read anew at every question. MICROPYTHON, not Python.

wifi            whether there is a network
dht             "ok", "timeout", "checksum"
ntp             null: no answer; "true": the machine's time; a number: this many Unix seconds;
                {"off": s}: the machine's time and so many seconds
temperature, humidity, u16, uv: what is measured; without them, values that are different each time
"""

import json
import os

PATH = os.getenv("WORLD")


def of(name, otherwise=None):
    with open(PATH) as file:
        return json.load(file).get(name, otherwise)
