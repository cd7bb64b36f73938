"""Asking the store over HTTP. :func:`result_store.api.app.create_app` puts it together."""
