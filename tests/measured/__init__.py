"""The marker `measured`: of tests that hold seconds, processor time, memory or a rate."""
