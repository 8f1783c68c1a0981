"""What a comparison holds, as records: names are built here and read nowhere."""

from __future__ import annotations

from iclmech.experiments import Roster, contrast_title, setting_title


def roster(*updates: str, variants: tuple[str, ...] = ("trained", "untrained")) -> Roster:
    controls = ("random_direction", "random_update", "untrained", "shuffled_labels", "icl:reordered", "icl:wrong_task")
    return Roster.of(updates, controls, variants)


def test_comparisons_and_settings_stand_in_the_order_of_the_files() -> None:
    found = roster("gd", "lcgd")
    assert list(found.comparisons)[:7] == [
        *("gd", "lcgd", "random_direction", "gd:random_update", "lcgd:random_update", "gd:shuffled_labels", "lcgd:shuffled_labels"),
    ]  # fmt: skip
    assert list(found.settings)[:4] == ["zs", "icl", "icl:reordered", "icl:wrong_task"]
    assert found.settings["ft:gd:shuffled_labels"].update == "gd"
    assert found.settings["icl:reordered"].by_rate is False


def test_contrasts_stand_by_rank_and_know_what_they_are_about() -> None:
    found = roster("gd", "lcgd").contrasts
    mine = [name for name, contrast in found.items() if contrast.update == "gd"]
    assert mine[:4] == [
        "gd: trained - untrained",
        "gd - closed-form null",
        "gd - gd:random_update",
        "gd - random_direction",
    ]
    assert found["lcgd - gd (untrained)"].variant == "untrained"
    assert found["gd: trained - untrained"].variant == "trained, untrained"
    assert found["gd - closed-form null"].right.null
    assert found["gd - gd:shuffled_labels"].right.entry.control == "shuffled_labels"


def test_a_name_that_looks_like_another_is_not_taken_for_it() -> None:
    found = roster("gd", "gd2", variants=("trained",))
    assert found.comparisons["gd2:random_update"].update == "gd2"
    assert "gd: trained - untrained" not in found.contrasts
    assert contrast_title(found.contrasts["gd2 - gd"]) == "gd2 − GD"
    assert setting_title(found.settings["ft:gd2:random_update"]) == "after gd2, random weight change"
