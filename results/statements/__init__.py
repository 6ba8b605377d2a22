"""Published statements beside what a run measured."""
