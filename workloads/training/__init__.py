"""The training command of the demo pair: ``python -m workloads.training --out DIR``.

Nothing else imports this package: it needs torch, transformers and tokenizers, and the prompts, the registry
and the harness run without them. ``docs/demo-pair.md`` says what the pair is for and what it cannot show.
"""
