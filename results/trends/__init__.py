"""A folder of run files as a history."""
