"""What people touch besides Grafana: the ``gridfuse`` command, the HTTP API and the live board."""
