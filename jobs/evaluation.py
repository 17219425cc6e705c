"""Curate, train and evaluate, without registering, as a Ray job.

ray job submit --working-dir . --runtime-env jobs/runtime_env.yaml -- \
    python jobs/evaluation.py my-bot.yaml --set storage.root=s3://bucket/loray
"""

from loray.cli.job import run_job

if __name__ == "__main__":
    run_job(until="evaluation")
