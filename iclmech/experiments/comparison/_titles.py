"""What comparisons, settings and contrasts are called in words: from the records of updates and controls."""

from __future__ import annotations

from iclmech._base import REGISTRIES

from ._control import NULL, Control
from ._roster import Contrast, Entry

NULL_TITLE = "closed-form null"
NULL_PHRASE = "the null of isotropic noise"


def update_short(update: str) -> str:
    """GD, LCGD, or the name as it is."""
    known = REGISTRIES["update"]
    return (known[update].short if update in known else "") or update


def update_title(update: str) -> str:
    """ "gradient descent (GD)"."""
    known = REGISTRIES["update"]
    return (known[update].title if update in known else "") or update


def control_title(control: str) -> str:
    """A control in words."""
    known = REGISTRIES["control"]
    return known[control].title if control in known else control.removeprefix("icl:").replace("_", " ")


def comparison_title(entry: Entry) -> str:
    """ "GD, random weight change"; "ICL, another order"."""
    if entry.update:
        return update_short(entry.update) + (f", {control_title(entry.control)}" if entry.control else "")
    control: Control | None = REGISTRIES["control"].get(entry.control)
    if control is not None and control.legend:
        return control.legend
    title = control_title(entry.control or entry.name)
    return f"ICL, {title}" if control is not None and control.place == "context" else title


def setting_title(entry: Entry) -> str:
    """ "zero-shot", "after GD", "ICL, shuffled labels"."""
    if entry.tuned:
        control = f", {control_title(entry.control)}" if entry.control else ""
        return f"after {update_short(entry.update)}{control}"
    if entry.control:
        return f"ICL, {control_title(entry.control)}"
    return {"zs": "zero-shot", "icl": "in context (ICL)"}.get(entry.name, entry.name)


def contrast_title(contrast: Contrast) -> str:
    """ "GD − GD, random weight change"; "GD: trained − untrained"."""
    left = update_short(contrast.left.comparison)
    if contrast.left.variant != contrast.right.variant:
        return f"{left}: {contrast.left.variant} − {contrast.right.variant}"
    if contrast.control == NULL:
        return f"{left} − {NULL_TITLE}"
    where = "" if contrast.left.variant == "trained" else f" ({contrast.left.variant})"
    if contrast.other:
        return f"{left} − {update_short(contrast.other)}{where}"
    return f"{left} − {comparison_title(contrast.right.entry)}{where}"


def phrase(control: str) -> str:
    """How a sentence calls a control; empty where the answer does not speak of it."""
    if control == NULL:
        return NULL_PHRASE
    known = REGISTRIES["control"]
    return known[control].phrase if control in known else ""
