"""Which deployment to try, when, and what a failure means: pure decisions."""
