import pytest

from mfd.text import printable


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
