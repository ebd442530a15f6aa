"""Tests against real PostgreSQL and NATS servers, which `conftest` starts once for the whole run."""
