"""What is published, and the frames of the last minute: no service, no loop."""

import pytest

from monitoring.live import ring
from monitoring.live.channel import Newest, News
from monitoring.live.ring import Frame, Ring


def test_it_comes_out_as_it_went_in() -> None:
    news = News(
        {3: Newest(1_796_000_000_000_001, 2.57, 1), 2**60: Newest(5, -1e300, 7)}, {"empty": 2}, {3: "late"}
    )
    assert News.unpack(news.pack()) == news
    assert News.unpack(News().pack()) == News()
    assert not News()


@pytest.mark.parametrize(
    "data", [b"", b"garbage", b"\xc0", b"\x93\x01\x02\x03", News({1: Newest(1, 1, 1)}).pack()[:-1]]
)
def test_what_is_no_news_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not news"):
        News.unpack(data)


def test_the_newest_is_kept_and_rows_are_counted() -> None:
    news = News({1: Newest(10, 1.0, 2), 2: Newest(10, 5.0, 1)}, {"empty": 1}, {1: "late", 2: "ok"})
    news.add(News({1: Newest(9, 9.0, 3), 2: Newest(11, 6.0, 1)}, {"empty": 2, "bad_ts": 1}, {1: "silent"}))
    assert news.stored == {1: Newest(10, 1.0, 5), 2: Newest(11, 6.0, 2)}
    assert news.rejected == {"empty": 3, "bad_ts": 1}
    assert news.changed == {1: "silent", 2: "ok"}


def frame(id: int, *sensors: int) -> Frame:
    return Frame(id, News({sensor: Newest(id * 1000, id / 2, 1) for sensor in sensors}))


def test_a_frame_finds_its_sensors() -> None:
    found = frame(8, 5, 1, 900, 3)
    assert dict(found.of([1, 2, 5, 901])) == {1: Newest(8000, 4.0, 1), 5: Newest(8000, 4.0, 1)}
    assert list(frame(8).of([1])) == []


def test_a_ring_gives_what_came_later() -> None:
    frames = Ring()
    frames.whole_from = 0
    for id in (1000, 2000, 3000):
        frames.add(frame(id, 1))
    assert [one.id for one in frames.since(1000)] == [2000, 3000]
    assert frames.covers(0)


def test_a_ring_forgets_and_says_so() -> None:
    frames = Ring(seconds=60)
    assert not frames.covers(10**15), "nobody has listened yet"
    frames.whole_from = 500
    for id in range(1000, 70_000, 1000):
        frames.add(frame(id, 1))
    assert next(one.id for one in frames.since(0)) == 9000
    assert frames.covers(8000)
    assert not frames.covers(7999)
    frames.forget()
    assert not frames.covers(10**15)
    assert list(frames.since(0)) == []


def test_many_sensors_make_the_ring_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = Ring(most_values=10)
    frames.whole_from = 0
    for id in (1000, 2000, 3000):
        frames.add(frame(id, 1, 2, 3, 4))
    assert [one.id for one in frames.since(0)] == [2000, 3000]
    assert frames.covers(1000)
    assert not frames.covers(999)
    frames.add(frame(4000, *range(11)))
    assert list(frames.since(0)) == [], "a frame that is too large alone is not kept"
    assert not frames.covers(3999)
    assert ring.MOST_VALUES >= 60 * 10_000, "10,000 sensors a second have their minute"
