"""Models that make vectors and scores: their engine, wire and API."""
