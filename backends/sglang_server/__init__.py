"""What the adapter over `sglang serve` is made of.

counts     SGLang's own counts -> DraftCounts, pure
"""
