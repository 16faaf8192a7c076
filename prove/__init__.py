"""The proof that nothing is lost and nothing doubled: `make prove`, or `python -m prove`.

The real system, each part a process of its own, under a steady load at QoS 1 whose every PUBACK is written
down; its parts are killed with SIGKILL and stopped with SIGSTOP, at moments that a seed decides. At rest,
what was acknowledged is compared, value by value, with what the tables hold.

streams      what is published, and what must have come of it
publisher    sends it, and writes down what was acknowledged
system       the services and the Procfile's processes
faults       what happens to them, and when
watch        how far ingest is meanwhile, and for how long it stood still
comparison   acknowledged against stored

Beside it `remedies`, the proof that the tests would notice: `make remedies`.
"""
