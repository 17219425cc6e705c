"""Peak resident memory of one forward and backward pass, in a process of its own.

python -m tests.train.peak SPEC_JSON ROWS_JSON: prints the bytes by which the pass raised it, and
the gradients' digest.
"""

import hashlib
import json
import sys
from pathlib import Path

KIB = 1024


def high_water() -> int:
    """The largest that this process ever was, bytes; `getrusage` tells what its parent was, too."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * KIB


def main(spec_file: str, rows_file: str) -> None:
    """Measure."""
    import numpy as np
    import torch

    from loray.spec.run import RunSpec
    from loray.train.batches import collate
    from loray.train.learner import build_learner, causal_lm
    from loray.train.loop import AnswerLoss

    torch.set_num_threads(1)
    spec = RunSpec.model_validate_json(Path(spec_file).read_text(encoding="utf-8"))
    rows = json.loads(Path(rows_file).read_text(encoding="utf-8"))
    names = ("input_ids", "labels", "positions")
    batch = collate([{name: np.array(row[name]) for name in names} for row in rows])
    learner = build_learner(spec, device="cpu")
    module = AnswerLoss(causal_lm(learner))

    def grow(width: int) -> int:
        """Bytes that a pass over the first tokens adds to the largest that memory was."""
        before = high_water()
        module(*(t[:, :width] for t in (batch.input_ids, batch.labels, batch.positions))).backward()
        return high_water() - before

    grow(16)  # what the first pass makes once
    learner.zero_grad()
    found = grow(batch.input_ids.shape[1])
    digest = hashlib.sha256()
    for _, parameter in sorted(learner.named_parameters()):
        if parameter.grad is not None:
            digest.update(parameter.grad.numpy().tobytes())
    print(json.dumps({"bytes": found, "gradients": digest.hexdigest()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
