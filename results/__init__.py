"""What was measured, remembered in one file, and every judgement computed from it."""
