"""The event key: what it says of an event, and that nothing else can have it."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from penstock.events import event_key, is_key, key_partition, key_time_ms

MOMENT = 1_767_225_600_123_456_789  # 2026-01-01T00:00:00.123456789Z


def test_key_is_a_uuid_of_version_8_and_the_rfc_variant() -> None:
    key = UUID(event_key("shop", "/till/1", "a-1", MOMENT, 28))
    assert key.version == 8
    assert key.variant == "specified in RFC 4122"


def test_key_stays_the_same_for_ever() -> None:
    """Stores hold these keys: a change here would store every event a second time."""
    assert event_key("shop", "/till/1", "a-1", MOMENT, 28) == "019b76da-a87b-871d-944b-6d617214ab98"


@given(st.integers(0, (1 << 48) * 1_000_000 - 1), st.integers(0, 63), st.text(max_size=20))
def test_key_tells_time_and_partition(time_ns: int, pp: int, id: str) -> None:
    key = event_key("shop", "/till/1", id, time_ns, pp)
    assert (key_time_ms(key), key_partition(key)) == (time_ns // 1_000_000, pp)
    assert is_key(key)


def test_each_name_and_each_nanosecond_makes_another_key() -> None:
    keys = {
        event_key("shop", "/till/1", "a-1", MOMENT, 28),
        event_key("shop2", "/till/1", "a-1", MOMENT, 28),
        event_key("shop", "/till/2", "a-1", MOMENT, 28),
        event_key("shop", "/till/1", "a-2", MOMENT, 28),
        event_key("shop", "/till/1", "a-1", MOMENT + 1, 28),
        event_key("shop", "/till/1a", "-1", MOMENT, 28),
    }
    assert len(keys) == 6


def test_keys_sort_by_time() -> None:
    keys = [event_key("shop", "s", str(n), MOMENT + n * 1_000_000, n % 64) for n in range(1000)]
    assert keys == sorted(keys)


def test_text_of_another_form_is_not_a_key() -> None:
    good = event_key("shop", "s", "i", MOMENT, 1)
    for bad in ("", good.upper(), good[:-1], good.replace("-8", "-4", 1), "x" * 36, good.replace("-", "_")):
        assert not is_key(bad), bad
