"""The whole flow of one spec as a Ray job: curate, train, evaluate, register, promote.

ray job submit --working-dir . --runtime-env jobs/runtime_env.yaml -- \
    python jobs/pipeline.py my-bot.yaml --set storage.root=s3://bucket/loray

`--until dataset`, `training` or `evaluation` stops after that stage; nothing is registered then.
"""

from loray.cli.job import run_job

if __name__ == "__main__":
    run_job(until=None)
