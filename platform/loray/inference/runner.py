"""The model's three passes: prefill, decode step, score.

`N` rows, `T` tokens of the longest row, `V` vocabulary. Rows of unequal length are padded on the
right: causal attention keeps the padding out of what comes before it, so a prefill needs no mask.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from loray.inference.cache import KVSlab
from loray.inference.masks import DecodeMasks, Masks
from loray.inference.wrapping import check_model, unwrap, wrap
from loray.models.logits import logit_form

PAD = 0
"""Any token does: nothing looks at padding."""
LOGIT_ELEMENTS = 1 << 24
"""Logits computed at once while scoring: 64 MiB of float32."""


class ModelRunner:
    """A model, its adapter slots and its cache; used by one thread at a time."""

    def __init__(
        self, model: PreTrainedModel, *, slots: int, max_rank: int, max_batch: int, max_context: int
    ) -> None:
        check_model(model, max_context)
        self.model = model.eval()
        self.lora = wrap(model, num_slots=slots, max_rank=max_rank)
        self._backbone = model.get_decoder()
        self._head = model.get_output_embeddings()
        config = model.config
        heads = config.num_attention_heads
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
        kv_heads = getattr(config, "num_key_value_heads", None) or heads
        shape = (max_batch, kv_heads, max_context, head_dim)
        self.vocab_size = int(self._head.weight.shape[0])
        self.cache = KVSlab(shape, config.num_hidden_layers, self._head.weight)
        self._form = logit_form(config)
        self._masks = DecodeMasks(config, max_context, self._head.weight)
        self._columns = torch.arange(max_context, device=model.device)

    def close(self) -> None:
        """Give the model back as it was."""
        unwrap(self.model, self.lora)

    def prefill(
        self, prompts: Sequence[Sequence[int]], slots: Sequence[int], first_row: int
    ) -> Tensor:
        """Fill rows `first_row` and on; logits (N, V) after each prompt. Rows sorted by slot."""
        self.lora.set_rows(slots, is_prefill=True)
        self.cache.begin_prefill(first_row, len(prompts))
        last = torch.tensor([len(prompt) - 1 for prompt in prompts], device=self.model.device)
        hidden = self._hidden(self._padded(prompts), cache=self.cache)
        return self._logits(hidden[torch.arange(len(prompts), device=last.device), last])

    def decode(self, tokens: Sequence[int], lengths: Sequence[int], slots: Sequence[int]) -> Tensor:
        """Append a token to each of the first rows; logits (N, V) after it.

        Args:
            lengths: tokens in each row's cache so far.
        """
        self.lora.set_rows(slots, is_prefill=False)
        device = self.model.device
        positions = torch.tensor(lengths, device=device)
        self.cache.begin_decode(positions, max(lengths) + 1)
        mask = self._masks.of(lengths, positions)
        ids = torch.tensor(tokens, device=device)[:, None]
        hidden = self._hidden(ids, cache=self.cache, positions=positions[:, None], mask=mask)
        return self._logits(hidden[:, 0])

    def score(
        self, sequences: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], slot: int
    ) -> list[float]:
        """Negative log-likelihood of tokens given those before them, nats, summed per sequence.

        Args:
            targets: positions, from 1 on, of the tokens to score in each sequence.
        """
        self.lora.set_rows([slot] * len(sequences), is_prefill=True)
        ids = self._padded(sequences)
        hidden = self._hidden(ids, cache=None)
        device = ids.device
        rows = [row for row, columns in enumerate(targets) for _ in columns]
        row = torch.tensor(rows, device=device, dtype=torch.long)
        column = torch.tensor([c for cs in targets for c in cs], device=device, dtype=torch.long)
        before, wanted = hidden[row, column - 1], ids[row, column]
        size = max(1, LOGIT_ELEMENTS // self.vocab_size)
        losses = [
            functional.cross_entropy(self._logits(h).float(), w, reduction="none")
            for h, w in zip(before.split(size), wanted.split(size), strict=True)
        ]
        sums = torch.zeros(len(sequences), dtype=torch.float64, device=device)
        sums.index_add_(0, row, torch.cat(losses).double())
        return sums.tolist()

    def _logits(self, hidden: Tensor) -> Tensor:
        """Of hidden states (..., hidden)."""
        x: Tensor = self._head(hidden)
        return x if self._form.is_plain else self._form(x)

    def _padded(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        """(N, T) token ids, padded on the right."""
        longest = max(map(len, sequences))
        rows = [[*sequence, *[PAD] * (longest - len(sequence))] for sequence in sequences]
        return torch.tensor(rows, device=self.model.device)

    def _hidden(
        self,
        ids: Tensor,
        *,
        cache: KVSlab | None,
        positions: Tensor | None = None,
        mask: Masks = None,
    ) -> Tensor:
        """Last hidden states (N, T, hidden)."""
        if positions is None:
            positions = self._columns[: ids.shape[1]][None]
        output = self._backbone(
            input_ids=ids,
            position_ids=positions,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        return output.last_hidden_state  # type: ignore[no-any-return]
