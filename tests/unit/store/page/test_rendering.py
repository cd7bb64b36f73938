"""What each page is sent as, whatever is in it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from starlette.responses import HTMLResponse

from result_store.analytics.answers import Durations, LatencyBucket, StatusBucket, StepSummary
from result_store.page import rendering, views
from result_store.page.chart_view import Answers, charts_view
from result_store.page.charts import WINDOWS
from result_store.page.viewer import Viewer, local_path, tabs_of
from result_store.records import (
    BatchStatus,
    BatchSummary,
    DeadLetterRecord,
    Execution,
    InvalidMessageRecord,
    Page,
    Phase,
    RunState,
    Scope,
)
from tests.unit.store.page.made import ID, NOW, ago, entry, frame, record, summary

HOSTILE = "</script></pre></title><script>alert(1)</script><img src=x onerror=alert(1)>'\" onclick=alert(1) {{ 7*7 }}"


def _pages() -> dict[str, HTMLResponse]:
    run = record(
        RunState.ERROR,
        workflow_id=HOSTILE,
        workflow_run_id=HOSTILE,
        user_id=HOSTILE,
        worker=HOSTILE,
        status=RunState.ERROR,
        error=HOSTILE,
        error_type=HOSTILE,
        error_node=HOSTILE,
        error_detail={"causes": [{"type": HOSTILE, "message": HOSTILE}, HOSTILE]},
        result={HOSTILE: HOSTILE},
        interrupts=[{"value": HOSTILE}],
        execution=Execution(stdout=HOSTILE, stderr=HOSTILE, exit_code=1, duration_ms=1.0, peak_memory_bytes=1),
        timeline=[entry(0, "requested"), entry(1, HOSTILE, node=HOSTILE, worker=HOSTILE, status=HOSTILE, data=HOSTILE)],
    )
    one = summary(workflow_id=HOSTILE, workflow_run_id=HOSTILE, node=HOSTILE, worker=HOSTILE, error=HOSTILE)
    batch: dict[str, Any] = {
        "workflow_run_id": HOSTILE,
        "total": 1,
        "by_state": {RunState.RUNNING: 1},
        "by_phase": {Phase.RUNNING: 1},
        "updated_at": NOW,
    }
    place: dict[str, Any] = {"topic": "t", "partition": 0, "offset": 1, "correlation_id": ID, "size": 3, "at": ago(9)}
    letter = DeadLetterRecord(**place, code=HOSTILE, reason=HOSTILE, origin_topic=HOSTILE)
    invalid = InvalidMessageRecord(**place, error_type=HOSTILE, error=HOSTILE, value=HOSTILE)
    window = WINDOWS[0]
    at = window.buckets(NOW)[3]
    took = Durations(measured=3, mean=1.0, p50=1.0, p95=2.0)
    step = StepSummary(workflow_id=HOSTILE, name=HOSTILE, runs=3, failures=1, failure_rate=1 / 3, duration=took)
    answers = Answers(
        statuses=[StatusBucket(at=at, total=2, by_state={RunState.ERROR: 2}, failure_rate=1.0)],
        latencies=[LatencyBucket(at=at, runs=3, duration=took, turnaround=took)],
        slowest=[step],
        failing=[step],
    )
    counts = {RunState.RUNNING: 1}
    shown: dict[str, tuple[str, views.Frame]] = {
        "in flight": ("in_flight", views.in_flight_view(frame(), Page(items=[one], next=HOSTILE), counts, cursor="c")),
        "runs": (
            "runs",
            views.runs_view(frame(), Page(items=[one]), chosen=frozenset(), workflow=HOSTILE, cursor=HOSTILE),
        ),
        "run": ("run", views.run_view(frame(), run)),
        "batches": ("batches", views.batches_view(frame(), Page(items=[BatchSummary(**batch)]), cursor=None)),
        "batch": ("batch", views.batch_view(frame(), BatchStatus(**batch, requests=Page(items=[one])), cursor=None)),
        "dead letters": ("letters", views.letters_view(frame(), Page(items=[letter]), cursor=None)),
        "invalid messages": ("letters", views.invalid_view(frame(), Page(items=[invalid]), cursor=None)),
        "charts": ("charts", charts_view(frame(), window, answers)),
        "sign in": ("sign_in", views.SignInView(now=NOW, viewer=None, next=HOSTILE, problem=HOSTILE)),
        "problem": ("problem", views.ProblemView(now=NOW, viewer=None, status=404, title=HOSTILE, text=HOSTILE)),
    }
    return {name: rendering.page(f"{template}.html.j2", {"view": view}) for name, (template, view) in shown.items()}


class _Elements(HTMLParser):
    """Collects the elements of a page, and checks that they are closed in order."""

    _VOID = frozenset({"meta", "link", "input", "img", "br", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self._VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", list(_pages()))
def test_a_page_is_whole_and_holds_no_element_that_is_not_the_templates(name: str) -> None:
    # Given a page on which every word is hostile
    answer = _pages()[name]
    elements = _Elements()
    elements.feed(bytes(answer.body).decode())

    # Then what it says is there as text, and its elements are the templates' alone
    assert elements.open == []
    tags = [tag for tag, _ in elements.seen]
    assert tags.count("script") == 1
    assert "img" not in tags
    for tag, attributes in elements.seen:
        assert not [attribute for attribute in attributes if attribute.startswith("on") or attribute == "style"]
        for link in ("href", "src", "action"):
            target = attributes.get(link)
            assert target is None or re.match(r"[/#](?![/\\])", target), f"{tag} leads to {target}"
    if name != "sign in":
        assert "<img src=x onerror=alert(1)>" in elements.text
    # And the policy would stop what came through nevertheless
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"


def test_a_page_refers_to_files_by_what_is_in_them_and_to_nothing_elsewhere() -> None:
    body = bytes(
        rendering.page(
            "problem.html.j2", {"view": views.ProblemView(now=NOW, viewer=None, status=404, title="t", text="t")}
        ).body
    ).decode()

    for name in ("page.css", "page.js", "icon.svg"):
        path = rendering.asset_path(name)
        assert path in body
        answer = rendering.asset(name)
        assert answer is not None
        assert "immutable" in answer.headers["cache-control"]
        assert not re.search(rb"https?://(?!www\.w3\.org/2000/svg)", bytes(answer.body))
    assert rendering.asset("../rendering.py") is None
    assert rendering.asset("page.html") is None


def test_a_run_with_a_very_long_timeline_is_a_page_that_a_browser_can_hold() -> None:
    told = [entry(n / 1000, "custom", node="n", data={"text": "x" * 16_000}) for n in range(5000)]
    run = record(timeline=[entry(0, "requested"), *told])

    body = bytes(rendering.page("run.html.j2", {"view": views.run_view(frame(), run)}).body).decode()

    assert len(body) < 6_000_000
    assert "All 5,001 events" in body
    assert "The first 1,000" in body


@pytest.mark.parametrize(
    "asked,to",
    [
        (None, "/"),
        ("", "/"),
        ("/runs?state=error&workflow=a%20b", "/runs?state=error&workflow=a%20b"),
        ("https://elsewhere.example/", "/"),
        ("//elsewhere.example/", "/"),
        ("/\\elsewhere.example/", "/"),
        ("/\t/elsewhere.example", "/"),
        ("javascript:alert(1)", "/"),
        ("runs", "/"),
    ],
)
def test_after_a_sign_in_nobody_is_led_elsewhere(asked: str | None, to: str) -> None:
    assert local_path(asked) == to


def test_who_is_bound_to_a_user_is_offered_only_what_is_theirs() -> None:
    ada = Viewer("notebook", Scope(user_id="ada"), signed_in=True)

    assert [tab.name for tab in tabs_of(ada)] == ["flight", "runs", "batches"]
    assert [tab.name for tab in tabs_of(frame().viewer)] == ["flight", "runs", "batches", "letters", "charts"]
    assert tabs_of(None) == ()


def test_requests_that_want_a_look_stand_first_and_the_oldest_of_them_before_all() -> None:
    silent: dict[str, Any] = {"heartbeat_interval": 5.0, "last_heard_at": ago(100)}
    runs = [
        summary(workflow_id="well", requested_at=ago(900)),
        summary(workflow_id="silent", requested_at=ago(200), **silent),
        summary(workflow_id="longer", requested_at=ago(300), **silent),
    ]

    view = views.in_flight_view(frame(), Page(items=runs), {}, cursor=None)

    assert [row.run.workflow_id for row in view.rows] == ["longer", "silent", "well"]
    assert view.looks == 2
