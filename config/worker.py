"""What this project adds to Celery's worker: it outlives Redis and its children, sends a heartbeat, and ends
in time."""

import logging
import os
import pickle
import signal
import threading
from typing import Any

import billiard
from billiard.einfo import ExceptionInfo
from billiard.reduction import ForkingPickler
from celery import bootsteps
from celery.concurrency import asynpool, prefork
from celery.worker.consumer import Consumer as CeleryConsumer

from batches.queues import INGEST_QUEUE, UPKEEP_QUEUE
from monitoring.store import pulse
from process.heartbeat import INTERVAL_SECONDS

logger = logging.getLogger(__name__)

EXCEPTION_BYTES = 1_000
TRACEBACK_BYTES = 1_500


class Consumer(CeleryConsumer):
    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Forgets the lost connection, even where it cannot be closed.

        Closing returns unacknowledged tasks to their queue. With Redis the second of Celery's two attempts no
        longer has an address to do that at, and its error would end the worker. Nothing is lost by ignoring
        it: `resend_overdue` sends tasks for due batches again anyway.
        """
        try:
            super().on_connection_error_after_connected(exc)
        except Exception as error:
            logger.warning("the lost connection is dropped unclosed: %r", error)


class _Children(asynpool.AsynPool):
    def _track_child_process(self, child: Any, hub: Any) -> None:
        """Watches for the end of a child, also where it has been seen already.

        Celery then notes None for what it watches. A child whose end is seen, and that is not replaced yet
        when a new connection has all children watched anew, would end the worker: None is no descriptor.
        """
        if getattr(child, "_sentinel_poll", child) is None:
            del child._sentinel_poll
        super()._track_child_process(child, hub)  # type: ignore[misc]  # the stubs lack it


class Pool(prefork.TaskPool):
    """The prefork pool, which outlives any of its children at any moment."""

    Pool = _Children

    def did_start_ok(self) -> bool:
        """Replaces children that have ended before the first connection; Celery ends the worker instead.

        Where Redis is late that is long after they started. Children that cannot start at all end it
        anyway: so many in one second are refused (billiard's RestartFreqExceeded).
        """
        self.maintain_pool()
        return True


# What a worker is called by the queue that it takes tasks from.
PROCESS_OF = {INGEST_QUEUE: "worker", UPKEEP_QUEUE: "upkeep"}


class Heartbeat(bootsteps.StartStopStep):
    """A heartbeat every few seconds while this worker takes tasks: one for each queue of ours that it serves.

    It is a step of the consumer, which starts its steps again after it has lost its broker, and with that the
    timer's entries. It is on the timer of the main loop, so that a loop that hangs sends none.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        queues = consumer.app.amqp.queues.consume_from
        self.pulses = [pulse(process) for queue, process in PROCESS_OF.items() if queue in queues]
        self.entry: Any = None

    def start(self, consumer: Any) -> None:
        self.beat()
        self.entry = consumer.timer.call_repeatedly(INTERVAL_SECONDS, self.beat)

    def beat(self) -> None:
        for one in self.pulses:
            one.beat()

    def stop(self, consumer: Any) -> None:
        if self.entry is not None:
            self.entry.cancel()
            self.entry = None

    shutdown = stop


class EndsInTime(bootsteps.StartStopStep):
    """A shutdown timeout: a worker that is still stopping when its last task must have ended is killed.

    Celery waits for its pool without a limit. Whatever holds that up, only a worker that is gone is
    restarted by its supervisor.
    """

    # Beyond what a task may take, and before a container's stop_grace_period is over.
    MARGIN_SECONDS = 5

    def close(self, worker: Any) -> None:
        limit = threading.Timer(worker.app.conf.task_time_limit + self.MARGIN_SECONDS, self._end)
        limit.daemon = True
        limit.start()

    @staticmethod
    def _end() -> None:
        logger.critical("still stopping, though no task can be running any more: ended")
        for child in billiard.active_children():
            if child.pid is not None:
                os.kill(child.pid, signal.SIGKILL)
        os._exit(1)


def shortened(failure: ExceptionInfo) -> tuple[Any, ...]:
    """What `__reduce__` gives for the failure of a task, from a child of the pool to its parent.

    Less than PIPE_BUF bytes, whatever failed, since a write of so many to a pipe is atomic. With all its
    frames a failure has 80 KB and more, and a pipe holds 64. A worker that loses Redis after it has read a
    part of one starts its loop anew and takes the rest for the beginning of a message, for whose end it then
    waits for ever. The child has logged the whole.
    """
    exception = getattr(failure.exception, "exc", failure.exception)
    try:
        pickled = pickle.dumps(exception)
        # Some can be written and not read, and the parent must not fail on one.
        pickle.loads(pickled)  # noqa: S301 -- our own, of a moment ago
        fits = len(pickled) <= EXCEPTION_BYTES
    except Exception:
        fits = False
    if not fits:
        what = f"{type(exception).__name__}: {exception}".encode(errors="replace")
        exception = RuntimeError(what[:EXCEPTION_BYTES].decode(errors="ignore"))
    end = str(failure.traceback).encode(errors="replace")[-TRACEBACK_BYTES:]
    state = {
        "type": type(exception),
        "exception": exception,
        "traceback": end.decode(errors="ignore"),
        "internal": failure.internal,
    }
    return ExceptionInfo.__new__, (ExceptionInfo,), state


ForkingPickler.register(ExceptionInfo, shortened)  # type: ignore[attr-defined]  # the stubs say Pickler
