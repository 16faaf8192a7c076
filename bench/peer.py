"""mq-bridge, as its documentation has a route: MQTT at QoS 1 into a table, in batches, by COPY.

    python -m bench.peer HOST PORT TOPIC DATABASE_URL TABLE

Says `ready` once it runs. Left out: a durable place before the acknowledgement, checks of sensors, kinds,
units and clocks, identity (what is redelivered is stored again), a ledger, what becomes of what is refused.
"""

import sys
import threading

from mq_bridge import Route


def main() -> None:
    host, port, topic, database, table = sys.argv[1:]
    mqtt = {
        "url": f"mqtt://{host}:{port}",
        "topic": topic,
        "qos": 1,
        "client_id": "bench-mq-bridge",
        "clean_session": False,
        "delayed_ack": True,
        "max_inflight": 4000,
        "queue_capacity": 100_000,
    }
    names = ("sensor_id", "value", "unit", "ts")
    values = ", ".join(f"${{payload:{name}}}" for name in names)
    insert = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values})"
    sql = {"url": database, "table": table, "insert_query": insert, "bulk_copy": True}
    route = Route.from_config({"input": {"mqtt": mqtt}, "output": {"sqlx": sql}, "batch_size": 1000}, "bench")
    with route:
        print("ready", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
