"""Has a heartbeat and a child of its own; the worker's child ignores SIGTERM, as stuck ones do."""

import os
import subprocess
import sys
import time

import redis

name = sys.argv[1]
print("starting")
if os.environ.get("BROKEN") == name:
    print("cannot import the moon")
    sys.exit(7)
if os.environ.get("GRANDCHILDREN") != "0":
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" if name == "worker" else ""
    subprocess.Popen([sys.executable, "-c", deaf + "import time; time.sleep(600)"])
# As a bridge with a name of its own does.
own = f"{name}@{os.environ['BRIDGE_NAME']}" if name == "bridge" and os.environ.get("BRIDGE_NAME") else name
client = redis.Redis.from_url(os.environ["REDIS_URL"])
while True:
    try:
        client.set(f"iot:heartbeat:{own}", "1", ex=20)
        client.incr(f"test:rounds:{name}")
    except redis.RedisError:
        print("Redis is away")
    if os.environ.get("TALKS") == name:
        print("2026-01-28 16:07:55+01:00 INFO    a message", flush=True)
        print("2026-01-28 16:07:55+01:00 WARNING something", flush=True)
    time.sleep(0.2)
