"""The raw folder becomes exactly the data set: missing and different uploaded, others deleted."""

from pathlib import Path

from catsdogs.key import RawPhoto
from demo.store import Changes, changes, photograph

ONE = RawPhoto("Cat/1.jpg", 3, "aaaaaA==")
TWO = RawPhoto("Dog/2.jpg", 4, "bbbbbA==")


def test_nothing_to_do_when_all_is_there() -> None:
    assert changes([ONE, TWO], [TWO, ONE]) == Changes(upload=(), delete=())


def test_an_empty_bucket_gets_all_of_it() -> None:
    assert changes([TWO, ONE], []) == Changes(upload=("Cat/1.jpg", "Dog/2.jpg"), delete=())


def test_a_file_of_the_same_name_with_other_bytes_is_uploaded_again() -> None:
    assert changes([ONE], [RawPhoto("Cat/1.jpg", 3, "ccccc==")]) == Changes(("Cat/1.jpg",), ())
    assert changes([ONE], [RawPhoto("Cat/1.jpg", 9, ONE.crc32c)]) == Changes(("Cat/1.jpg",), ())


def test_what_another_set_left_is_removed() -> None:
    assert changes([ONE], [ONE, TWO]) == Changes(upload=(), delete=("Dog/2.jpg",))


def test_a_local_file_looks_as_cloud_storage_lists_it(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"123456789")

    # 0xE3069283 is the check value of CRC-32C (RFC 3720, appendix B.4, gives the polynomial).
    assert photograph("Cat/1.jpg", tmp_path / "1.jpg") == RawPhoto("Cat/1.jpg", 9, "4waSgw==")
