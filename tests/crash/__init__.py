"""Real processes on real servers, killed while clients move money. What was acknowledged must be there afterwards."""
