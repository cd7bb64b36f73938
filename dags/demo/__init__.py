"""The demo: a licence and maintenance audit of every distribution installed beside Airflow.

The three sides of it, and where each lives:

- the workflow that a worker runs: :mod:`demo.graph` and the checks it is made of (``facts``, ``licence``, ``native_code``,
  ``maintenance``, ``verdict``);
- what the DAG (``dags/dependency_audit.py``) needs: :mod:`demo.inventory` and :mod:`demo.report`;
- what ``make demo`` runs: :mod:`demo.__main__` with ``run``, ``parts``, ``progress`` and ``timings``.

The package is imported as ``demo``, since Airflow puts the DAG folder itself on the import path.
"""

from __future__ import annotations
