"""What holds of a database however messages come to it; run on each kind of database."""

from __future__ import annotations

from hashlib import sha256

from result_store.database.merging import RULES
from result_store.database.tables import archive_objects, runs
from result_store.facts import Fact
from tests.unit.store.database.stored import Stored

_KEY = [column.name for column in archive_objects.columns].index("key")
_DIGEST = [column.name for column in archive_objects.columns].index("sha256")
_RUN = {column.name: place for place, column in enumerate(runs.columns)}


def any_order_makes_the_same_rows(stored: Stored, once: list[Fact], batches: list[list[Fact]]) -> None:
    # Given what one clean pass makes
    stored.fresh().save_all([once])
    rows, archive = stored.rows(), stored.archive
    # When the same comes in any order, more than once and in other batches
    stored.fresh().save_all(batches)
    # Then rows and archive are the same
    found = stored.rows()
    for table in RULES:
        assert found[table] == rows[table]
    assert stored.archive == archive
    assert {row[_KEY]: row[_DIGEST] for row in found["archive_objects"]} == {
        key: sha256(body).hexdigest() for key, body in archive.items()
    }
    # and of each run the last that was told is what its row says
    assert {
        run: (told.state, told.workflow_run_id, told.user_id, told.updated_at) for run, told in stored.told.items()
    } == {
        row[_RUN["correlation_id"]]: tuple(row[_RUN[c]] for c in ("state", "workflow_run_id", "user_id", "updated_at"))
        for row in found["runs"]
    }
    # and once more changes nothing, tells nothing and archives nothing
    kept = stored.kept
    assert [stored.save(batch) for batch in batches] == [()] * len(batches)
    assert stored.rows() == rows
    assert stored.kept == kept
