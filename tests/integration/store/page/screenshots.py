"""Makes the pictures of docs/result-store/page.md: a store with a day's requests in it, seen by a real browser.

``python -m tests.integration.store.page.screenshots`` writes them anew. What is in them is made up, and the same each time but
for its times.
"""

from __future__ import annotations

import io
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, expect, sync_playwright

from tests.integration.store.page.conftest import chromium
from tests.integration.store.page.running_store import RunningStore
from tests.integration.store.page.telling import Run, dead_letter, publish
from workflow_events.dead_letters import DeadLetterReason
from workflow_events.events import ResultStatus
from workflow_events.settings import KafkaSettings
from workflow_events.testing.embedded import EmbeddedBroker
from workflow_events.testing.new_topics import settings_with_new_topics
from workflow_events.wire import OutgoingMessage

FOLDER = Path(__file__).parents[4] / "docs" / "result-store"
_WORKFLOWS = ("dependency_audit", "summarise_invoices", "triage_tickets")
_NODES = ("load", "licences", "native_code", "maintenance", "verdict")
_COLOURS = 256
_RUNNING = 5
_SILENT = 3


def a_day(kafka: KafkaSettings, now: datetime, chance: random.Random) -> Iterator[OutgoingMessage]:
    """What ended within the last day, in batches of an hour."""
    for hours in range(20, 0, -1):
        batch = f"scheduled__{now - timedelta(hours=hours):%Y-%m-%dT%H}:00:00+00:00"
        for _ in range(chance.randint(4, 16)):
            begun = now - timedelta(hours=hours, seconds=chance.uniform(0, 3000))
            run = Run(begun, chance.choice(_WORKFLOWS), batch)
            took = chance.lognormvariate(1.2, 0.5)
            yield run.request(kafka)
            yield run.accepted(kafka, 0.1)
            yield from run.nodes(kafka, ("load", 0.3, took * 0.2), (chance.choice(_NODES[1:]), took * 0.3, took * 0.6))
            match chance.random():
                case luck if luck < 0.06:
                    said = "the package index answered 503 three times"
                    yield run.result(
                        kafka, took, status=ResultStatus.ERROR, error=said, node=chance.choice(_NODES[1:4])
                    )
                case luck if luck < 0.09:
                    yield run.result(kafka, took, status=ResultStatus.FAILURE, error="no licence could be made out")
                case luck if luck < 0.1:
                    yield run.result(kafka, took, status=ResultStatus.INTERRUPTED, interrupts=[{"value": "Pay it?"}])
                case _:
                    yield run.result(kafka, took, {"counted": chance.randint(10, 60)}, usage={"total_tokens": 4000})


def one_run(kafka: KafkaSettings, now: datetime) -> tuple[Run, list[OutgoingMessage]]:
    """A run whose page is worth a picture."""
    run = Run(now - timedelta(minutes=4), batch=_batch(now), user="ada")
    verdicts = [{"name": name, "decision": "ok"} for name in ("aiokafka", "alembic", "apache-airflow-core")]
    counts = {"step": {"input_count": 61, "output_count": 58, "kept": 58, "eliminated": 3}}
    told = [
        run.request(kafka, distributions=61),
        run.accepted(kafka, 0.08),
        run.progress(kafka, 0.42, "run_started"),
        *run.nodes(
            kafka,
            ("load", 0.43, 0.89),
            ("licences", 1.33, 2.79),
            ("native_code", 1.34, 0.78),
            ("maintenance", 1.35, 5.2),
            ("verdict", 6.57, 0.9),
        ),
        run.progress(kafka, 3.0, "custom", node="licences", data=counts),
        run.result(
            kafka,
            7.6,
            {
                "verdicts": verdicts,
                "counted": 61,
                "execution": {
                    "stdout": "61 distributions, 3 need a look\n",
                    "exit_code": 0,
                    "duration_ms": 7120.0,
                    "peak_memory_bytes": 92_400_000,
                },
            },
            usage={"total_tokens": 18230, "cost": 0.0421},
        ),
    ]
    return run, told


