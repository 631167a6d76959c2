"""Bytes from field devices, turned into :class:`ingest.frame.TelemetryFrame`.

The room knows devices and knows no stream: nothing here imports Faust or a topic name.
"""
