"""Running an experiment: sweep -> plan -> run. Read `harness.runner` first."""
