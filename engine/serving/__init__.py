"""Many requests on one model: scheduling, sampling, stopping, and the HTTP API around it."""
