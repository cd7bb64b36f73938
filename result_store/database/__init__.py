"""The rows: their tables, how they are written, and how they are asked for."""
