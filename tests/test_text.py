import pytest

from mfd.text import MAX_WORD, abridged, printable, size


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("traffic light [/b]", "traffic light [/b]"),
        ("\x1b[2Jcat", "\\x1b[2Jcat"),
        ("two\nlines\tand\rmore", "two\\nlines\\tand\\rmore"),
        ("a\u2028b\x85c\x7f", "a\\u2028b\\x85c\\x7f"),
        ("\udcff", "\\udcff"),
        ("exe.\u202egpj", "exe.\\u202egpj"),
        ("кошка 猫 قطة 😀 ñ", "кошка 猫 قطة 😀 ñ"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # noqa: RUF001, a joiner of Persian
    ],
)
def test_printable_escapes_what_a_terminal_would_obey_and_keeps_letters(
    text: str, shown: str
) -> None:
    assert printable(text) == shown
    assert len(printable(text).splitlines()) == 1
    printable(text).encode("utf-8")


@pytest.mark.parametrize(
    ("num_bytes", "shown"),
    [(0, "0 B"), (999, "999 B"), (999_499, "999 kB"), (999_600, "1 MB"), (9_614_000, "9.61 MB")],
)
def test_sizes_have_three_digits_and_the_unit_that_keeps_them_short(
    num_bytes: int, shown: str
) -> None:
    assert size(num_bytes) == shown


def test_abridged_keeps_both_ends_of_a_word_that_is_too_long() -> None:
    path = "/data/" + "deep/" * 800 + "last.jpg"
    found = abridged(f"there is no image {path}; check\nthe folder")
    before, _, after = found.partition("...")
    assert before.startswith("there is no image /data/deep/")
    assert after.endswith("deep/last.jpg; check\nthe folder")
    assert len(max(found.split(), key=len)) == MAX_WORD + len("...")


def test_abridged_leaves_words_of_a_usual_length() -> None:
    text = f"cat {'x' * MAX_WORD}  dog\n"
    assert abridged(text) == text
