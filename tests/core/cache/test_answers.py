from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.cache.answers import (
    OVERHEAD,
    PIECE,
    AnswerRecording,
    AnswerStore,
    CachedAnswer,
    CachePolicy,
    ModelCache,
    about_body,
    cache_control,
    pieces,
)
from gateway.errors import InvalidRequest

MODEL = ModelCache(ttl=300)


def entry(body: bytes = b"x", *, created: float = 0.0, ttl: float = 60.0) -> CachedAnswer:
    return CachedAnswer(
        dialect="openai_chat",
        status=200,
        headers=(),
        body=body,
        stream=True,
        created=created,
        ttl=ttl,
    )


# What a request says of caching...

CONTROLS: list[tuple[bytes | None, ModelCache | None, float | None]] = [
    (None, None, None),
    (None, MODEL, 300),
    (b"off", None, None),
    (b"off", MODEL, None),
    (b" OFF ", MODEL, None),
    (b"ttl=5", None, 5),
    (b"ttl=5", MODEL, 5),
    (b"TTL=0.5", MODEL, 0.5),
    (b"ttl=999999", None, 3600),
    (None, ModelCache(ttl=7200), 3600),
]


@pytest.mark.parametrize(("header", "model", "expected"), CONTROLS)
def test_for_how_long_an_answer_is_kept(
    header: bytes | None, model: ModelCache | None, expected: float | None
) -> None:
    assert cache_control(header, model, 3600) == expected


WRONG = [
    *(b"", b"on", b"5", b"ttl", b"ttl=", b"ttl=0", b"ttl=0.0", b"ttl=-1", b"ttl=1e3", b"ttl=nan"),
    *(b"ttl=5s", b"ttl=5, off", b"ttl = 5", b"ttl=.5", b"ttl=5.", b"ttl=1_0", b"max-age=5"),
    *(b"ttl=" + b"9" * 5000, "ttl=٣".encode(), b"ttl=5\nx"),
]


@pytest.mark.parametrize("header", WRONG)
def test_anything_else_is_refused_with_what_is_right(header: bytes) -> None:
    for model in (None, MODEL):
        with pytest.raises(InvalidRequest, match="'off' or 'ttl=SECONDS'") as caught:
            cache_control(header, model, 3600)
        assert caught.value.status == 400


def test_the_operator_can_turn_it_off_for_everybody() -> None:
    assert cache_control(b"ttl=5", MODEL, 0) is None


