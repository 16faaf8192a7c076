"""A subscriber with a thread of its own: `ingest/follower.py`."""

import threading
import time

import pytest

from monitoring.ingest import after_commit
from monitoring.ingest.follower import Follower
from tests.journey.system import wait_for


class Looking:
    def __init__(self) -> None:
        self.begun = 0
        self.may_end = threading.Semaphore(0)

    def __call__(self) -> None:
        self.begun += 1
        self.may_end.acquire()


@pytest.fixture
def looking() -> Looking:
    return Looking()


def test_what_comes_while_it_looks_is_looked_at_once_more(looking: Looking) -> None:
    follower = Follower("test", looking, 0.0)
    end = follower.subscribe(lambda committed: None)
    follower.wake()
    wait_for(lambda: looking.begun == 1, "the first look")

    follower.wake()
    follower.wake()
    looking.may_end.release()

    wait_for(lambda: looking.begun == 2, "the second look")
    looking.may_end.release()
    end()
    assert looking.begun == 2


def test_no_thread_before_there_is_something_and_none_after_the_end(looking: Looking) -> None:
    follower = Follower("a follower of the test", looking, 0.0)
    end = follower.subscribe(lambda committed: None)

    def threads() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name == "a follower of the test"]

    assert threads() == []
    looking.may_end.release()
    follower.wake()
    assert threads() == ["a follower of the test"]
    end()
    assert threads() == []


def test_it_waits_between_two_looks(looking: Looking) -> None:
    looking.may_end.release(2)
    follower = Follower("test", looking, 0.3)
    end = follower.subscribe(lambda committed: None)
    began = time.monotonic()
    follower.wake()
    wait_for(lambda: looking.begun == 1, "the first look")
    follower.wake()
    wait_for(lambda: looking.begun == 2, "the second look")
    assert time.monotonic() - began >= 0.3
    end()


def test_after_a_long_look_it_rests_for_as_long(looking: Looking) -> None:
    """Half of the time is for storing, whatever it looks at."""
    follower = Follower("test", looking, 0.0)
    end = follower.subscribe(lambda committed: None)
    began = time.monotonic()
    follower.wake()
    wait_for(lambda: looking.begun == 1, "the first look")
    wait_for(lambda: time.monotonic() - began > 0.4, "a long look")
    ended = time.monotonic()
    looking.may_end.release(2)
    follower.wake()
    wait_for(lambda: looking.begun == 2, "the second look")
    assert time.monotonic() - ended >= 0.3
    end()


def test_after_its_end_it_is_told_nothing(looking: Looking) -> None:
    before = list(after_commit._subscribers)
    end = Follower("test", looking).subscribe(lambda committed: None, lambda: False)
    assert len(after_commit._subscribers) == len(before) + 1
    end()
    assert after_commit._subscribers == before
