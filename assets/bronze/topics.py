"""What both assets of bronze have in common that read topics."""

from time import perf_counter

from ocelake.lake import Lake
from ocelake.settings import StreamSettings
from ocelake.stream.consumer import Committed
from ocelake.stream.follow import read_topics
from ocelake.stream.settings import KafkaSettings

__all__ = ["read_named"]


def read_named(lake: Lake, log_id: str, topics: list[str], **given: object) -> tuple[list[Committed], dict[str, float]]:
    """Read topics up to what they have now, as the log's stream settings and what is given say.

    Returns
    -------
    list of Committed
        What was published.
    dict of str to float
        What is to be told of it: how much, how fast, and how far behind.
    """
    settings = lake.settings.stream(log_id)
    settings = StreamSettings.model_validate({**settings.model_dump(), "topics": tuple(topics), **given})
    began = perf_counter()
    made = read_topics(lake, log_id, settings, KafkaSettings.load())
    seconds = perf_counter() - began
    messages = sum(done.messages for done in made)
    return made, {
        "messages": messages,
        "messages_per_second": round(messages / max(seconds, 1e-3)),
        "quarantined": sum(done.unusable for done in made),
        "lag_messages": made[-1].lag if made else 0,
        "lag_seconds": round(made[-1].lag_seconds, 3) if made else 0.0,
        "seconds": round(seconds, 3),
    }
