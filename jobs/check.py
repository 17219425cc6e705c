"""Ask every node of a cluster whether it could do its part of a spec, as a Ray job.

ray job submit --working-dir . --runtime-env jobs/runtime_env.yaml -- \
    python jobs/check.py my-bot.yaml --set storage.root=s3://bucket/loray
"""

from loray.cli.job import run_check

if __name__ == "__main__":
    run_check()
