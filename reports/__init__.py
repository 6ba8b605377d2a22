"""Rendering only: terminal tables, plots and HTML of what `results` judged."""
