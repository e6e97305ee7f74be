"""Keys: one list of them, for the boards' buttons and for the help."""

import re

from dashboard.keys import BOARD, EVERYWHERE, PAGES, move_buttons, verdict_buttons
from tests.pages import SHELL


def test_every_button_of_a_board_carries_its_key_and_the_help_lists_it():
    carried = re.findall(r'data-key="(.)"( data-repeats)?>.*?<kbd>(.)</kbd>', verdict_buttons() + move_buttons())
    assert [shown for _, _, shown in carried] == ["A", "N", "U", "Z", "K", "J"]
    assert all(key == shown.lower() for key, _, shown in carried)
    assert {shown for _, repeats, shown in carried if repeats} == {"J", "K"}  # a key held down judges one row
    assert {key.keys[0] for key in BOARD} == {shown for _, _, shown in carried}


def test_pages_with_keys_are_pages_of_the_navigation_and_no_key_means_two_things():
    titles = set(re.findall(r'title="(\w+)"', SHELL.read_text()))
    assert set(PAGES) <= titles
    for groups in PAGES.values():
        for _, keys in (*groups, ("", EVERYWHERE[:2])):
            names = [name for key in keys for name in key.keys]
            assert len(names) == len(set(names))
