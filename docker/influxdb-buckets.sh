#!/bin/bash
# Run once by the image, when InfluxDB is set up: raw telemetry has a bucket of its own, because it is kept for a shorter time.
set -eu
influx bucket create --name grid_raw --retention 30d
