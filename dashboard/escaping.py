"""Text from logs, file names and errors inside Markdown, where Streamlit knows no plain text."""

import re


def literal(text: str) -> str:
    r"""The same text with everything escaped that Markdown or Streamlit would act on.

    Example:
        >>> literal("a_b [x](http://y)")
        'a\\_b \\[x\\]\\(http\\:\\/\\/y\\)'
    """
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))
