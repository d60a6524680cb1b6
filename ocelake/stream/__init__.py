"""Logs as Kafka topics: where the brokers are, what a message means, and how a log becomes messages.

What belongs here talks to Kafka and to the schema registry, or reads what came from there. Which offsets the lake has
is `ocelake.lake`'s to know.
"""
