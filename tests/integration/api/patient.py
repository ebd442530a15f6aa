"""The role `api`, waiting for a Redis for as long as a machine that is busy with tests may stand still."""

from billfold.app.cli import main
from billfold.platform import redis

if __name__ == "__main__":
    redis.ANSWER_TIMEOUT_S = 5.0
    main()
