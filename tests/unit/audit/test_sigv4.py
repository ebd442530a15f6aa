"""Requests to object stores are signed as Amazon's documentation has it."""

from datetime import UTC, datetime

from billfold.audit.adapters.sigv4 import Credentials, signed

EXAMPLE = Credentials(
    access_key="AKIAIOSFODNN7EXAMPLE", secret_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", region="us-east-1"
)
AT = datetime(2013, 5, 24, tzinfo=UTC)


def test_the_example_of_a_get_in_the_documentation_of_s3() -> None:
    sent = signed(
        EXAMPLE,
        method="GET",
        path="/test.txt",
        headers={"host": "examplebucket.s3.amazonaws.com", "range": "bytes=0-9"},
        body=b"",
        at=AT,
    )
    assert sent["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


def test_the_example_of_a_put_in_the_documentation_of_s3() -> None:
    sent = signed(
        EXAMPLE,
        method="PUT",
        path="/test%24file.text",
        headers={
            "host": "examplebucket.s3.amazonaws.com",
            "date": "Fri, 24 May 2013 00:00:00 GMT",
            "x-amz-storage-class": "REDUCED_REDUNDANCY",
        },
        body=b"Welcome to Amazon S3.",
        at=AT,
    )
    assert sent["authorization"].endswith("98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")


def test_credentials_show_no_secret() -> None:
    assert "EXAMPLE" not in f"{EXAMPLE} {EXAMPLE!r}"
