"""The multipart parser: the pictures out of whatever a client calls a form."""

from __future__ import annotations

import pytest

from catsdogs.server.upload import MAX_PARTS, Refused, picture_parts

JPEG = b"\xff\xd8\xffpicture\r\n--not the boundary\r\n"


def form(*parts: tuple[bytes, bytes], end: bytes = b"--B--\r\n") -> bytes:
    return b"".join(b"--B\r\n" + head + b"\r\n\r\n" + body + b"\r\n" for head, body in parts) + end


FILE = b'Content-Disposition: form-data; name="file"; filename="a.jpg"\r\nContent-Type: image/jpeg'
OTHER = b'Content-Disposition: form-data; name="comment"'


@pytest.mark.parametrize(
    "body",
    [
        form((FILE, JPEG)),
        form((OTHER, b"hello"), (FILE, JPEG)),
        form((FILE, JPEG), (OTHER, b"")),
        form((b'content-disposition: form-data; name="photo"; filename="x"', JPEG)),
        form((b'Content-Disposition: form-data; name="x"\r\nContent-Type: image/png', JPEG)),
        form((b'Content-Disposition: form-data; name="image"', JPEG)),
        form((b"Content-Disposition: form-data; name=file", JPEG)),
        form((b"Content-Disposition: form-data; name=x; filename*=UTF-8''%e2.jpg", JPEG)),
        b"a preamble\r\n" + form((FILE, JPEG)),
        form((FILE, JPEG), end=b"--B--"),
        form((FILE, JPEG)).replace(b"--B\r\n", b"--B  \r\n"),
        form((FILE, JPEG)) + b"an epilogue",
    ],
)
def test_the_picture_is_found(body: bytes) -> None:
    assert picture_parts(body, b"B", 2) == [JPEG]


def test_an_empty_file_is_an_empty_picture() -> None:
    assert picture_parts(form((FILE, b"")), b"B", 1) == [b""]


def test_several_pictures_keep_their_order() -> None:
    body = form((FILE, b"first"), (OTHER, b"hello"), (b'Content-Disposition: form-data; name="image"', b"second"))
    assert picture_parts(body, b"B", 2) == [b"first", b"second"]
    with pytest.raises(Refused) as caught:
        picture_parts(body, b"B", 1)
    assert (caught.value.status, str(caught.value)) == (
        413,
        "the form holds 2 pictures: send at most 1 in one request",
    )


NO_FILE = "the form holds no file: send the picture in the field 'file'"
CUT = f"the multipart body is cut off, malformed or has over {MAX_PARTS} parts"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (form((OTHER, JPEG)), NO_FILE),
        (b"--B--\r\n", NO_FILE),
        (b"--B\r\n\r\nno headers\r\n--B--\r\n", NO_FILE),
        (b"", "the body does not begin with the multipart boundary"),
        (b"--C\r\n\r\n\r\n--C--", "the body does not begin with the multipart boundary"),
        (form((FILE, JPEG), end=b""), CUT),
        (form((FILE, JPEG))[:60], CUT),
        (b"--B", CUT),
        (b"--B\r\n", CUT),
        (b"--Bxx\r\n" + FILE + b"\r\n\r\nx\r\n--B--", CUT),
        (form((FILE + b"\r\nX: " + b"x" * 9000, JPEG)), CUT),
        (form(*[(OTHER, b"x")] * (MAX_PARTS + 1)), CUT),
        (b"--B\r\n" * 100_000, CUT),
    ],
)
def test_refusals(body: bytes, says: str) -> None:
    with pytest.raises(Refused) as caught:
        picture_parts(body, b"B", MAX_PARTS)
    assert (caught.value.status, str(caught.value)) == (400, says)
