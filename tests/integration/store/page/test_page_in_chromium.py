"""The page in a real browser, over a store that runs as its users run it: published to Kafka, stored, announced, seen."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from result_store.page.words import span
from tests.integration.store.page.conftest import PATIENCE
from tests.integration.store.page.running_store import RunningStore
from tests.integration.store.page.telling import Run, dead_letter, publish
from workflow_events.events import ResultStatus
from workflow_events.settings import KafkaSettings
from workflow_events.wire import OutgoingMessage

# A store, a broker and a browser have to start first, on a machine that may be busy.
pytestmark = pytest.mark.timeout(400)
expect.set_options(timeout=PATIENCE)
Opener = Callable[..., Page]
HOSTILE = '<script>alert("got in")</script><img src=x onerror=alert(1)>"\'></pre><b>bold</b>{{ "ti"*3 }}\u202e'


def a_run(**options: object) -> Run:
    return Run(datetime.now(UTC) - timedelta(seconds=2), **options)  # type: ignore[arg-type]


def test_a_run_is_watched_from_its_request_to_its_result_without_a_reload(
    open_page: Opener, key: str, kafka: KafkaSettings
) -> None:
    # Given the page of requests in flight, which is not loaded again in what follows
    run = a_run()
    flight = open_page("/", key=key)
    expect(flight.locator("#feed")).to_have_attribute("data-state", "live")
    flight.evaluate("window.stayed = true")

    # When a request is published, then it appears; when a worker takes it, so does that
    publish(kafka, [run.request(kafka, city="Oslo")])
    row = flight.locator(f'tr[data-key="{run.correlation_id}"]')
    expect(row.locator(".badge")).to_have_text("pending")
    publish(
        kafka,
        [
            run.accepted(kafka, 0.1),
            run.progress(kafka, 0.3, "run_started"),
            run.progress(kafka, 0.4, "node_started", node="look_up", step=1),
        ],
    )
    expect(row.locator(".badge")).to_have_text("running")
    expect(row.locator(".node")).to_have_text("look_up")

    # When its own page is open and something is unfolded, then the result appears there, and that stays unfolded
    one = flight.context.new_page()
    one.goto(f"/runs/{run.correlation_id}")
    expect(one.locator("#feed")).to_have_attribute("data-state", "live")
    publish(kafka, [run.progress(kafka, 0.6, "custom", node="look_up", data={"found": 3})])
    one.get_by_text("data", exact=True).click()
    one.evaluate("window.stayed = true")
    publish(
        kafka,
        [
            run.progress(kafka, 1.4, "node_finished", node="look_up", step=1, duration_ms=1000),
            run.result(kafka, 1.5, {"temperature": -4, "execution": {"stdout": "two lines\nof text", "exit_code": 0}}),
        ],
    )
    expect(one.locator(".verdict .badge")).to_have_text("success")
    expect(one.locator("pre.result")).to_contain_text('"temperature": -4')
    expect(one.locator(".facts.wide")).to_contain_text("Exit code")
    expect(one.locator(".lane-name", has_text="look_up")).to_be_visible()
    assert one.locator(".timeline details").get_attribute("open") is not None
    kinds = one.locator(".timeline .what > b").all_text_contents()
    assert kinds == [
        "Requested",
        "Accepted by a worker",
        "The graph begins",
        "Node begins",
        "The graph says",
        "Node has ended",
        "Result",
    ]
    expect(row).to_have_count(0)
    assert flight.evaluate("window.stayed") is True
    assert one.evaluate("window.stayed") is True


def test_without_a_feed_the_page_looks_now_and_then_and_is_live_again_when_there_is_one(
    open_page: Opener, key: str, kafka: KafkaSettings
) -> None:
    # Given a feed that refuses, as it does where the brokers are gone
    page = open_page("/sign-in")
    page.route("**/internal/v1/events*", lambda route: route.fulfill(status=503))
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#feed")).to_have_attribute("data-state", "polling")

    # When a request comes, then it is seen all the same
    run = a_run()
    publish(kafka, [run.request(kafka)])
    expect(page.locator(f'tr[data-key="{run.correlation_id}"]')).to_be_visible()

    # When the feed is there again, then the page is live
    page.unroute("**/internal/v1/events*")
    expect(page.locator("#feed")).to_have_attribute("data-state", "live")

    # When the sign-in ends meanwhile, then the page asks for it again at its next look
    page.context.clear_cookies()
    other = a_run()
    publish(kafka, [other.request(kafka)])
    page.wait_for_url("**/sign-in")


def test_what_an_event_says_is_text_and_never_markup(open_page: Opener, key: str, kafka: KafkaSettings) -> None:
    # Given a run whose every word wants to be markup
    run = a_run(workflow=HOSTILE, batch=HOSTILE, user=HOSTILE)
    publish(
        kafka,
        [
            run.request(kafka, text=HOSTILE),
            run.accepted(kafka, 0.1),
            run.progress(kafka, 0.2, "node_started", node=HOSTILE, step=1),
            run.progress(kafka, 0.3, "custom", node=HOSTILE, data={HOSTILE: HOSTILE}),
            run.result(
                kafka,
                1.0,
                {HOSTILE: HOSTILE, "execution": {"stdout": HOSTILE, "stderr": HOSTILE}},
                status=ResultStatus.ERROR,
                error=HOSTILE,
                node=HOSTILE,
            ),
        ],
    )

    # When each page that shows it is opened, then nothing of it is an element, and it is there to be read
    page = open_page(f"/runs/{run.correlation_id}", key=key)
    expect(page.locator(".verdict .badge")).to_have_text("error")
    links = ["/runs", "/batches", f"/runs?workflow={run.workflow}"]
    for path in [f"/runs/{run.correlation_id}", *links]:
        page.goto(path)
        expect(page.locator("main")).to_contain_text('<script>alert("got in")</script>')
        for tag in ("main script", "main img", "main b b", "main [onerror]"):
            assert page.locator(tag).count() == 0
        assert "tititi" not in page.locator("h1").inner_text()
    page.goto("/runs")
    page.locator(f'tr[data-key="{run.correlation_id}"] .c-batch a').click()
    expect(page.locator("h1")).to_contain_text('<b>bold</b>{{ "ti"*3 }}')

    # And so are a message that is none, and what a worker says of one that it gave up
    request = run.request(kafka)
    rubbish = OutgoingMessage(kafka.workflow_results_topic, HOSTILE.encode(), None, [])
    publish(kafka, [rubbish, dead_letter(kafka, request, HOSTILE)])
    for path in ("/invalid-messages", "/dead-letters"):
        page.goto(path)
        letter = page.locator("li.letter").first
        expect(letter).to_contain_text('<script>alert("got in")</script>')
        for tag in ("main script", "main img", "main li b", "main [onerror]"):
            assert page.locator(tag).count() == 0
    page.get_by_role("link", name="the request").click()
    page.wait_for_url(f"**/runs/{run.correlation_id}")


@pytest.mark.parametrize("scheme,background", [("light", "rgb(245, 246, 245)"), ("dark", "rgb(17, 20, 23)")])
def test_every_page_fits_a_phone_in_light_and_in_dark(
    open_page: Opener, key: str, kafka: KafkaSettings, scheme: str, background: str
) -> None:
    # Given names and values longer than a phone is wide, one run in flight and one that failed
    going = a_run(workflow="a_workflow_with_a_long_name_" * 4, batch="scheduled__2026-11-22T00:00:00+00:00" * 3)
    broken = a_run(workflow=going.workflow, batch=going.batch)
    publish(
        kafka,
        [
            going.request(kafka),
            going.accepted(kafka, 0.1),
            going.progress(kafka, 0.2, "node_started", node="outer|" + "inner" * 20, step=1),
            broken.request(kafka),
            broken.result(kafka, 1.0, {"word": "w" * 400}, status=ResultStatus.ERROR, error="e" * 300),
        ],
    )
    page = open_page(f"/runs/{broken.correlation_id}", key=key, width=360, color_scheme=scheme)
    expect(page.locator(".verdict .badge")).to_have_text("error")
    page.goto("/runs")
    batch = page.locator(f'tr[data-key="{broken.correlation_id}"] .c-batch a').get_attribute("href")

    # When each page is opened, then it is no wider than the phone, and in the reader's colours
    paths = ["/", "/runs", f"/runs/{going.correlation_id}", f"/runs/{broken.correlation_id}", "/batches", str(batch)]
    for path in [*paths, "/dead-letters", "/invalid-messages", "/charts?window=1+h", "/runs/none"]:
        page.goto(path)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360, f"{path} is {wide} px wide"
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == background
        menu = page.get_by_role("navigation", name="Pages").bounding_box()
        assert menu is not None
        assert menu["y"] > 700, "on a phone the menu is within the thumb's reach, at the foot"


def test_only_who_has_a_key_gets_in_and_sees_no_more_than_the_key_allows(
    open_page: Opener, store: RunningStore, kafka: KafkaSettings
) -> None:
    # Given a run of ada's and one of bob's, and a key of ada's
    hers, his = a_run(user="ada", batch="hers"), a_run(user="bob", batch="his")
    publish(kafka, [hers.request(kafka), his.request(kafka)])
    key = store.new_key("notebook", "--user", "ada")
    wanted = f"/runs/{hers.correlation_id}?from=airflow"

    # When nobody is signed in, then any page asks for a key, and a wrong one does not open it
    page = open_page(wanted)
    assert page.url.endswith(f"/sign-in?next=%2Fruns%2F{hers.correlation_id}%3Ffrom%3Dairflow")
    page.get_by_label("API key").fill(f"{key[:-4]}AAAA")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("does not open the store")
    assert page.context.cookies() == []

    # When the key is right, then the page that was asked for opens, by a cookie that no script and no other site can use
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**{wanted}")
    expect(page.locator("h1")).to_have_text(str(hers.correlation_id))
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert key not in page.content()

    # And what is bob's, or everybody's, is not there
    page.goto("/runs")
    expect(page.locator("tr[data-key]")).to_have_count(1)
    page.goto("/batches")
    expect(page.locator(".batch .name")).to_have_text(["hers"])
    assert page.goto(f"/runs/{his.correlation_id}").status == 404  # type: ignore[union-attr]
    assert page.goto("/batch?id=his").status == 404  # type: ignore[union-attr]
    for path in ("/dead-letters", "/invalid-messages", "/charts"):
        assert page.goto(path).status == 403  # type: ignore[union-attr]
    assert page.get_by_role("link", name="Charts").count() == 0

    # When she signs out, then the old cookie opens nothing
    page.goto("/")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    page.context.add_cookies([{"name": cookie["name"], "value": cookie["value"], "url": store.url}])
    page.goto("/runs")
    assert "/sign-in" in page.url


def test_runs_are_filtered_and_found_by_hand(open_page: Opener, key: str, kafka: KafkaSettings) -> None:
    # Given runs of one workflow that ended differently
    good, bad = a_run(workflow="filtered", batch="a/b?c#d %"), a_run(workflow="filtered", batch="a/b?c#d %")
    publish(
        kafka,
        [
            good.request(kafka),
            bad.request(kafka),
            good.result(kafka, 1.0, {"n": 1}),
            bad.result(kafka, 1.0, status=ResultStatus.FAILURE, error="no"),
        ],
    )
    page = open_page("/runs?workflow=filtered", key=key)
    rows = page.locator("tr[data-key]")
    expect(rows).to_have_count(2)
    expect(rows.locator(".badge", has_text="pending")).to_have_count(0)

    # When a state is chosen, then only its runs are left, and the address says so
    page.locator(".chip", has_text="failure").click()
    page.wait_for_url(re.compile(r"state=failure"))
    expect(rows).to_have_count(1)
    expect(rows.locator(".badge")).to_have_text("failure")

    # When an id, or a batch of whatever name, is looked for, then it is found
    search = page.get_by_label("Find a request or a batch")
    search.fill(str(good.correlation_id).upper())
    search.press("Enter")
    page.wait_for_url(f"**/runs/{good.correlation_id}")
    search.fill("a/b?c#d %")
    search.press("Enter")
    expect(page.locator("h1")).to_have_text("a/b?c#d %")
    expect(page.locator(".done")).to_have_text("100 % of 2 requests have come to an end")
    search.fill("nothing of that name")
    search.press("Enter")
    expect(page.locator("h1")).to_have_text("Not here")

    # And what was archived is a file to keep, byte by byte what was published
    page.goto(f"/runs/{good.correlation_id}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Result as it came").click()
    assert download.value.suggested_filename == f"{good.correlation_id}.result.json"
    assert download.value.path().read_bytes() == good.result(kafka, 1.0, {"n": 1}).value


def test_ages_go_on_by_the_servers_clock_and_in_its_words(open_page: Opener, key: str, kafka: KafkaSettings) -> None:
    # Given a run in flight, then its age goes on without a reload
    run = a_run()
    publish(kafka, [run.request(kafka)])
    page = open_page("/", key=key)
    age = page.locator(f'tr[data-key="{run.correlation_id}"] .c-age time')
    expect(age).to_have_text(re.compile(r"^\d+ s$"))
    expect(age).not_to_have_text(age.inner_text())

    # When the reader's clock is a day ahead and stands still, then the server's counts
    page.clock.set_fixed_time(datetime.now(UTC) + timedelta(days=1))
    page.goto("/")
    expect(age).to_have_text(re.compile(r"^(\d+ s|\d min( \d+ s)?)$"))

    # And the script says each span as the server does
    spans = [0, 1, 59, 60, 61, 3599, 3600, 7260, 86_399, 86_400, 400_000]
    page.evaluate(
        """spans => {
            const now = Date.parse(document.documentElement.dataset.now);
            for (const seconds of spans) {
                const time = document.createElement("time");
                time.className = "probe";
                time.dataset.since = "";
                time.dateTime = new Date(now - seconds * 1000).toISOString();
                document.body.append(time);
            }
        }""",
        spans,
    )
    expect(page.locator("time.probe")).to_have_text([span(seconds) for seconds in spans])
