"""The demo pair, or another small one, in the formats that other runtimes load: ``python -m workloads.conversion``.

Nothing else imports this package: it needs torch and transformers, and makes environments of other projects'
converters. ``docs/conversions.md`` says what each format is and how to know that a conversion is right.
"""
