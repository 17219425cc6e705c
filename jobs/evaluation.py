"""Curate, train and evaluate, without registering, as a Ray job.

ray job submit --working-dir . --runtime-env jobs/runtime_env.yaml -- \
    python jobs/evaluation.py configs/runs/docstring.yaml
"""

from loray.cli.job import run_job

if __name__ == "__main__":
    run_job(until="evaluation")
