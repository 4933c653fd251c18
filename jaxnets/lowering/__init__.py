"""One operation, said in the fastest way that each backend knows."""
