"""Which results share a transaction."""

from __future__ import annotations

from langgraph_integration.result_lanes import MOST_AT_ONCE, Lanes


def lanes(*sound: str) -> Lanes[str]:
    """Lanes whose topics have worked before."""
    found: Lanes[str] = Lanes(backoff=float)
    for topic in sound:
        found.add(topic, "first")
        found.succeeded(found.take(0))
    return found


def test_a_topic_that_is_not_tried_yet_goes_by_itself() -> None:
    # Given results for a topic that works, and for one that nobody has tried
    waiting = lanes("known")
    for topic in ("known", "new"):
        waiting.add(topic, topic)
    # When they are taken, then not in one transaction
    taken = [waiting.take(0), waiting.take(0)]
    assert sorted(map(list, taken)) == [["known"], ["new"]]
    # And once it has worked, it goes with the other
    for one in taken:
        waiting.succeeded(one)
    for topic in ("known", "new"):
        waiting.add(topic, topic)
    assert waiting.take(0) == {"known": ["known"], "new": ["new"]}


def test_what_failed_is_tried_again_in_order_after_a_while_and_holds_nobody_up() -> None:
    # Given a transaction of two topics that failed, twice for one of them
    waiting = lanes("a", "b")
    for result in "12":
        waiting.add("a", result)
    waiting.failed(waiting.take(0), now=0)
    assert waiting.take(0.9) == {}
    assert waiting.delay(0.9) is not None
    waiting.failed(waiting.take(1), now=1)
    # When others come meanwhile
    waiting.add("b", "3")
    waiting.add("a", "4")
    # Then the other topic goes on
    assert waiting.take(2.9) == {"b": ["3"]}
    assert waiting.take(2.9) == {}
    # And the first one follows with all it has
    assert waiting.delay(2) == 1
    assert waiting.take(3) == {"a": ["1", "2", "4"]}


def test_a_refusal_is_tried_one_by_one_until_it_is_known_whose_it_is() -> None:
    waiting = lanes("a", "b")
    for topic, result in (("a", "good"), ("a", "bad"), ("b", "other")):
        waiting.add(topic, result)
    # When a transaction of many is refused, then nobody is to blame yet
    assert waiting.refused(waiting.take(0)) == []
    # And each goes alone
    blamed, fine = [], []
    while (taken := waiting.take(0)) and sum(map(len, taken.values())) == 1:
        (result,) = next(iter(taken.values()))
        if result == "bad":
            blamed += waiting.refused(taken)
        else:
            fine.append(result)
            waiting.succeeded(taken)
    assert (blamed, sorted(fine)) == (["bad"], ["good", "other"])
    # And the topic of that one goes by itself until it works again
    for result in ("next", "after"):
        waiting.add("a", result)
        waiting.succeeded(waiting.take(0))
    for topic in ("a", "b"):
        waiting.add(topic, "last")
    assert waiting.take(0) == {"a": ["last"], "b": ["last"]}


def test_a_topic_that_fails_while_others_do_not_is_given_up_for_a_while() -> None:
    waiting = lanes("fine", "sick")
    # Given a topic that fails again and again
    waiting.add("sick", "1")
    assert waiting.failed(waiting.take(0), now=0) == []
    assert waiting.failed(waiting.take(1), now=1) == []
    # When another works meanwhile
    waiting.add("fine", "2")
    waiting.succeeded(waiting.take(1))
    # Then all of its results are given up with the third failure, and no more are wanted for a minute
    taken = waiting.take(3)
    waiting.add("sick", "3")
    assert waiting.failed(taken, now=3) == ["1", "3"]
    assert waiting.is_sick("sick", 62)
    assert not waiting.is_sick("sick", 63)
    assert not waiting.is_sick("fine", 3)
    # And one failure more is enough then, and one success sets all right
    waiting.add("sick", "4")
    assert waiting.failed(waiting.take(63), now=63) == ["4"]
    waiting.add("sick", "5")
    waiting.succeeded(waiting.take(123))
    assert not waiting.is_sick("sick", 123)
    waiting.add("sick", "6")
    assert waiting.failed(waiting.take(124), now=124) == []


def test_where_nothing_works_nothing_is_given_up() -> None:
    waiting = lanes("one", "other")
    for now in range(0, 100, 10):
        for topic in ("one", "other"):
            waiting.add(topic, "result")
        while taken := waiting.take(now):
            assert waiting.failed(taken, now) == []
    assert len(waiting) == 20


def test_neither_a_busy_topic_nor_one_in_trouble_starves_the_other() -> None:
    waiting = lanes("busy")
    for number in range(3):
        waiting.add("new", str(number))
    waiting.refused(waiting.take(0))
    for _ in range(4):
        waiting.add("busy", "result")
    seen = []
    for _ in range(4):
        taken = waiting.take(0)
        seen += list(taken)
        waiting.add("busy", "result")
        waiting.succeeded(taken)
    assert sorted(seen) == ["busy", "busy", "new", "new"]


def test_a_transaction_holds_so_many_and_no_more() -> None:
    waiting = lanes("a", "b")
    for number in range(MOST_AT_ONCE):
        waiting.add("a", str(number))
        waiting.add("b", str(number))
    sizes = [sum(map(len, waiting.take(0).values())) for _ in range(3)]
    assert sizes == [MOST_AT_ONCE, MOST_AT_ONCE, 0]
    assert waiting.delay(0) is None


def test_what_is_not_wanted_any_more_is_dropped() -> None:
    waiting = lanes("a")
    for result in ("keep", "drop"):
        waiting.add("a", result)
    waiting.keep(lambda result: result == "keep")
    assert len(waiting) == 1
    assert waiting.clear() == ["keep"]
    assert len(waiting) == 0
