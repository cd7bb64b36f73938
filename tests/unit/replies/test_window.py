from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from workflow_events.replies.window import RecentRecords

PER_RECORD = 320 + 8


@dataclass
class Record:
    partition: int
    offset: int
    key: int
    value: bytes = b"12345678"
    headers: list[tuple[str, bytes | None]] = field(init=False)

    def __post_init__(self) -> None:
        self.headers = [("correlation-id", name(self.key))]


def name(key: int) -> bytes:
    return str(UUID(int=key)).encode()


def test_what_was_read_lately_is_found_by_its_key() -> None:
    window = RecentRecords(100 * PER_RECORD)
    window.start_at({0: 10})
    window.append(0, [Record(0, 10, 1), Record(0, 11, 2)])
    window.append(0, [Record(0, 12, 1)])
    assert [record.offset for record in window.find(name(1))] == [10, 12]
    assert window.find(name(3)) == []
    window.append(0, [Record(0, 13, 3)])
    assert [record.offset for record in window.find(name(3))] == [13]


def test_it_covers_what_begins_where_it_begins_and_not_before() -> None:
    window = RecentRecords(100 * PER_RECORD)
    window.start_at({0: 10, 1: 0})
    assert window.covers({0: 10})
    assert not window.covers({0: 9})
    assert not window.covers({})
    window.start_at({0: 1})
    assert not window.covers({})


def test_a_partition_it_was_not_told_of_begins_with_its_first_record() -> None:
    window = RecentRecords(100 * PER_RECORD)
    window.append(0, [Record(0, 5, 1)])
    assert window.covers({0: 5})
    assert not window.covers({0: 4})


def test_keys_that_were_found_already_are_not_looked_for_again() -> None:
    window = RecentRecords(100 * PER_RECORD)
    window.start_at({0: 0})
    window.append(0, [Record(0, 0, 1), Record(0, 1, 1)], [name(2), None])
    assert [record.offset for record in window.find(name(2))] == [0]
    assert window.find(name(1)) == []


def test_the_oldest_batch_goes_first_and_is_then_not_covered() -> None:
    window = RecentRecords(3 * PER_RECORD)
    window.start_at({0: 0})
    window.append(0, [Record(0, 0, 1), Record(0, 1, 2)])
    assert len(window.find(name(1))) == 1
    window.append(0, [Record(0, 2, 1), Record(0, 3, 2)])
    assert not window.covers({0: 1})
    assert window.covers({0: 2})
    assert [record.offset for record in window.find(name(1))] == [2]


def test_what_has_gone_is_not_found_whether_its_id_stood_in_the_header_the_body_or_nowhere() -> None:
    bare = Record(0, 1, 1, value=b'{"correlation_id": "' + name(1) + b'"}')
    bare.headers = []
    nameless = Record(0, 0, 1)
    nameless.headers = []
    window = RecentRecords(4 * PER_RECORD)
    window.start_at({0: 0})
    window.append(0, [nameless, bare, Record(0, 2, 1)])
    assert [record.offset for record in window.find(name(1))] == [1, 2]
    window.append(0, [Record(0, 3, 1), Record(0, 4, 2)])
    assert [record.offset for record in window.find(name(1))] == [3]


def test_a_batch_larger_than_the_bound_is_not_kept() -> None:
    window = RecentRecords(PER_RECORD)
    window.start_at({0: 0})
    window.append(0, [Record(0, 0, 1), Record(0, 1, 1)])
    assert (window.size, window.find(name(1))) == (0, [])
    assert not window.covers({0: 1})
    assert window.covers({0: 2})


def test_what_fits_exactly_is_kept() -> None:
    records = [Record(0, 0, 1), Record(0, 1, 1)]
    wide = RecentRecords(100 * PER_RECORD)
    assert wide.size == 0
    wide.append(0, records)
    exact = RecentRecords(wide.size)
    exact.append(0, records)
    assert len(exact.find(name(1))) == 2


def test_headers_are_kept_and_counted_where_signatures_will_be_asked_for_and_nowhere_else() -> None:
    records = [Record(0, 0, 1), Record(0, 1, 1)]
    records[1].headers.append(("signature", None))
    bare, whole = RecentRecords(100 * PER_RECORD), RecentRecords(100 * PER_RECORD, keep_headers=True)
    for window in (bare, whole):
        window.append(0, records)
    assert [record.headers for record in bare.find(name(1))] == [(), ()]
    assert [record.headers for record in whole.find(name(1))] == [record.headers for record in records]
    assert (bare.size, whole.size) == (2 * PER_RECORD, 2 * (PER_RECORD + len(name(1))))
    assert (bare.keep_headers, whole.keep_headers) == (False, True)


def test_a_new_start_forgets_everything() -> None:
    window = RecentRecords(100 * PER_RECORD)
    window.append(0, [Record(0, 0, 1)])
    window.start_at({0: 50})
    assert window.find(name(1)) == []
    assert window.size == 0
    assert not window.covers({0: 1})


@given(
    st.integers(1, 30),
    st.lists(
        st.tuples(st.integers(0, 2), st.lists(st.integers(0, 5), min_size=1, max_size=6), st.booleans()), max_size=30
    ),
)
def test_it_finds_exactly_what_it_says_it_covers(bound: int, batches: list[tuple[int, list[int], bool]]) -> None:
    """Against a model that keeps everything: within a covered cursor nothing is missing, and nothing is made up."""
    window = RecentRecords(bound * PER_RECORD)
    window.start_at({0: 0, 1: 0, 2: 0})
    every: list[Record] = []
    ends = {0: 0, 1: 0, 2: 0}
    for partition, keys, look in batches:
        records = [Record(partition, ends[partition] + step, key) for step, key in enumerate(keys)]
        ends[partition] += len(keys)
        every += records
        window.append(partition, records)
        assert window.size <= bound * PER_RECORD
        if look:
            window.find(name(0))
    cursor = {
        partition: next(offset for offset in range(end + 1) if window.covers({**ends, partition: offset}))
        for partition, end in ends.items()
    }
    for key in range(6):
        wanted = [record for record in every if record.key == key and record.offset >= cursor[record.partition]]
        found = [(record.partition, record.offset, record.value) for record in window.find(name(key))]
        assert found == [(record.partition, record.offset, record.value) for record in wanted]
