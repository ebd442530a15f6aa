from collections.abc import Iterator

import pytest

from billfold.platform import host
from tests.docs import stack


@pytest.fixture(scope="session")
def running_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A fresh `billfold up`; the environment in which BILLFOLD_URL and BILLFOLD_API_KEY are what it printed."""
    with stack.running(tmp_path_factory.mktemp("stack")) as environment:
        # A page that starts one more process leaves its port to the settings, and the usual one may be taken here.
        yield environment | {"BILLFOLD_LEDGER__METRICS_PORT": str(host.free_port())}
