"""Prompts of exact length from real text, the registry of pairs, and the embedded demo pair."""
