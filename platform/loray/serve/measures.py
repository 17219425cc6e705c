"""Prometheus metrics of the serving room; Ray adds application, deployment and replica to each."""

from typing import TYPE_CHECKING

from ray.serve import metrics

from loray.serve.outcomes import Outcome

if TYPE_CHECKING:
    from loray.inference.engine import EngineStats

SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0]
NATS = [0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0]


class RequestMeasures:
    """What the HTTP side counts; `model` is the exact version that answered."""

    def __init__(self) -> None:
        self._requests = metrics.Counter(
            "loray_requests",
            description="Requests for text, by outcome.",
            tag_keys=("model", "status"),  # type: ignore[arg-type] # Ray says Tuple[str]
        )
        self._tokens = metrics.Counter(
            "loray_tokens",
            description="Tokens read (kind=prompt) and written (kind=answer).",
            tag_keys=("model", "kind"),  # type: ignore[arg-type]
        )
        self._seconds = metrics.Histogram(
            "loray_request_seconds",
            description="From the arrival of a request to the end of its answer.",
            boundaries=SECONDS,
            tag_keys=("model",),
        )
        self._first_seconds = metrics.Histogram(
            "loray_first_text_seconds",
            description="From the arrival of a request to the first piece of text.",
            boundaries=SECONDS,
            tag_keys=("model",),
        )
        self._entropy = metrics.Histogram(
            "loray_answer_entropy_nats",
            description="Mean entropy of the model's distribution over an answer's tokens.",
            boundaries=NATS,
            tag_keys=("model",),
        )

    def record(self, outcome: Outcome) -> None:
        """Count one request."""
        model = {"model": outcome.model}
        self._requests.inc(tags={**model, "status": str(outcome.status)})
        self._seconds.observe(outcome.seconds, tags=model)
        counts = {"prompt": outcome.num_prompt_tokens, "answer": outcome.num_new_tokens}
        for kind, count in counts.items():
            if count:
                self._tokens.inc(count, tags={**model, "kind": kind})
        if outcome.first_seconds is not None:
            self._first_seconds.observe(outcome.first_seconds, tags=model)
        if outcome.mean_entropy is not None:
            self._entropy.observe(outcome.mean_entropy, tags=model)


class EngineMeasures:
    """What one engine replica shows of itself."""

    def __init__(self) -> None:
        self._resident = metrics.Gauge(
            "loray_adapters_resident", description="Adapters in this replica's memory."
        )
        self._requests = metrics.Gauge(
            "loray_engine_requests",
            description="Requests in the engine, by state (running, waiting).",
            tag_keys=("state",),
        )
        self._steps = metrics.Gauge("loray_engine_steps", description="Decode steps so far.")
        self._mixed = metrics.Gauge(
            "loray_step_adapters_max", description="Most adapters that shared a decode step so far."
        )

    def show(self, stats: "EngineStats") -> None:
        """Set the gauges."""
        self._resident.set(len(stats.resident))
        self._requests.set(stats.num_running, tags={"state": "running"})
        self._requests.set(stats.num_waiting, tags={"state": "waiting"})
        self._steps.set(stats.num_steps)
        self._mixed.set(stats.max_adapters_in_step)
