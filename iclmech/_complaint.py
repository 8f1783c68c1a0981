"""What the command line says when something goes wrong: one line on standard error, and an exit code."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator

from iclmech._base import ICLMechError, visible

DEBUG = "ICLMECH_DEBUG"
"""With this variable set, errors come with their traceback."""
_LONGEST = 800


@contextlib.contextmanager
def told_in_one_line() -> Iterator[None]:
    """The last line of defence: exit code 2 for bad input, 130 for Ctrl-C, 70 for a fault of the program."""
    try:
        yield
    except (ICLMechError, OSError) as error:
        if os.environ.get(DEBUG):
            raise
        complain(str(error))
        raise SystemExit(2) from None
    except KeyboardInterrupt as stop:
        complain(str(stop) or "stopped.")
        raise SystemExit(130) from None
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        complain(f"{type(error).__name__}: {error} This is a fault in iclmech or a plug-in; {DEBUG}=1 shows where.")
        raise SystemExit(70) from None


def complain(text: str) -> None:
    """One line on standard error, as any terminal can show it; of a long one its two ends."""
    text = visible(" ".join(text.split()))
    cut = f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"
    sys.stderr.write(f"iclmech: {text if len(text) <= _LONGEST else cut}\n")


def first_of_frame(complaint: str) -> str:
    """The first complaint in tyro's frame of lines: its heading stands above and again in the text."""
    rows = [re.sub(r"[╭╮╰╯│─]", " ", line).strip() for line in complaint.splitlines()]
    rows = [row for row in rows if row and not row.startswith("For full helptext")]
    if len(rows) > 1 and rows[1].lower().startswith(rows[0].lower()):
        rows = rows[1:]
    return " ".join(" ".join(rows).split()).partition(" For full helptext")[0]
