"""Public broker fixtures."""
