"""The schemas of messages in Avro and Protobuf, as files: what others need to write to a topic."""
