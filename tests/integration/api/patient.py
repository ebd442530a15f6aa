"""The role `api`, for a machine that is busy with tests and may stand still: it waits for a Redis for as long, and lets
nobody try again meanwhile.
"""

from billfold.app.cli import main
from billfold.platform import redis
from billfold.platform.limiting import backoff

if __name__ == "__main__":
    redis.ANSWER_TIMEOUT_S = 5.0
    backoff.WAIT_FIRST_S = 60
    main()