@dataclass
class InFlight:
    """Seven requests without a result, of which one worker has gone silent about one; and one that was taken by nobody."""

    kafka: KafkaSettings
    now: datetime
    chance: random.Random
    runs: list[Run] = field(default_factory=list)

    def begun(self) -> Iterator[OutgoingMessage]:
        """What was told of them until now, but for heartbeats."""
        for number in range(7):
            run = Run(
                self.now - timedelta(seconds=self.chance.uniform(80, 200)), _WORKFLOWS[number % 3], _batch(self.now)
            )
            self.runs.append(run)
            yield run.request(self.kafka)
            yield run.accepted(self.kafka, 0.1)
            if number < _RUNNING:
                yield run.progress(self.kafka, 0.5, "node_started", node=_NODES[number], step=2)
        forgotten = Run(self.now - timedelta(seconds=140), "triage_tickets", _batch(self.now))
        request = forgotten.request(self.kafka)
        yield request
        yield dead_letter(self.kafka, request, "workflow_run_id: Field required")
        yield dead_letter(self.kafka, request, "No graph is named triage.", DeadLetterReason.UNKNOWN_GRAPH)

    def beat(self) -> Iterator[OutgoingMessage]:
        """A heartbeat of each but the silent one, a moment ago."""
        for number, run in enumerate(self.runs):
            if number != _SILENT:
                after = (datetime.now(UTC) - run.at).total_seconds() - self.chance.uniform(0, 4)
                yield run.heartbeat(self.kafka, after, _NODES[number] if number < _RUNNING else None)


def _batch(now: datetime) -> str:
    return f"manual__{now:%Y-%m-%dT%H}:00:00+00:00"


def take(browser: Browser, url: str, run: Run, flight: InFlight) -> None:
    """Open each page, in both colours, wide and on a phone."""
    pages = {"in-flight": "/", "run": f"/runs/{run.correlation_id}", "batches": "/batches", "charts": "/charts"}
    for scheme in ("light", "dark"):
        wide = _context(browser, url, scheme, width=1200, height=860)
        phone = _context(browser, url, scheme, width=360, height=720, device_scale_factor=2, is_mobile=True)
        shots = {}
        for name, path in pages.items():
            publish(flight.kafka, flight.beat())
            _write(f"{name}-{scheme}", _shot(wide, path))
            shots[name] = _shot(phone, path)
        _write(f"phone-{scheme}", _beside(list(shots.values())))
        wide.close()
        phone.close()


def _context(browser: Browser, url: str, scheme: Any, *, width: int, height: int, **options: Any) -> Any:
    size: Any = {"width": width, "height": height}
    return browser.new_context(base_url=url, viewport=size, color_scheme=scheme, reduced_motion="reduce", **options)


def _shot(context: Any, path: str) -> Image.Image:
    page = context.new_page()
    page.goto(path)
    expect(page.locator("#feed")).to_have_attribute("data-state", "live", timeout=60_000)
    if path == "/":
        expect(page.locator(".notice b")).to_have_text("2", timeout=60_000)
    picture = Image.open(io.BytesIO(page.screenshot()))
    page.close()
    return picture.convert("RGB")


def _beside(pictures: list[Image.Image]) -> Image.Image:
    gap = 24
    width = sum(picture.width + gap for picture in pictures) - gap
    whole = Image.new("RGB", (width, pictures[0].height), (128, 128, 128))
    for number, picture in enumerate(pictures):
        whole.paste(picture, (number * (picture.width + gap), 0))
    return whole.resize((whole.width // 2, whole.height // 2), Image.Resampling.LANCZOS)


def _write(name: str, picture: Image.Image) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    small = picture.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=8, dither=Image.Dither.NONE)
    small.save(FOLDER / f"{name}.png", optimize=True)


def main() -> None:
    """Make them all."""
    chance = random.Random(5)
    now = datetime.now(UTC)
    with EmbeddedBroker() as broker, tempfile.TemporaryDirectory() as folder:
        kafka = settings_with_new_topics(broker.bootstrap_servers, topic_partitions=1)
        with RunningStore(kafka, Path(folder), auth="none") as store, sync_playwright() as playwright:
            run, told = one_run(kafka, now)
            flight = InFlight(kafka, now, chance)
            publish(kafka, [*a_day(kafka, now, chance), *told, *flight.begun()])
            browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page()
            page.goto(store.url)
            expect(page.locator("tr[data-key]")).to_have_count(8, timeout=60_000)
            take(browser, store.url, run, flight)
            browser.close()


if __name__ == "__main__":
    main()
