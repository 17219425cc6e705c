"""What an actor does: hold one base model and score candidates on it, one after another."""

import math
from collections.abc import Sequence

import torch

from loray.evaluate.candidate_files import Files, unpacked
from loray.evaluate.rows import BASE, Row, RowResult
from loray.evaluate.work import WorkItem
from loray.inference import Completion, Engine, GenerateRequest, SamplingParams, Score
from loray.models.chat import encode, encode_prompt, end_token_id, load_tokenizer
from loray.models.load import load_base, stop_at
from loray.models.markup import Turn
from loray.spec.run import RunSpec


class Scorer:
    """One engine, and the candidate that it holds besides the base."""

    def __init__(self, spec: RunSpec) -> None:
        torch.set_num_threads(spec.resources.cpus_per_worker)
        self._spec = spec
        self._device = "cuda" if spec.resources.gpus_per_worker else "cpu"
        base = spec.base_model
        self._tokenizer = load_tokenizer(base.path, base.revision)
        self._engine = self._start_engine(base.path, base.revision)
        self._held = BASE

    @property
    def held(self) -> str:
        """The candidate that can be scored without loading another."""
        return self._held

    def hold(self, name: str, files: Files | None) -> None:
        """Make `name` the candidate at hand.

        Args:
            files: its checkpoint folder; None for the base.
        """
        if name == self._held:
            return
        is_whole = self._spec.method.kind == "full"
        if files is None and is_whole:
            base = self._spec.base_model
            self._replace_engine(base.path, base.revision)
        elif files is not None:
            with unpacked(files) as folder:
                if is_whole:
                    self._replace_engine(str(folder), None)
                else:
                    self._engine.load_adapter(name, folder)
        self._held = name

    def score(self, item: WorkItem) -> tuple[RowResult, ...]:
        """Score every row of an item for the candidate at hand, and answer it where asked."""
        whole = self._spec.method.kind == "full"
        adapter = None if whole or item.candidate.name == BASE else item.candidate.name
        scores = self._score_references(item.rows, adapter)
        answers = self._answer(item, adapter) if item.generate else {}
        return tuple(
            _result(row, scores.get(row.id), answers.get(row.id), is_asked=item.generate)
            for row in item.rows
        )

    def _start_engine(self, path: str, revision: str | None) -> Engine:
        spec = self._spec
        base = spec.base_model.model_copy(update={"path": path, "revision": revision})
        model = load_base(base, device=self._device)
        stop_at(model, end_token_id(self._tokenizer, spec.data.chat))
        longest = spec.data.sequence.max_tokens + spec.evaluate.max_new_tokens
        self._max_context = min(longest, model.config.max_position_embeddings)
        return Engine(
            model,
            self._tokenizer,
            slots=1 if spec.method.kind == "lora" else 0,
            max_rank=spec.method.max_rank if spec.method.kind == "lora" else 0,
            max_batch=spec.evaluate.batch_size,
            max_context=self._max_context,
        )

    def _replace_engine(self, path: str, revision: str | None) -> None:
        self._engine.close()
        del self._engine  # two whole models may not fit side by side
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._engine = self._start_engine(path, revision)

    def _score_references(self, rows: Sequence[Row], adapter: str | None) -> dict[str, Score]:
        """The likelihood of each row's reference, by row id; without rows that do not fit."""
        chat = self._spec.data.chat
        encoded = {row.id: encode(_whole(row), self._tokenizer, chat) for row in rows}
        fitting = {i: e for i, e in encoded.items() if len(e.input_ids) <= self._max_context}
        found = self._engine.score(
            [(e.input_ids, e.target_mask) for e in fitting.values()], adapter
        )
        return dict(zip(fitting, found, strict=True))

    def _answer(self, item: WorkItem, adapter: str | None) -> dict[str, Completion]:
        """The greedy answer of each row that has a prompt which leaves room for one, by row id."""
        asked = (self._request(row, adapter) for row in item.rows if row.prompt)
        requests = [request for request in asked if request is not None]
        completions = self._engine.generate(requests)
        return {r.request_id: c for r, c in zip(requests, completions, strict=True)}

    def _request(self, row: Row, adapter: str | None) -> GenerateRequest | None:
        prompt = encode_prompt(_turns(row), self._tokenizer, self._spec.data.chat)
        room = self._max_context - len(prompt)
        if room < 1:
            return None
        sampling = SamplingParams(max_new_tokens=min(self._spec.evaluate.max_new_tokens, room))
        return GenerateRequest(row.id, tuple(prompt), adapter, sampling)


def _turns(row: Row) -> list[Turn]:
    return [{"role": role, "content": content} for role, content in row.prompt]


def _whole(row: Row) -> list[Turn]:
    """The row as training would have seen it."""
    if not row.prompt:
        return [{"role": "text", "content": row.reference}]
    return [*_turns(row), {"role": "assistant", "content": row.reference}]


def _result(
    row: Row, score: Score | None, answer: Completion | None, *, is_asked: bool
) -> RowResult:
    nll_sum, num_targets = (score.nll_sum, score.num_targets) if score else (0.0, 0)
    if answer is None:
        is_unanswered = is_asked and bool(row.prompt)
        is_too_long = score is None or is_unanswered
        return RowResult(row.id, nll_sum, num_targets, is_too_long=is_too_long)
    is_known = math.isfinite(answer.mean_entropy)
    return RowResult(
        id=row.id,
        nll_sum=nll_sum,
        num_targets=num_targets,
        answer=answer.text,
        is_cut=answer.finish_reason == "length",
        mean_entropy=answer.mean_entropy if is_known else None,
        is_too_long=score is None,
    )