@pytest.mark.parametrize(
    "table",
    [{"ttl": 0}, {"ttl": -1}, {}, {"ttl": 1, "size": 3}],
)
def test_a_model_needs_a_time_to_live(table: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(table, ModelCache)


# Time...


def test_an_entry_expires_to_the_second() -> None:
    store = AnswerStore(CachePolicy())
    store.put(b"k", entry(created=10, ttl=60), 10)
    assert store.get(b"k", 69.999, 1000) is not None
    assert store.get(b"k", 70, 1000) is None
    assert (len(store), store.stored) == (0, 0)


def test_who_wants_a_fresher_answer_does_not_get_an_older_one() -> None:
    store = AnswerStore(CachePolicy())
    store.put(b"k", entry(ttl=60), 0)
    assert store.get(b"k", 5, 5) is None
    assert store.get(b"k", 4.999, 5) is not None
    # And it stays for who does not mind.
    assert store.get(b"k", 30, 60) is not None


def test_what_nobody_asks_for_goes_too() -> None:
    store = AnswerStore(CachePolicy())
    for number in range(10):
        store.put(b"%d" % number, entry(ttl=10 + number), 0)
    assert store.get(b"other", 14, 60) is None
    assert len(store) == 5


def test_a_newer_answer_outlives_the_one_it_replaced() -> None:
    store = AnswerStore(CachePolicy())
    store.put(b"k", entry(b"old", ttl=10), 0)
    store.put(b"k", entry(b"new", created=5, ttl=10), 5)
    found = store.get(b"k", 12, 60)
    assert found is not None
    assert (found.body, len(store), store.stored) == (b"new", 1, 3 + OVERHEAD)
    assert store.get(b"k", 15, 60) is None


def test_times_of_entries_that_are_gone_do_not_pile_up() -> None:
    store = AnswerStore(CachePolicy())
    for _ in range(10_000):
        store.put(b"k", entry(), 0)
    assert len(store._expiries) <= 100
    assert store.get(b"k", 59, 60) is not None
    assert store.get(b"k", 60, 60) is None


@pytest.mark.parametrize(("now", "age"), [(10, b"0"), (10.99, b"0"), (71.5, b"61"), (9, b"0")])
def test_age_is_in_whole_seconds(now: float, age: bytes) -> None:
    assert entry(created=10).age(now) == age


# Room...


def test_the_least_recently_used_goes_first() -> None:
    store = AnswerStore(CachePolicy(max_bytes=3 * (OVERHEAD + 100)))
    for name in (b"a", b"b", b"c"):
        store.put(name, entry(bytes(100)), 0)
    assert store.get(b"a", 1, 60) is not None
    store.put(b"d", entry(bytes(100)), 1)
    assert [store.get(name, 1, 60) is not None for name in (b"a", b"b", b"c", b"d")] == [
        *(True, False, True, True)
    ]
    # A larger one takes the place of two.
    store.put(b"e", entry(bytes(200)), 1)
    assert [store.get(name, 1, 60) is not None for name in (b"a", b"c", b"d", b"e")] == [
        *(False, False, True, True)
    ]


def test_what_is_too_large_is_not_stored_and_pushes_nothing_out() -> None:
    store = AnswerStore(CachePolicy(max_bytes=2000, max_entry_bytes=1000))
    store.put(b"a", entry(), 0)
    store.put(b"b", entry(bytes(1001)), 0)
    assert store.get(b"b", 0, 60) is None
    assert store.get(b"a", 0, 60) is not None
    store.put(b"c", entry(bytes(1000)), 0)
    assert store.get(b"c", 0, 60) is not None
    assert AnswerStore(CachePolicy(max_bytes=0)).hold(1) is False


def test_an_old_answer_goes_even_if_its_successor_has_no_room() -> None:
    store = AnswerStore(CachePolicy(max_entry_bytes=10))
    store.put(b"k", entry(b"old"), 0)
    store.put(b"k", entry(bytes(11)), 1)
    assert store.get(b"k", 1, 60) is None


def test_recordings_count_and_push_entries_out() -> None:
    store = AnswerStore(CachePolicy(max_bytes=2000))
    store.put(b"a", entry(bytes(400)), 0)
    store.put(b"b", entry(bytes(400)), 0)
    assert store.hold(900)
    assert (len(store), store.held, store.stored) == (1, 900, 400 + OVERHEAD)
    # More than there will ever be: refused, and nothing is given up for it.
    assert not store.hold(1101)
    assert len(store) == 1
    store.release(900)
    assert store.held == 0


def test_a_smaller_cache_after_a_reload() -> None:
    store = AnswerStore(CachePolicy())
    for number in range(10):
        store.put(b"%d" % number, entry(bytes(100)), 0)
    assert store.hold(100)
    store.adopt(CachePolicy(max_bytes=3 * (OVERHEAD + 100)))
    assert len(store) == 2
    store.adopt(CachePolicy(max_bytes=0))
    assert (len(store), store.stored, store.held) == (0, 0, 100)


@given(st.randoms(use_true_random=False), st.integers(0, 5000))
def test_the_books_balance(rng: random.Random, max_bytes: int) -> None:
    store = AnswerStore(CachePolicy(max_bytes=max_bytes, max_entry_bytes=1000))
    now = 0.0
    recordings: list[AnswerRecording] = []
    for _ in range(60):
        now += rng.random()
        name = b"%d" % rng.randrange(6)
        match rng.randrange(5):
            case 0:
                store.put(name, entry(bytes(rng.randrange(1200)), created=now, ttl=3), now)
            case 1:
                found = store.get(name, now, 2)
                assert found is None or found.created + 2 > now
            case 2:
                recordings.append(AnswerRecording(store, name, "openai_chat", 3))
            case 3 if recordings:
                rng.choice(recordings).add(bytes(rng.randrange(600)))
            case _ if recordings:
                recording = recordings.pop()
                if rng.random() < 0.5:
                    recording.keep(200, (), now, stream=False)
                recording.drop()
        entries = store._entries.values()
        assert store.stored == sum(each.size for each in entries)
        assert store.held == sum(each._size for each in recordings)
        assert store.stored + store.held <= max_bytes
        assert store.get(b"never", now, 1) is None
        assert all(each.created + each.ttl > now for each in entries)


# Recordings...


def test_a_recording_becomes_an_entry() -> None:
    store = AnswerStore(CachePolicy())
    recording = AnswerRecording(store, b"k", "openai_chat", 60)
    recording.add(b"one")
    recording.add(b"two")
    assert store.held == 6
    recording.keep(200, ((b"content-type", b"x"),), 7.0, stream=True)
    recording.drop()
    assert (store.held, recording.going) == (0, False)
    assert store.get(b"k", 8, 60) == CachedAnswer(
        dialect="openai_chat",
        status=200,
        headers=((b"content-type", b"x"),),
        body=b"onetwo",
        stream=True,
        created=7.0,
        ttl=60,
    )


@pytest.mark.parametrize("policy", [CachePolicy(max_entry_bytes=5), CachePolicy(max_bytes=5)])
def test_a_recording_that_grows_too_large_holds_nothing(policy: CachePolicy) -> None:
    store = AnswerStore(policy)
    recording = AnswerRecording(store, b"k", "openai_chat", 60)
    recording.add(b"12345")
    assert (store.held, recording.going) == (5, True)
    recording.add(b"6")
    assert (store.held, recording.going) == (0, False)
    recording.add(b"7")
    recording.keep(200, (), 1.0, stream=True)
    assert (store.held, len(store)) == (0, 0)


def test_only_what_describes_the_body_is_kept_of_a_head() -> None:
    head = (
        (b"content-type", b"text/event-stream"),
        (b"x-gateway-provider", b"a"),
        (b"cache-control", b"no-cache"),
        (b"x-ratelimit-remaining-requests", b"7"),
    )
    assert about_body(head) == (head[0], head[2])


# Pieces...


def events(*sizes: int) -> bytes:
    return b"".join(b"data: %b\n\n" % (b"x" * (size - 8)) for size in sizes)


PIECES = {
    "nothing": (b"", []),
    "a little": (events(100), [100]),
    "just fits": (events(PIECE - 100, 100), [PIECE]),
    "one too many": (events(PIECE - 100, 101), [PIECE - 100, 101]),
    "many": (events(*[1000] * 150), [65_000, 65_000, 20_000]),
    "one large": (events(200_000), [200_000]),
    "one large in the middle": (events(100, 200_000, 100), [200_100, 100]),
    "a large one that ends at the border": (events(PIECE, 100), [PIECE, 100]),
    "an end across the border": (events(PIECE + 1, 100), [PIECE + 1, 100]),
    "no end": (b"x" * 200_000, [200_000]),
}


@pytest.mark.parametrize(("body", "sizes"), PIECES.values(), ids=PIECES)
def test_a_stream_is_cut_where_events_end(body: bytes, sizes: list[int]) -> None:
    found = list(pieces(body))
    assert [len(piece) for piece in found] == sizes
    assert b"".join(found) == body


@given(st.lists(st.integers(8, 100_000), max_size=12))
def test_pieces_are_whole_events_and_all_of_them(sizes: list[int]) -> None:
    body = events(*sizes)
    found = list(pieces(body))
    assert b"".join(found) == body
    assert all(piece.endswith(b"\n\n") for piece in found)
    for piece in found[:-1]:
        # Larger only for the sake of its last event.
        assert len(piece) >= 16 * 1024
        assert len(piece) <= PIECE or piece.rfind(b"\n\n", 0, -2) < PIECE
