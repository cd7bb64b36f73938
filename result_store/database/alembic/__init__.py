"""Alembic's part: the steps between the versions of the tables."""
