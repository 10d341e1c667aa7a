"""A fuzzer on the multipart path: what is well-formed comes out as it went in, and nothing at all breaks the server.
`make reliability` runs the same with thousands of examples."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from catsdogs.server.upload import MAX_PARTS, Refused, picture_parts
from tests.workloads.server.samples import picture

EXAMPLES = 150
BOUNDARY = b"B0undary"
JPEG, PNG = picture(), picture("PNG", size=(5, 9))
HEADS = [
    b'Content-Disposition: form-data; name="file"; filename="a.jpg"\r\nContent-Type: image/jpeg',
    b'Content-Disposition: form-data; name="image"',
    b"content-disposition:form-data;name=photo;filename*=UTF-8''x",
    b'Content-Type: image/png\r\nContent-Disposition: form-data; name="x"',
]
OTHER = b'Content-Disposition: form-data; name="comment"'
PARTS = st.lists(st.tuples(st.sampled_from([*HEADS, OTHER]), st.binary(max_size=200) | st.just(JPEG)), max_size=6)
PIECES = [
    b"--",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\0",
    BOUNDARY,
    b"--" + BOUNDARY,
    b"\r\n--" + BOUNDARY + b"--\r\n",
    *HEADS,
]


def form(parts: list[tuple[bytes, bytes]]) -> bytes:
    whole = b"".join(b"--%b\r\n%b\r\n\r\n%b\r\n" % (BOUNDARY, head, body) for head, body in parts)
    return whole + b"--%b--\r\n" % BOUNDARY


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A form with up to eight bites taken out, put in, or moved."""
    body = form(draw(PARTS))
    for _ in range(draw(st.integers(1, 8))):
        begin = draw(st.integers(0, len(body)))
        end = draw(st.integers(begin, min(len(body), begin + 60)))
        filling = draw(st.sampled_from(PIECES) | st.binary(max_size=8) | st.just(body[begin:end] * 2))
        body = body[:begin] + filling + body[end:]
    return body


def many(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The same examples in each run: what is found here is found again."""
    return settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )


def outcome(body: bytes, most: int) -> list[bytes] | tuple[int, str]:
    """The pictures, or status and words of the refusal."""
    try:
        return picture_parts(body, BOUNDARY, most)
    except Refused as refused:
        return refused.status, str(refused)


def check_what_is_well_formed(examples: int) -> None:
    @many(examples)
    @given(PARTS)
    def check(parts: list[tuple[bytes, bytes]]) -> None:
        parts = [(head, body) for head, body in parts if b"--" + BOUNDARY not in body]
        expected = [body for head, body in parts if head != OTHER]
        found = outcome(form(parts), MAX_PARTS)
        assert found == (expected or (400, "the form holds no file: send the picture in the field 'file'"))

    check()


def check_what_is_broken(examples: int) -> None:
    @many(examples)
    @given(broken())
    @example(b"")
    def check(body: bytes) -> None:
        found = outcome(body, 3)
        if isinstance(found, tuple):
            assert found[0] in (400, 413)
        else:
            assert 1 <= len(found) <= 3
            assert all(one in body and b"\r\n--" + BOUNDARY not in one for one in found)

    check()


def check_the_whole_server(client: TestClient, examples: int) -> None:
    types = st.sampled_from(
        [
            f"multipart/form-data; boundary={BOUNDARY.decode()}",
            f'Multipart/Form-Data; charset=x; boundary="{BOUNDARY.decode()}"',
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=" + "x" * 71,
            "multipart/mixed; boundary=B0undary",
        ]
    )

    @many(examples)
    @given(broken(), types, st.sampled_from(["/predict", "/explain"]))
    def check(body: bytes, content_type: str, path: str) -> None:
        answer = client.post(path, content=body, headers={"Content-Type": content_type})
        assert answer.status_code in (200, 400, 413, 415)
        assert ("error" in answer.json()) == (answer.status_code != 200)

    check()


def test_what_is_well_formed_comes_out_as_it_went_in() -> None:
    check_what_is_well_formed(EXAMPLES)


def test_what_is_broken_is_refused() -> None:
    check_what_is_broken(EXAMPLES)


def test_the_server_answers_whatever_comes(client: TestClient) -> None:
    check_the_whole_server(client, EXAMPLES)
    assert client.post("/predict", files={"file": PNG}).status_code == 200
