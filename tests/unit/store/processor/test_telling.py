"""What a processor in a process of its own tells: what it has counted is counted elsewhere, once."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from result_store.metrics import StoreMetrics
from result_store.telling import Report, TellingMetrics


def samples(metrics: StoreMetrics) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def count_some(metrics: StoreMetrics) -> None:
    metrics.taken("results", "result", 3)
    metrics.taken("results", "result")
    metrics.taken("results", "invalid")
    metrics.refused("results", "invalid-json")
    metrics.cached("error")
    metrics.cached("error")
    metrics.saved(0.2, 3, 2)
    metrics.saved(4.0, 700, 0)
    metrics.behind("results", 0, 9)
    metrics.behind("results", 0, 7)
    metrics.behind("requests", 1, 2)


def test_what_is_told_is_counted_as_if_it_had_happened_here() -> None:
    # Given what happened in a process of its own, and the same in this one
    telling, here, told = TellingMetrics(), StoreMetrics(), StoreMetrics()
    count_some(telling)
    count_some(here)
    # When it is told, then it counts the same
    line = Report(built=True, counts=telling.take()).to_line()
    Report.of_line(line).counts.count_into(told)
    assert samples(told) == samples(here)
    # And is told once
    Report.of_line(Report(counts=telling.take()).to_line()).counts.count_into(told)
    assert samples(told) == samples(here)
    # When a partition goes elsewhere, then nobody is behind with it any more
    telling.gone("results", 0)
    telling.take().count_into(told)
    assert ("result_store_consumer_lag", ("0", "results")) not in samples(told)
    assert samples(told)["result_store_consumer_lag", ("1", "requests")] == 2


def test_a_report_is_one_line_and_says_how_the_process_is() -> None:
    report = Report(built=True, unwell="The database is away:\nno route", failed=None)
    line = report.to_line()
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert Report.of_line(line) == report
