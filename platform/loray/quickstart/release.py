"""Make models/tiny of a pretraining run: `python -m loray.quickstart.release CHECKPOINT FOLDER`."""

import argparse
import shutil
from pathlib import Path

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def release(checkpoint: Path, folder: Path) -> None:
    """Write a checkpoint of full training as a model folder, its weights rounded to bfloat16.

    Args:
        checkpoint: a folder of `checkpoints/` in a training artifact.
        folder: Made when missing; files of the same name are replaced, a README.md stays.
    """
    import torch  # noqa: PLC0415 (heavy, and `--help` needs none of it)
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    for name in TOKENIZER_FILES:
        shutil.copyfile(checkpoint / name, folder / name)


def main() -> None:
    """Read the command line and write the folder."""
    parser = argparse.ArgumentParser(description="Make a model folder of a pretraining run.")
    parser.add_argument("checkpoint", type=Path, help="checkpoints/step-... of the run")
    parser.add_argument("folder", type=Path, help="such as models/tiny")
    arguments = parser.parse_args()
    release(arguments.checkpoint, arguments.folder)


if __name__ == "__main__":
    main()
