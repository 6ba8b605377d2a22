"""Run files -> which setting to deploy."""
