"""A run against its baselines (METHOD section 6): the rule, what is observed, and the verdict."""
