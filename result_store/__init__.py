"""The durable memory of results: what became of each request, long after the topics have forgotten it.

The command ``result-store`` runs it (:mod:`result_store.cli`). It needs the extra ``store``.
"""
