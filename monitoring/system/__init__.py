"""How the machinery runs: its parts, each connection minute by minute, and the same for Prometheus."""
