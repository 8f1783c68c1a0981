"""A control: one object. Here a second reordering stands beside the first: how much does one order differ from another?"""

import iclmech as icl


def another_order(condition):
    return condition.prompts.reordered(condition.seed + 1000)


icl.register(
    "control",
    "icl:another_order",
    icl.Control("icl:another_order", "context", another_order, "another order", "yet another order of the demonstrations",
                colour="#3A8FC4", dash="dash"),
)  # fmt: skip
