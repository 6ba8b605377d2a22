"""A gate's verdict where people and pipelines look: terminal, JUnit, step summary, annotations."""
