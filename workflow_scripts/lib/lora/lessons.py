"""What a model with demonstrations in its prompt has at the last token, for a model without them to imitate."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from transformers import PreTrainedModel

from workflow_scripts.lib.forward.allowed import found_ways
from workflow_scripts.lib.forward.rope_lengths import check_lengths, turning_point
from workflow_scripts.lib.forward.shared_prefix import encoded
from workflow_scripts.lib.forward.token_batches import batches
from workflow_scripts.lib.forward.ways import Ids, last_states
from workflow_scripts.lib.lora.batches import Lesson


class Teacher:
    """A model as it is, which reads demonstrations before the prompts that its pupils read without."""

    def __init__(self, model: PreTrainedModel, tokens_per_batch: int) -> None:
        self.model, self.tokens_per_batch, turn = model, tokens_per_batch, turning_point(model.config)
        self.cuts = [] if turn is None else [turn]
        self.ways = replace(found_ways(model), **({"sharing": False} if self.cuts else {}))

    @torch.inference_mode()
    def lessons(self, shown: Ids, start: Ids, queries: Sequence[Ids]) -> list[Lesson]:
        """For each query, the prompt `start` + query with what the teacher has at the end of `shown` + query."""
        longest = len(shown) + max(map(len, queries))
        check_lengths(self.model.config, [longest])
        windows = self.ways.windows
        past = encoded(self.model, shown, longest, windows=windows) if shown and self.ways.sharing else None
        read = queries if past is not None else [[*shown, *ids] for ids in queries]
        budget = self.tokens_per_batch if self.ways.batching else 1
        lessons: dict[int, Lesson] = {}
        for batch in batches([len(ids) for ids in read], budget, self.cuts):
            states, logits = last_states(self.model, self.ways, past, [read[i] for i in batch])
            log_probs = logits.float().log_softmax(-1).cpu()
            for i, of_layers, told in zip(batch, states.float().cpu(), log_probs, strict=True):
                lessons[i] = Lesson([*start, *queries[i]], of_layers[1:], told)
        return [lessons[i] for i in range(len(queries))]
