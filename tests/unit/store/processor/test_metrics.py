"""What Prometheus is told."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from result_store.metrics import StoreMetrics


def test_what_has_happened_is_counted_under_the_names_of_the_documentation() -> None:
    # Given a process's metrics
    metrics = StoreMetrics()
    # When one thing of each kind happens
    metrics.taken("results", "result", 3)
    metrics.refused("results", "invalid-json")
    metrics.behind("results", 1, 7)
    metrics.saved(0.2, 3, 2)
    metrics.cached("miss")
    metrics.answered("GET", "/internal/v1/results/{correlation_id}", 200, 0.004)
    # Then each is there, with its labels
    found = {
        (sample.name, tuple(sorted(sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }
    assert found["result_store_messages_total", ("result", "results")] == 3
    assert found["result_store_invalid_messages_total", ("invalid-json", "results")] == 1
    assert found["result_store_consumer_lag", ("1", "results")] == 7
    assert found["result_store_save_seconds_count", ()] == 1
    assert found["result_store_batch_size_sum", ()] == 3
    assert found["result_store_stored_events_total", ()] == 2
    assert found["result_store_cache_requests_total", ("miss",)] == 1
    route = "/internal/v1/results/{correlation_id}"
    assert found["result_store_http_requests_total", (route, "200", "GET")] == 1
    assert found["result_store_http_request_seconds_count", (route,)] == 1


def test_a_partition_that_went_elsewhere_has_no_lag_here_any_more_and_two_stores_count_apart() -> None:
    metrics, other = StoreMetrics(), StoreMetrics()
    metrics.behind("results", 1, 7)
    metrics.gone("results", 1)
    metrics.gone("results", 2)
    assert b'partition="1"' not in metrics.exposition()
    assert b'partition="1"' not in other.exposition()
