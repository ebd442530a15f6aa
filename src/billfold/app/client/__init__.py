"""A client of the REST API: JSON both ways, problem details as errors, and repeats where a repeat is safe.

Nothing of the terminal is here, and no meaning of any path.
"""

from billfold.app.client.api import PREFIX, Answer, Api, Params, base_url
from billfold.app.client.errors import AnswerUnreadable, ApiRefusal, ApiUnreachable, GatewayFailed, Json, UrlInvalid

__all__ = [
    "PREFIX",
    "Answer",
    "AnswerUnreadable",
    "Api",
    "ApiRefusal",
    "ApiUnreachable",
    "GatewayFailed",
    "Json",
    "Params",
    "UrlInvalid",
    "base_url",
]
