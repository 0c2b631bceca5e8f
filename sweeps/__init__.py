"""Many runs as one stage tree on Ray: plan, train, track, promote."""
