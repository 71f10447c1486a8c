import pytest
from PIL import ImageFont

from mfd.headtrain.inference import fonts
from mfd.headtrain.inference.fonts import readable


def ink(font: ImageFont.FreeTypeFont, text: str) -> bytes:
    return bytes(font.getmask(text))


def test_latin_text_has_pillows_own_font() -> None:
    text, font = readable("cat 0.87", 17)

    assert text == "cat 0.87"
    assert font.getname()[0] == ImageFont.load_default(17).getname()[0]  # type: ignore[union-attr]
    assert font.size == 17


def test_letters_of_another_script_are_drawn_or_escaped() -> None:
    """Never the box for missing letters: two names of one length must not look the same."""
    for a, b in (("аб", "вг"), ("猫犬", "鳥魚"), ("قط", "كب")):  # noqa: RUF001
        (text_a, font_a), (text_b, font_b) = readable(a, 20), readable(b, 20)
        assert ink(font_a, text_a) != ink(font_b, text_b)


def test_letters_that_no_font_has_become_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "system_fonts", tuple)

    assert readable("猫 cat", 12)[0] == "\\u732b cat"


def test_control_characters_become_escapes() -> None:
    assert readable("a\nb\x1b[2J\udcff", 12)[0] == "a\\nb\\x1b[2J\\udcff"
