"""The steps of a cluster's pass, one file a promise. Each observes, decides, applies and returns its condition."""
